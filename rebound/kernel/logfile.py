"""The file for the log, instead of stderr (`--log-file`)."""

from __future__ import annotations

import fcntl
import os
import stat

from rebound.kernel import linux

_MODE = 0o640
"""The mode of most daemons' logs: not everybody may read them."""

_FIRST_OWN = 3
"""The lowest descriptor for a file of ours.  Programs take 0 to 2 for the standard streams, even
if those were closed."""

_OUTPUTS = (1, 2)


def open_file(path: str) -> tuple[int, bool]:
    """Open the log for appending: (its descriptor, whether the command writes to it, too).

    It waits neither for a FIFO's reader nor for room in it.  Raises `OSError`: ENOENT, EACCES,
    EISDIR, ENXIO (a FIFO without a reader, a socket), EROFS, EMFILE.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    first = os.open(path, flags, _MODE)
    try:
        output = _same_output(first)
        # Opened once more, a file has an offset of its own: a writer without O_APPEND would
        # write over our lines.
        is_file = stat.S_ISREG(os.fstat(first).st_mode)
        source = output if output and is_file else first
        return fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, _FIRST_OWN), bool(output)
    finally:
        linux.close(first)


def _same_output(fd: int) -> int:
    """Return which of stdout and stderr is the same file as `fd` (/dev/stdout is); 0 if none."""
    for output in _OUTPUTS:
        try:
            if output != fd and os.path.sameopenfile(output, fd):
                return output
        except OSError:  # EBADF: it was closed
            pass
    return 0
