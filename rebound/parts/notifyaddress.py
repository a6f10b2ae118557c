"""Where the NOTIFY_SOCKET of a run is bound: a path of its own, or an abstract name."""

from __future__ import annotations

import os
import time

from rebound.kernel import linux, socketfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

_SUFFIX = b".notify"
_MOST_LEFTOVERS = 100
"""The most names that are tried: the owner of the directory may have filled it."""

_S_IXOTH = 0o001  # inode(7)


def bind_abstract(socket: _socket.socket) -> bytes:
    """Bind the socket to an abstract name that the kernel picks; return it, with an @."""
    socket.bind("")
    name: bytes = socket.getsockname()
    return b"@" + name[1:]


def bind_in(directory: str, socket: _socket.socket) -> bytes:
    """Bind the socket to a new path, to which every user may send; return the path.

    Raises `OSError`: EACCES, EROFS, ENOSPC; without an errno for a path that is too long
    (108 bytes with the NUL, unix(7)).
    """
    if not directory:
        raise OSError("no run directory")
    # Absolute, as sd_notify(3) wants it, and without a link that leads through other directories.
    real = os.path.realpath(os.fsencode(directory))
    # An earlier rebound whose daemons live on may have had our pid, but not at this time.
    name = b"%d-%x%s" % (os.getpid(), time.monotonic_ns(), _SUFFIX)
    path, unfinished = os.path.join(real, name), os.path.join(real, b"." + name)
    mask = os.umask(0o022)  # we have one thread: no other one sees it
    try:
        if not os.path.isdir(real):
            linux.make_directory(real)
        # If we are root, the command may become another user, and only the command knows
        # which one.  A sender needs search permission on the whole path.
        if os.geteuid() == 0 and not _is_open_to_all(real):
            raise OSError(f"another user than root could not reach {directory}")
        os.umask(0o111)  # a sender needs write permission: rw-rw-rw- from the beginning
        socket.bind(unfinished)
    finally:
        os.umask(mask)
    try:
        # bind(2) makes the file before the socket answers there.  Under the final name, which
        # `remove_leftovers` looks for, it always answers.
        os.rename(unfinished, path)
    except OSError:  # ENOSPC, EIO: the first name works as well
        return unfinished
    return path


def _is_open_to_all(directory: bytes) -> bool:
    """Return whether every user may search this absolute directory and those above it."""
    while os.stat(directory).st_mode & _S_IXOTH:
        above = os.path.dirname(directory)
        if above == directory:
            return True
        directory = above
    return False


def _is_name(name: bytes) -> bool:
    pid, hyphen, made_at = name.removesuffix(_SUFFIX).partition(b"-")
    return name.endswith(_SUFFIX) and bool(hyphen) and pid.isdigit() and made_at.isalnum()


def remove_leftovers(directory: bytes) -> None:
    """Remove the sockets there of rebounds that were killed."""
    try:
        names = [name for name in os.listdir(directory) if _is_name(name)]
    except OSError:  # EMFILE, ENFILE, ENOMEM; EACCES
        return
    for name in names[:_MOST_LEFTOVERS]:
        path = os.path.join(directory, name)
        if socketfile.is_stale(path):
            socketfile.remove(path)
