"""The socket RUN_DIRECTORY/PID.sock, at which `rebound --status` finds a living rebound.

Only to listen takes little: what serves the clients, `control`, is loaded with the first.
"""

from __future__ import annotations

import os

from rebound import libc, linux

_BACKLOG = 16

_S_IFMT, _S_IFSOCK = 0o170000, 0o140000  # inode(7)


class RunSocket:
    """Our own listening socket.

    Under its name it is only ever seen listening: it is bound to another one first.  Raises
    `OSError` where it cannot be made: a read-only root, another user's directory.
    """

    def __init__(self, directory: str) -> None:
        self._path = f"{directory}/{os.getpid()}.sock"
        self.fd = -1
        # In one thread nobody else is concerned by the mask: it makes the socket 0600 from
        # the beginning.
        mask = os.umask(0o022)
        try:
            linux.make_directory(directory)
            os.umask(0o177)
            if os.path.lexists(self._path) and not is_stale(self._path):
                raise OSError(f"{self._path} is in use")
            self._inode = self._listen(f"{directory}/.{os.getpid()}.sock")
        finally:
            os.umask(mask)

    def close(self) -> None:
        """Remove it."""
        try:
            # Another rebound may have taken the name, one of another PID namespace.
            is_ours = os.stat(self._path).st_ino == self._inode
        except OSError:
            is_ours = False
        if is_ours:
            _remove(self._path)
        linux.close(self.fd)

    def _listen(self, unfinished: str) -> int:
        if _is_socket(unfinished):
            os.unlink(unfinished)
        fd = libc.unix_socket()
        try:
            libc.bind(fd, unfinished)
            libc.listen(fd, _BACKLOG)
            inode = os.stat(unfinished).st_ino
            os.rename(unfinished, self._path)
        except OSError:
            linux.close(fd)
            if _is_socket(unfinished):
                _remove(unfinished)
            raise
        self.fd = fd
        return inode


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:  # ENOENT; EROFS, EACCES: it stays, and is found to be stale
        pass


def is_stale(path: str) -> bool:
    """Whether this is the socket of a rebound that was killed: nobody listens any more."""
    if not _is_socket(path):
        return False
    fd = libc.unix_socket()
    try:
        libc.connect(fd, path)
    except ConnectionRefusedError:
        return True
    except OSError:  # EAGAIN: somebody listens who is busy; EACCES; ENOENT
        pass
    finally:
        linux.close(fd)
    return False


def _is_socket(path: str) -> bool:
    try:
        return os.lstat(path).st_mode & _S_IFMT == _S_IFSOCK
    except OSError:
        return False
