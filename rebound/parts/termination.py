"""Kubernetes' termination message: one line that says why rebound ended."""

from __future__ import annotations

import os

from rebound.core.config import TERMINATION_LOG
from rebound.kernel import linux
from rebound.kernel.logtext import printable

_LONGEST = 4096
"""Bytes: the most that Kubernetes reads."""

_S_IFMT, _S_IFREG = 0o170000, 0o100000  # inode(7)


def write_message(path: str, text: str) -> None:
    """Write the line if the file is empty: an earlier writer knows better.

    This makes the file if it is missing, except the default one: only the runtime makes that.
    Raises `OSError`: EACCES, EROFS, ENOSPC.
    """
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    if path != TERMINATION_LOG:
        flags |= os.O_CREAT
    elif not os.path.exists(path):
        return
    fd = os.open(path, flags, 0o644)
    try:
        status = os.fstat(fd)
        if status.st_mode & _S_IFMT == _S_IFREG and not status.st_size:
            line = printable(text).encode(errors="replace")[: _LONGEST - 1]
            os.write(fd, line.decode(errors="ignore").encode() + b"\n")
    finally:
        linux.close(fd)
