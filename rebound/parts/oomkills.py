"""Counts the out-of-memory killer's victims in our memory cgroup."""

from __future__ import annotations

import os

from rebound.core import signals
from rebound.core.events import Exited
from rebound.core.part import Part
from rebound.kernel import cgroup, linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rebound.kernel.cgroup import Cgroups

_LONGEST = 4096
"""Bytes: more than the kernel writes into either file of counters."""


class OomKills(Part):
    """Reads the kernel's counter; if there is none, the count never grows.

    The kernel counts a process before it sends SIGKILL (mm/oom_kill.c).  With cgroup v2 the
    counter of a cgroup includes the cgroups below it (cgroup-v2.rst); with v1 it does not.
    Only cgroups with the memory controller have one, and the root has none.  Processes in
    any other cgroup are counted in the nearest one above it that has.
    """

    def __init__(self) -> None:
        self._fd = -1
        try:
            self._fd = _open_first(counter_files(cgroup.ours()))
        except OSError:  # no /proc; EMFILE
            pass
        self.settled()

    def settled(self) -> None:
        """Note the counter's text for this run; it is parsed only if that matters."""
        self._before = self._counters()
        self._claimed = 0

    def killed(self, ended: Exited) -> Exited:
        """Return the end, with whether it was the out-of-memory killer."""
        if not self._have_grown():
            return ended
        return Exited(ended.pid, ended.status, ended.max_rss, True)

    def reaped(self, ended: Exited) -> bool:
        """Take one kill out of the growth: it was, or may have been, the kill of this process."""
        if ended.status.signal == signals.SIGKILL and self._have_grown():
            self._claimed += 1
        return False

    def _have_grown(self) -> bool:
        return parse_count(self._counters()) > parse_count(self._before) + self._claimed

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            linux.close(self._fd)
            self._fd = -1

    def _counters(self) -> bytes:
        if self._fd < 0:
            return b""
        try:
            return os.pread(self._fd, _LONGEST, 0)
        except OSError:  # ENODEV: the cgroup is gone
            return b""


def parse_count(text: bytes) -> int:
    """Read `oom_kill` of memory.events (v2) or memory.oom_control (v1, since Linux 4.13)."""
    for line in text.splitlines():
        name, _, value = line.partition(b" ")
        if name == b"oom_kill" and value.isdigit():
            return int(value)
    return 0


def counter_files(found: Cgroups) -> list[str]:
    """Return the paths at which the counter may be: the first that exists is ours."""
    if found.version == 1:  # each of its cgroups has a counter
        return [directory + "/memory.oom_control" for directory in found.directories[:1]]
    return [directory + "/memory.events" for directory in found.directories]


def _open_first(paths: list[str]) -> int:
    for path in paths:
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # no controller here, or the root
            pass
    return -1
