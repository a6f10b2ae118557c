"""The abstract socket @rebound/NAMESPACE/PID, for where no run directory can be had.

NAMESPACE is the inode of the PID namespace (pid_namespaces(7)), 0 if /proc cannot tell it.  Such
a name belongs to the network namespace: whoever shares that, say another container of the pod, may
take it first, or connect.  So a name proves nothing; what the kernel says of the peer does.
"""

from __future__ import annotations

import errno
import os

from rebound.kernel import libc, linux

_PREFIX = "\0rebound/"

MOST_NAMES = 64
"""The most names for one pid that can be guessed.  If all are taken, one by chance is."""

_MOST_TRIES = 8


def listen(backlog: int) -> tuple[int, str]:
    """Listen; return the descriptor and the name, which goes with it.

    Raises `OSError`: EMFILE, ENFILE, ENOMEM; EPERM, EACCES where a profile refuses.
    """
    fd = libc.unix_socket()
    try:
        name = _bind(fd)
        libc.listen(fd, backlog)
    except OSError:
        linux.close(fd)
        raise
    return fd, name


def _bind(fd: int) -> str:
    space, pid = namespace(), os.getpid()
    for number in (*range(1, MOST_NAMES + 1), *[0] * _MOST_TRIES):
        name = name_of(space, pid, number or _chance())
        try:
            libc.bind(fd, name)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return name
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _chance() -> int:
    """Return a number of which nobody can have taken all.  Raises `OSError`."""
    try:
        return MOST_NAMES + 1 + int.from_bytes(os.urandom(3), "big")
    except NotImplementedError as error:  # neither getrandom(2) nor /dev/urandom
        raise OSError(errno.ENOSYS, str(error)) from None


def namespace() -> int:
    """Return the inode of our PID namespace; 0 without /proc.

    A /proc of an outer PID namespace tells it, too.
    """
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def name_of(space: int, pid: int, number: int = 1) -> str:
    """Return a name; its first character is the NUL that makes it abstract (unix(7))."""
    return f"{_PREFIX}{space}/{pid}" + (f"-{number}" if number > 1 else "")
