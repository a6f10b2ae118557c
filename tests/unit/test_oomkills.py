"""The counter of out-of-memory kills: where it is, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebound.core.events import Exited
from rebound.core.exitstatus import ExitStatus
from rebound.kernel import cgroup
from rebound.kernel.cgroup import Cgroups
from rebound.parts.oomkills import OomKills, counter_files, parse_count

KILLED = Exited(7, ExitStatus(signal=9), 0)

V2 = "30 23 0:26 / {point} rw - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot"


def test_where_the_counter_may_be() -> None:
    """With v2 in the cgroups above, too; in v1 each has its own."""
    above = ["/cg/pod", "/cg"]
    assert counter_files(Cgroups(2, above)) == ["/cg/pod/memory.events", "/cg/memory.events"]
    assert counter_files(Cgroups(1, above)) == ["/cg/pod/memory.oom_control"]
    assert counter_files(Cgroups(0, [])) == []


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc/self and a cgroup2 mount of files, with us in POD/container/leaf."""
    (tmp_path / "cgroup").write_text("0::/pod/container/leaf\n")
    (tmp_path / "mountinfo").write_text(f"{V2.format(point=tmp_path)}\n")
    (tmp_path / "pod/container/leaf").mkdir(parents=True)
    monkeypatch.setattr(cgroup, "_PROC", str(tmp_path))
    return tmp_path


def is_told_apart(counter: Path) -> bool:
    """Whether a kill that one counter counts is taken for that of the out-of-memory killer."""
    part = OomKills()
    try:
        counter.write_text("oom_kill 1\n")
        return part.killed(KILLED).out_of_memory
    finally:
        part.close()


def test_the_counter_of_the_nearest_cgroup_with_the_controller_counts(tree: Path) -> None:
    """That is where the kernel counts what happens in a leaf without it."""
    for name in ("pod/memory.events", "pod/container/memory.events"):
        (tree / name).write_text("oom_kill 0\n")
    assert not is_told_apart(tree / "pod/memory.events")
    assert is_told_apart(tree / "pod/container/memory.events")


def test_without_a_counter_a_kill_is_a_kill(tree: Path) -> None:
    assert not is_told_apart(tree / "memory.events")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (b"low 0\nhigh 0\nmax 10\noom 3\noom_kill 2\noom_group_kill 0\n", 2),
        (b"oom_kill_disable 0\nunder_oom 0\noom_kill 7\n", 7),
        (b"oom_kill_disable 0\nunder_oom 0\n", 0),  # before Linux 4.13
        (b"", 0),
    ],
)
def test_the_counter(text: bytes, count: int) -> None:
    """memory.events of v2, memory.oom_control of v1."""
    assert parse_count(text) == count
