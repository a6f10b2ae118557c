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
    Only cgroups with the memory controller have one, and the root has none.  Processes in
    any other cgroup are counted in the nearest one above it that has.
    """

    def __init__(self) -> None:
        self._fd = -1
        try:
            self._fd = _open_first(counter_files(_read("cgroup"), _read("mountinfo")))
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


def counter_files(cgroups: str, mounts: str) -> list[str]:
    """Return the paths at which the counter may be: the first that exists is ours.

    They come from /proc/self/cgroup and /proc/self/mountinfo.  If both versions are mounted,
    memory is in v1 if that lists it.
    """
    unified = ""
    for line in cgroups.splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):  # of v1: each of its cgroups has a counter
            directories = _directories(path, mounts, "cgroup", "memory")
            return [directory + "/memory.oom_control" for directory in directories[:1]]
        if not controllers:
            unified = path
    directories = _directories(unified, mounts, "cgroup2", "") if unified else []
    return [directory + "/memory.events" for directory in directories]


def _directories(path: str, mounts: str, file_system: str, option: str) -> list[str]:
    """Return where a cgroup is mounted, and then those above it, as far as we can see them."""
    points = {}
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        kind, _source, options = after.split(" ", 2)
        if kind == file_system and (not option or option in options.split(",")):
            root, point = (_unescape(field) for field in before.split(" ")[3:5])
            points[point] = root  # of several mounts on one point the last is visible
    # The mount that shows the most of what is above us.
    for point, root in sorted(points.items(), key=lambda item: len(item[1])):
        names = _below(root, path)
        if names is not None:
            return ["/".join((point, *names[:depth])) for depth in range(len(names), -1, -1)]
    # No mounted part of the tree includes our path: a container got its own cgroup under a path
    # of the host.  Then that part is ours.  But if our path leads out of our cgroup namespace
    # (cgroup_namespaces(7)), it is somebody else's.
    return [] if _below("/..", path) is not None else list(points)[:1]


def _below(root: str, path: str) -> list[str] | None:
    """Return the names that lead from one cgroup down to another; None if that is not below."""
    root = root.rstrip("/")
    if not f"{path}/".startswith(f"{root}/"):
        return None
    names = [name for name in path.removeprefix(root).split("/") if name]
    return None if ".." in names else names


def _unescape(field: str) -> str:
    # Blanks and similar characters are in octal (proc(5)).
    for code in ("040", "011", "012", "134"):
        field = field.replace("\\" + code, chr(int(code, 8)))
    return field


def _open_first(paths: list[str]) -> int:
    for path in paths:
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # no controller here, or the root
            pass
    return -1


def _read(name: str) -> str:
    with open(f"{_PROC}/{name}", encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
