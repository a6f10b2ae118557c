"""Open descriptors: whether one was inherited, whether two are the same open file, its end.

Descriptors may be of anybody, and those of a network file system or of FUSE wait for a server: it
may never answer fstat(2), poll(2) and epoll_ctl(2).  Nothing here asks it.
"""

from __future__ import annotations

import fcntl
import os

from rebound.core.record import Record

_F_DUPFD_QUERY = 1027  # fcntl(2), since Linux 6.10

_S_IFMT, _S_IFREG, _S_IFIFO = 0o170000, 0o100000, 0o010000  # inode(7)
_S_IFSOCK, _S_IFCHR = 0o140000, 0o020000

_TERMINALS = (4, 5, *range(136, 144))
"""The major numbers of terminals and pseudo-terminals."""


class Identity(Record):
    """What statx(2) says of a descriptor: two of the same open file have the same."""

    kind: int
    """S_IFMT of the mode; 0 for the kernel's own kinds, such as eventfd(2)."""
    device: tuple[int, int]
    inode: int
    major: int
    """Of the device that the file stands for."""


def is_inherited(fd: int) -> bool:
    """Return whether a descriptor is open, and stays so in an exec: all of our own close then."""
    try:
        return not fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    except OSError:  # EBADF
        return False


def identify(fd: int) -> Identity | None:
    """Return what is known of a descriptor; None if nothing is."""
    try:
        from rebound.kernel import libc

        mode, device, inode, major = libc.cached_stat(fd)
    except (ImportError, OSError):  # EPERM, ENOSYS: a seccomp profile
        return None
    return Identity(mode & _S_IFMT, device, inode, major)


def is_same(first: int, second: int, identity: Identity | None) -> bool:
    """Return whether two descriptors of equal identity are one open file description (open(2))."""
    try:
        return fcntl.fcntl(first, _F_DUPFD_QUERY, second) == 1
    except OSError:  # EINVAL before Linux 6.10
        pass
    try:
        from rebound.kernel import libc

        return libc.is_same_file(first, second)
    except (ImportError, OSError):  # EPERM, ENOSYS: a seccomp profile, as Docker's
        pass
    # Kinds of the kernel's own share one inode; a device may mean many things.
    if identity is None or identity.kind not in (_S_IFREG, _S_IFIFO, _S_IFSOCK):
        return False
    try:
        return _state(first, identity.kind) == _state(second, identity.kind)
    except OSError:  # a seccomp profile
        return False


def _state(fd: int, kind: int) -> tuple[int, int]:
    position = os.lseek(fd, 0, os.SEEK_CUR) if kind == _S_IFREG else 0
    return fcntl.fcntl(fd, fcntl.F_GETFL), position


def can_hang_up(fd: int, identity: Identity | None) -> bool:
    """Return whether a descriptor is of a kind that hangs up, and can be polled without waiting.

    Not so with a file of FUSE, nor with an epoll(7), which polls what is in it.
    """
    if identity is None:
        return False
    if identity.kind in (_S_IFSOCK, _S_IFIFO):
        return True
    if identity.kind == _S_IFCHR:
        return identity.major in _TERMINALS
    try:
        return os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:[pidfd]"
    except OSError:  # ENOENT: no /proc, or another PID namespace's
        return False


def is_hung_up(fd: int) -> bool:
    """Return whether a descriptor has hung up or failed (POLLHUP, POLLERR of poll(2)).

    Raises `OSError`, `ImportError`: ENOMEM; a seccomp profile.
    """
    import select

    poll = select.poll()
    poll.register(fd, 0)
    return bool(poll.poll(0))
