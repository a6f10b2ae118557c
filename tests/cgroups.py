"""Cgroups of a test's own, of either version."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.helpers import eventually


def hierarchy(controller: str) -> Path:
    """Say where cgroups with a controller are made."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    for _, point, kind, options, *_ in mounts:
        if kind == "cgroup" and controller in options.split(","):
            return Path(point)
    for _, point, kind, *_ in mounts:
        if kind == "cgroup2":
            (Path(point) / "cgroup.subtree_control").write_text(f"+{controller}")
            return Path(point)
    raise AssertionError(f"no {controller} cgroups here")


@contextmanager
def new(controller: str, **limits: object) -> Iterator[Path]:
    """Give a new cgroup; whoever is in it at the end is killed.

    Limits are files, with `__` for the dot; those that this version has not are left out.
    """
    # Not by our pid, which others have in other PID namespaces.
    cgroup = Path(tempfile.mkdtemp(prefix="rebound-test-", dir=hierarchy(controller)))
    for name, value in limits.items():
        if (file := cgroup / name.replace("__", ".")).exists():
            file.write_text(str(value))
    try:
        yield cgroup
    finally:
        eventually(lambda: _removed(cgroup))


def _removed(cgroup: Path) -> bool:
    if (cgroup / "pids.max").exists():
        (cgroup / "pids.max").write_text("0")  # nobody gets away by a fork
    for pid in (cgroup / "cgroup.procs").read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    try:
        cgroup.rmdir()
    except OSError:  # EBUSY: a zombie is still in it
        return False
    return True


def inside(cgroup: Path) -> list[str]:
    """Give what to put before a command that is to run in the cgroup."""
    return ["sh", "-c", f'echo $$ >{cgroup}/cgroup.procs && exec "$0" "$@"']
