"""The controlling terminal, and the process group in its foreground.

rebound blocks SIGTTOU, so it may call tcsetpgrp(3) from the background too.
"""

from __future__ import annotations

import os

from rebound.kernel import linux


class Terminal:
    """Our controlling terminal, if there is one; rebound may lend it to the command's group."""

    def __init__(self) -> None:
        self._group = 0
        try:
            self._fd = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # ENXIO: none; ENOENT, EACCES: no such device here
            self._fd = -1

    @property
    def exists(self) -> bool:
        """Whether we had a controlling terminal at the start."""
        return self._fd >= 0

    def is_gone(self) -> bool:
        """Whether we had a terminal, and it has hung up, or our session has lost it."""
        return self.exists and self._foreground() < 0

    def is_ours(self) -> bool:
        """Whether our own group is in the foreground."""
        return self._foreground() == os.getpgrp()

    def is_lent(self) -> bool:
        """Whether the command's group is in the foreground."""
        return self._foreground() == self._group != 0

    def lend(self, group: int) -> None:
        """Put the command's group into the foreground, if ours is there."""
        if self.is_ours():
            self._group = group
            self._set_foreground(group)

    def take_back(self) -> None:
        """Put our own group back, unless a shell has the terminal meanwhile."""
        # 0: the group in the foreground has no member left (tcgetpgrp on Linux).
        if self._group and self._foreground() in (0, self._group):
            self._set_foreground(os.getpgrp())

    def _foreground(self) -> int:
        try:
            return os.tcgetpgrp(self._fd)
        except OSError:  # EBADF: there is none; EIO, ENOTTY: it is gone
            return -1

    def _set_foreground(self, group: int) -> None:
        try:
            os.tcsetpgrp(self._fd, group)
        except OSError:
            # ESRCH: the group has just ended, and is reaped next; EIO, ENOTTY: no terminal now.
            pass

    def close(self) -> None:
        """Close our own descriptor of the terminal."""
        if self._fd >= 0:
            linux.close(self._fd)
            self._fd = -1
