"""Socket files: a name that is free, one whose owner was killed, and one that is in use."""

from __future__ import annotations

import os

from rebound.kernel import linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    Identity = tuple[int, int, int] | None

_S_IFMT, _S_IFSOCK = 0o170000, 0o140000  # inode(7)


def rename_if_free(path: str, new: str) -> bool:
    """Rename our own file; return False if the new name is taken, which rename(2) ignores.

    Raises `OSError`.
    """
    try:
        # Their owner may link sockets even with fs.protected_hardlinks (proc(5)).
        os.link(path, new, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError:  # EPERM, EOPNOTSUPP, ENOSYS: a file system without hard links
        if os.path.lexists(new):
            return False
        os.rename(path, new)
    else:
        remove(path)
    return True


def remove(path: str | bytes) -> None:
    """Remove a file; ignore a failure."""
    try:
        os.unlink(path)
    except OSError:  # ENOENT; EROFS, EACCES: it stays, and `is_stale` finds it
        pass


def identify(path: str) -> Identity:
    """Return device, inode and modification time: an inode that is free is used again."""
    try:
        status = os.lstat(path)
    except OSError:  # ENOENT: somebody has removed it
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns


def remove_if_same(path: str, identity: Identity) -> None:
    """Remove a file that is still the one that was identified."""
    if identify(path) == identity:
        remove(path)


def remove_if_stale(path: str) -> bool:
    """Remove a socket whose owner was killed; return whether it is one.

    It looks once more under another name: between the first look and the removal another
    process may have found the socket stale, too, removed it, and taken the name.
    """
    if not is_stale(path):
        return False
    aside = os.path.join(os.path.dirname(path), f".{os.getpid()}~")
    try:
        os.rename(path, aside)
    except OSError:  # ENOENT: gone; EACCES, EROFS: it stays, but nobody listens
        return True
    if is_stale(aside):
        remove(aside)
        return True
    try:
        if not rename_if_free(aside, path):
            remove(aside)
    except OSError:
        pass
    return False


def is_stale(path: str | bytes) -> bool:
    """Return whether this is the socket of a process that was killed: nobody listens."""
    if not is_socket(path):
        return False
    try:
        from rebound.kernel import libc

        fd = libc.unix_socket()
    except (ImportError, OSError):  # EMFILE: we cannot know
        return False
    try:
        libc.connect(fd, path)
    except ConnectionRefusedError:
        return True
    except OSError:  # EAGAIN: somebody busy listens; EPROTOTYPE: for datagrams; EACCES; ENOENT
        pass
    finally:
        linux.close(fd)
    return False


def is_socket(path: str | bytes) -> bool:
    """Return whether this is a socket, not a symbolic link to one."""
    try:
        return os.lstat(path).st_mode & _S_IFMT == _S_IFSOCK
    except OSError:
        return False
