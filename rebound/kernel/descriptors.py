"""Open descriptors: whether one was inherited, and whether two are the same open file."""

from __future__ import annotations

import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    Identity = tuple[int, int, int]
    """Device, inode, and the kind of file (inode(7))."""

_F_DUPFD_QUERY = 1027  # fcntl(2), since Linux 6.10

_S_IFMT, _S_IFREG, _S_IFIFO, _S_IFSOCK = 0o170000, 0o100000, 0o010000, 0o140000  # inode(7)


def is_inherited(fd: int) -> bool:
    """Return whether a descriptor is open, and stays so in an exec: all of our own close then."""
    try:
        return not fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    except OSError:  # EBADF
        return False


def identify(fd: int) -> Identity:
    """Return what two descriptors of the same open file have in common.

    Different files may have it in common, too: see `is_same`.  Raises `OSError`.
    """
    status = os.fstat(fd)
    return status.st_dev, status.st_ino, status.st_mode & _S_IFMT


def is_same(first: int, second: int, identity: Identity) -> bool:
    """Return whether two descriptors refer to one open file description (open(2)).

    Both must have that identity.  Raises `OSError`.
    """
    try:
        return fcntl.fcntl(first, _F_DUPFD_QUERY, second) == 1
    except OSError:  # EINVAL before Linux 6.10
        pass
    try:
        from rebound.kernel import libc

        return libc.is_same_file(first, second)
    except (ImportError, OSError):  # EPERM, ENOSYS: a seccomp profile, as Docker's
        pass
    # Kinds of the kernel's own, such as eventfd(2), share one inode; a device may mean many things.
    if identity[2] not in (_S_IFREG, _S_IFIFO, _S_IFSOCK):
        return False
    return fcntl.fcntl(first, fcntl.F_GETFL) == fcntl.fcntl(second, fcntl.F_GETFL)


def is_hung_up(fd: int) -> bool:
    """Return whether a descriptor has hung up or failed (POLLHUP, POLLERR of poll(2))."""
    try:
        import select

        poll = select.poll()
        poll.register(fd, 0)
        return bool(poll.poll(0))
    except (ImportError, OSError):  # ENOMEM; no descriptor for loading it
        return False
