"""Our memory cgroup: where it is, and how much it may take."""

from __future__ import annotations

import os

from rebound.core.record import Record

_PROC = "/proc/self"

REST, COMMAND = "rebound-rest", "rebound-command"
"""The two cgroups into which `leaves` divides that of the container."""


class Cgroups(Record):
    """The cgroup that counts our memory, and those above it, as far as we can see them."""

    version: int
    """2 or 1; 0 if there is none."""
    directories: list[str]
    """Where they are mounted; ours comes first."""


def ours() -> Cgroups:
    """Find them.  Raises `OSError` without /proc."""
    return find(_read("cgroup"), _read("mountinfo"))


def find(cgroups: str, mounts: str) -> Cgroups:
    """Find them in the text of /proc/self/cgroup and /proc/self/mountinfo.

    If both versions are mounted, memory is in v1 if that lists it.  If rebound has divided the
    container's cgroup, that is meant, not the part that rebound itself is in.
    """
    unified = None
    for line in cgroups.splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return Cgroups(1, _directories(path, mounts, "cgroup", "memory"))
        if not controllers:
            unified = path.removesuffix(f"/{REST}")
    if unified is None:
        return Cgroups(0, [])
    directories = _directories(unified, mounts, "cgroup2", "")
    return Cgroups(2 if directories else 0, directories)


def memory_limit() -> int:
    """Return how many bytes we may take: the least of the limits that we can see, or all there are.

    It is read anew each time: a limit may change (docker update, a resize of a pod).
    """
    limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        found = ours()
    except OSError:  # no /proc; EMFILE
        return limit
    name = "memory.limit_in_bytes" if found.version == 1 else "memory.max"
    return min([limit, *(_number(f"{directory}/{name}", limit) for directory in found.directories)])


def _number(path: str, otherwise: int) -> int:
    """Return what a file says; something else if it says `max`, or is not there (the root)."""
    try:
        with open(path, "rb", buffering=0) as file:
            text = file.read().strip()
    except OSError:  # ENOENT; EMFILE
        return otherwise
    return int(text) if text.isdigit() else otherwise


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


def _read(name: str) -> str:
    with open(f"{_PROC}/{name}", encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
