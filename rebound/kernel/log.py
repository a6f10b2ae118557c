"""The log, on stderr or in a file: a write never blocks, and its failure never ends rebound."""

from __future__ import annotations

import os

from rebound.kernel import linux, logtext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NOTHING, _QUIET, _NORMAL, _VERBOSE = range(-1, 3)
_LEVELS = {"error": _QUIET, "info": _NORMAL, "debug": _VERBOSE}

_S_IFMT, _S_IFREG = 0o170000, 0o100000
"""inode(7); spares the import of the `stat` module."""

_RWF_NOWAIT = 8
"""pwritev2(2); Python names it for preadv only."""


class Log:
    """Writes lines to a descriptor that belongs to the command as much as to us.

    O_NONBLOCK is a flag of the open file, which all its holders share, so it must not be
    set on the inherited stderr.  A line that cannot be written at once is dropped and
    counted; the count is written as soon as possible.

    With a `path` every line goes to that file.  Raises `OSError` if it cannot be opened.
    """

    def __init__(
        self, verbosity: str = "normal", line_format: str = "text", path: str = "", fd: int = 2
    ) -> None:
        self._threshold = {"quiet": _QUIET, "normal": _NORMAL, "verbose": _VERBOSE}[verbosity]
        self._fd = fd
        self._own_fd = -1
        self._path = path
        self._dropped = 0
        self._is_shared = True  # with the command
        self._is_json = line_format == "json"
        self._is_torn = False  # whether half a line may stand where the next one goes
        self._write: Callable[[int, bytes], int] = _write_without_waiting
        self._format: Callable[[str, str, str, Mapping[str, object]], bytes] = logtext.format_line
        if self._is_json:
            from rebound.kernel import logjson

            self._format = logjson.format_line
        elif line_format == "timed":
            from rebound.kernel import logtimed

            self._format = logtimed.format_line
        if path:
            self._open()
        else:
            self._take_inherited(fd)

    def _take_inherited(self, fd: int) -> None:
        try:
            kind = os.fstat(fd).st_mode & _S_IFMT
        except OSError:  # EBADF: closed, and the number may become that of another file
            self._threshold = _NOTHING
            return
        if kind == _S_IFREG:
            # A regular file does not block.  Opened once more it would have an offset of its
            # own, and our lines and the command's would overwrite each other.
            self._write = os.write
        elif (own_fd := _reopen_nonblocking(fd)) >= 0:
            self._fd = self._own_fd = own_fd
            self._write = os.write

    @property
    def level_for_programs(self) -> str:
        """The level of what programs want to know; of people, only those who ask with -v."""
        return "info" if self._is_json else "debug"

    @property
    def is_verbose(self) -> bool:
        """Whether lines at level `debug` are written."""
        return self.shows("debug")

    def shows(self, level: str) -> bool:
        """Whether a line at this level is written."""
        return _LEVELS[level] <= self._threshold

    def _open(self) -> None:
        from rebound.kernel import logfile

        try:
            fd, self._is_shared = logfile.open_file(self._path)
        except OSError as error:
            text = f"cannot open the log file {self._path}: {error.strerror}"
            raise OSError(error.errno, text) from None
        if self._own_fd >= 0:
            linux.close(self._own_fd)
        self._fd = self._own_fd = fd
        self._write = os.write

    def reopen(self) -> None:
        """Go on in the file that has the path now; if it cannot be opened, in the old one."""
        if not self._path:
            return
        try:
            self._open()
        except OSError as error:
            self.write("error", "error", f"{error.strerror}; going on with the old one")

    def close(self) -> None:
        """Close the descriptors that were opened here; the inherited one stays."""
        self._write_dropped()
        self._threshold = _NOTHING
        if self._own_fd >= 0:
            linux.close(self._own_fd)
            self._own_fd = -1

    def expect_half_a_line(self) -> None:
        """Take note that the command, which may share the file, has ended: perhaps in mid-line."""
        self._is_torn = self._is_torn or self._is_shared

    def write(
        self, level: str, event: str, text: str, fields: Mapping[str, object] | None = None
    ) -> None:
        """Write a line at level `error` (always), `info` (not with -q) or `debug` (-v).

        `text` is for people.  The JSON format adds `event` and `fields` for programs.
        """
        if not self.shows(level):
            return
        self._write_dropped()
        if self._dropped or not self._put(self._format(level, event, text, fields or {})):
            self._dropped += 1

    def _write_dropped(self) -> None:
        if self._dropped:
            text = f"{self._dropped} messages could not be written"
            if self._put(self._format("error", "dropped", text, {"count": self._dropped})):
                self._dropped = 0

    def _put(self, line: bytes) -> bool:
        if self._is_torn and self._is_json:
            # People can read two lines in one, programs cannot; an empty line does no harm.
            line = b"\n" + line
        try:
            written = self._write(self._fd, line)
        except (OSError, ImportError):
            # EAGAIN: full; EPIPE: no reader; ENOSPC, EIO, EFBIG: another try would not help either.
            return False
        if written:
            self._is_torn = written < len(line)
        return written == len(line)


def _reopen_nonblocking(fd: int) -> int:
    """Open the same pipe or terminal once more, as an open file of our own with O_NONBLOCK.

    Returns -1 if that fails: sockets (ENXIO), no /proc, a pipe of another user (EACCES).
    """
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        return os.open(f"/proc/self/fd/{fd}", flags)
    except OSError:
        return -1


def _write_without_waiting(fd: int, line: bytes) -> int:
    """Write to a file that others hold open, too.  Raises `OSError`: EAGAIN if it would block."""
    try:
        return os.pwritev(fd, [line], -1, _RWF_NOWAIT)
    except BlockingIOError:
        raise
    except OSError:
        # EOPNOTSUPP: terminals, and pipes before Linux 6.5.  Writable means room for
        # PIPE_BUF bytes there, unless another writer fills it in between.
        import select  # the loop has mostly loaded it already

        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        return os.write(fd, line) if poll.poll(0) else 0
