"""Counts the out-of-memory killer's victims in our memory cgroup."""

from __future__ import annotations

import os

from rebound.core import signals
from rebound.core.events import Exited
from rebound.core.part import Part
from rebound.kernel import linux

_PROC = "/proc/self"

_LONGEST = 4096
"""Bytes: more than the kernel writes into either file of counters."""


class OomKills(Part):
    """Reads the kernel's counter; if there is none, the count never grows.

    The kernel counts a process before it sends SIGKILL (mm/oom_kill.c).  With cgroup v2 the
    counter of a cgroup includes the cgroups below it (cgroup-v2.rst); with v1 it does not.
    """

    def __init__(self) -> None:
        self._fd = -1
        try:
            path = counter_file(_read("cgroup"), _read("mountinfo"))
            if path:
                self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # no /proc; the root cgroup of v2 has no counter; EMFILE
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


def counter_file(cgroups: str, mounts: str) -> str:
    """Return the path of the counter, from /proc/self/cgroup and /proc/self/mountinfo.

    If both versions are mounted, memory is in v1 if that lists it.  Empty if there is no counter.
    """
    unified = ""
    for line in cgroups.splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            directory = _mounted(path, mounts, "cgroup", "memory")
            return directory and directory + "/memory.oom_control"
        if not controllers:
            unified = path
    directory = _mounted(unified, mounts, "cgroup2", "") if unified else ""
    return directory and directory + "/memory.events"


def _mounted(path: str, mounts: str, file_system: str, option: str) -> str:
    """Return where a cgroup of a hierarchy is mounted."""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        kind, _source, options = after.split(" ", 2)
        if kind != file_system or (option and option not in options.split(",")):
            continue
        root, point = (_unescape(field) for field in before.split(" ")[3:5])
        if (path + "/").startswith(root.rstrip("/") + "/"):
            return point + path.removeprefix(root.rstrip("/")).rstrip("/")
        # The mounted part of the tree does not include our path: a container got its own
        # cgroup under a path of the host.  Then that part is ours.
        return point
    return ""


def _unescape(field: str) -> str:
    # Blanks and similar characters are in octal (proc(5)).
    for code in ("040", "011", "012", "134"):
        field = field.replace("\\" + code, chr(int(code, 8)))
    return field


def _read(name: str) -> str:
    with open(f"{_PROC}/{name}", encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
