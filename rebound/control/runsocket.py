"""The socket RUN_DIRECTORY/PID.sock, where `rebound --status` finds a running rebound.

Containers that share the directory each have a PID 1: the second takes PID-2.sock, and so on.
Listening alone takes little: the first client loads `server`.  Where there can be no such file,
an abstract socket takes its place.
"""

from __future__ import annotations

import os

from rebound.kernel import libc, linux
from rebound.kernel.socketfile import remove, remove_if_stale, rename_if_free

_BACKLOG = 16

_MOST_NAMES = 64
"""The most rebounds with one pid that may share a directory."""

_SUFFIX = ".sock"
_MOST_DIGITS = 10


class RunSocket:
    """Our own listening socket.

    It is bound to another name first: under its own name it always listens.  Raises `OSError`
    if neither a path nor an abstract name can be had.
    """

    def __init__(self, directory: str) -> None:
        self.fd = -1
        self._path = ""
        self.abstract_name = ""
        """Empty if the socket has a path."""
        self.no_path = ""
        """Why it has none: a read-only root, another user's directory."""
        try:
            self._listen_in(directory)
        except OSError as error:
            self.no_path = error.strerror or str(error)
        if not self._path:
            self._listen_without_path()

    def _listen_in(self, directory: str) -> None:
        # The masks make the socket what it is to be from the beginning.  We have one thread: no
        # other one sees them.
        mask = os.umask(0o022)
        try:
            linux.make_directory(directory)
            # Root without CAP_DAC_OVERRIDE may not connect to a user's socket unless all may: the
            # server asks the kernel who they are.
            os.umask(0o177 if os.geteuid() == 0 else 0o111)
            self._path, self._inode = self._listen(directory)
        finally:
            os.umask(mask)

    def _listen_without_path(self) -> None:
        from rebound.control import abstractsocket

        try:
            self.fd, self.abstract_name = abstractsocket.listen(_BACKLOG)
        except OSError as error:
            text = f"{self.no_path}; nor an abstract one: {error.strerror}"
            raise OSError(error.errno, text) from None

    def close(self) -> None:
        """Remove the socket; an abstract one goes with its descriptor."""
        if self.abstract_name:
            linux.close(self.fd)
            return
        try:
            # A rebound of another PID namespace may have taken the name.
            is_ours = os.stat(self._path).st_ino == self._inode
        except OSError:
            is_ours = False
        if is_ours:
            remove(self._path)
        linux.close(self.fd)

    def _listen(self, directory: str) -> tuple[str, int]:
        """Listen; return the path that was free, and the inode."""
        fd = libc.unix_socket()
        unfinished = ""
        try:
            # Two rebounds with PID 1 must not meet here either.  The kernel numbers open sockets.
            path = f"{directory}/.{os.fstat(fd).st_ino:x}"
            libc.bind(fd, path)
            unfinished = path
            libc.listen(fd, _BACKLOG)
            inode = os.stat(unfinished).st_ino
            path = _take_name(unfinished, directory)
        except OSError:
            linux.close(fd)
            if unfinished:
                remove(unfinished)
            raise
        self.fd = fd
        return path, inode


def _take_name(unfinished: str, directory: str) -> str:
    """Rename the socket to the first name that is free, or whose rebound was killed."""
    pid = os.getpid()
    for number in range(1, _MOST_NAMES + 1):
        name = f"{pid}-{number}" if number > 1 else str(pid)
        path = f"{directory}/{name}{_SUFFIX}"
        remove_if_stale(path)
        if rename_if_free(unfinished, path):
            return path
    raise OSError(f"all names for pid {pid} are in use")


def pid_in(name: str) -> int | None:
    """Return the pid in the name of a socket; None if it is not such a name."""
    if name.startswith("\0"):  # an abstract one
        name = name.rpartition("/")[2] + _SUFFIX
    words = name.removesuffix(_SUFFIX).split("-")
    if not name.endswith(_SUFFIX) or len(words) > 2 or not all(map(is_pid, words)):
        return None
    return int(words[0])


def is_pid(word: str) -> bool:
    """Return whether a word can be a pid: a number from 1, written as we write it."""
    is_number = word.isascii() and word.isdecimal() and len(word) <= _MOST_DIGITS
    return is_number and not word.startswith("0")
