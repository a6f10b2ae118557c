"""How many processes of our memory cgroup the out-of-memory killer has taken so far."""

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
    """Reads the kernel's counter; where there is none, it never grows.

    It counts a process before that is sent SIGKILL (mm/oom_kill.c).  With cgroup v2 the
    counter of a cgroup has those of the cgroups below it in it (cgroup-v2.rst), with v1 not.
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
        """Begin to look for growth with this run; what is read is parsed only if it matters."""
        self._before = self._counters()
        self._claimed = 0

    def killed(self, ended: Exited) -> Exited:
        """Say whether it was the out-of-memory killer."""
        if not self._have_grown():
            return ended
        return Exited(ended.pid, ended.status, ended.max_rss, True)

    def reaped(self, ended: Exited) -> bool:
        """Take one kill out of the growth: it was, or may have been, this other process's."""
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
    """Find the file with the counter, from /proc/self/cgroup and /proc/self/mountinfo.

    With both versions mounted, memory is in v1 if that lists it.  Empty where there is none.
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
    """Find where a cgroup of a hierarchy is mounted."""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        kind, _source, options = after.split(" ", 2)
        if kind != file_system or (option and option not in options.split(",")):
            continue
        root, point = (_unescape(field) for field in before.split(" ")[3:5])
        if (path + "/").startswith(root.rstrip("/") + "/"):
            return point + path.removeprefix(root.rstrip("/")).rstrip("/")
        # We see a part of the tree that we are not in, as a container does that was given
        # its own cgroup under a path of the host's; then that part is ours.
        return point
    return ""


def _unescape(field: str) -> str:
    # Blanks and their like are written in octal (proc(5)).
    for code in ("040", "011", "012", "134"):
        field = field.replace("\\" + code, chr(int(code, 8)))
    return field


def _read(name: str) -> str:
    with open(f"{_PROC}/{name}", encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
