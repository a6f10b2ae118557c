"""Open descriptors: whether one was inherited, and whether two are the same open file."""

from __future__ import annotations

import fcntl
import os

_F_DUPFD_QUERY = 1027  # fcntl(2), since Linux 6.10

_S_IFMT, _S_IFREG, _S_IFIFO, _S_IFSOCK = 0o170000, 0o100000, 0o010000, 0o140000  # inode(7)


def is_inherited(fd: int) -> bool:
    """Return whether a descriptor is open, and stays so in an exec: all of our own close then."""
    try:
        return not fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    except OSError:  # EBADF
        return False


def is_same(first: int, second: int) -> bool:
    """Return whether two descriptors refer to the same open file description (open(2)).

    Raises `OSError` if one of them is not open.
    """
    one, other = os.fstat(first), os.fstat(second)
    if (one.st_dev, one.st_ino, one.st_mode) != (other.st_dev, other.st_ino, other.st_mode):
        return False
    try:
        return fcntl.fcntl(first, _F_DUPFD_QUERY, second) == 1
    except OSError:  # EINVAL before Linux 6.10
        pass
    from rebound.kernel import libc

    try:
        return libc.is_same_file(first, second)
    except OSError:  # EPERM, ENOSYS: a seccomp profile, as Docker's
        pass
    # Kinds of the kernel's own, such as eventfd(2), share one inode; a device may mean many things.
    if one.st_mode & _S_IFMT not in (_S_IFREG, _S_IFIFO, _S_IFSOCK):
        return False
    return fcntl.fcntl(first, fcntl.F_GETFL) == fcntl.fcntl(second, fcntl.F_GETFL)


def is_hung_up(fd: int) -> bool:
    """Return whether a descriptor has hung up or failed (POLLHUP, POLLERR of poll(2))."""
    import select

    poll = select.poll()
    poll.register(fd, 0)
    try:
        return bool(poll.poll(0))
    except OSError:  # ENOMEM
        return False
