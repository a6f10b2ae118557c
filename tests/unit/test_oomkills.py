"""Where the counter of out-of-memory kills is, on layouts as they were found on machines.

/proc/self/cgroup and /proc/self/mountinfo, shortened to the lines that matter.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rebound.core.events import Exited
from rebound.core.exitstatus import ExitStatus
from rebound.parts import oomkills
from rebound.parts.oomkills import OomKills, counter_files, parse_count

KILLED = Exited(7, ExitStatus(signal=9), 0)

V2 = "30 23 0:26 {root} /sys/fs/cgroup {options} - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot"
V1_MEMORY = "37 32 0:33 {root} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory"
V1_CPU = "36 32 0:32 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct"
HYBRID_V2 = "33 32 0:29 / /sys/fs/cgroup/unified rw,relatime shared:5 - cgroup2 cgroup2 rw"
ROOT = "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/root rw"

LAYOUTS = {
    "v2, Debian 12, a service of systemd": (
        "0::/system.slice/app.service\n",
        [ROOT, V2.format(root="/", options="rw,nosuid shared:4")],
        [
            "/sys/fs/cgroup/system.slice/app.service",
            "/sys/fs/cgroup/system.slice",
            "/sys/fs/cgroup",
        ],
    ),
    "v2, container with a cgroup namespace of its own": (
        "0::/\n",
        [ROOT, V2.format(root="/", options="ro,nosuid")],
        ["/sys/fs/cgroup"],
    ),
    "v2, container in the host's cgroup namespace": (
        "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-2.scope\n",
        [
            V2.format(
                root="/kubepods.slice/kubepods-pod1.slice/cri-containerd-2.scope", options="ro"
            )
        ],
        ["/sys/fs/cgroup"],
    ),
    "v2, the same after a process was put into a child": (
        "0::/docker/4f/child\n",
        [V2.format(root="/docker/4f", options="ro")],
        ["/sys/fs/cgroup/child", "/sys/fs/cgroup"],
    ),
    "v1, Docker without cgroup namespaces": (
        "9:cpu,cpuacct:/docker/4f2a\n4:memory:/docker/4f2a\n1:name=systemd:/docker/4f2a\n",
        [V1_CPU, V1_MEMORY.format(root="/docker/4f2a")],
        ["/sys/fs/cgroup/memory"],
    ),
    "v1, a container that sees another part of the tree than its own": (
        "4:memory:/docker/4f2a\n",
        [V1_MEMORY.format(root="/ecs/77")],
        ["/sys/fs/cgroup/memory"],
    ),
    "hybrid: memory is v1's, v2 is for systemd only": (
        "8:pids:/\n4:memory:/process_api/4a77\n3:cpuset:/\n1:cpu:/\n0::/\n",
        [V1_CPU, V1_MEMORY.format(root="/"), HYBRID_V2],
        ["/sys/fs/cgroup/memory/process_api/4a77"],
    ),
    "a name with a blank, and one that begins alike": (
        "0::/my app/x\n",
        [V2.format(root="/my\\040app", options="rw")],
        ["/sys/fs/cgroup/x", "/sys/fs/cgroup"],
    ),
    "a sibling is not a child": (
        "0::/docker/4f2a\n",
        [V2.format(root="/docker/4f", options="rw")],
        ["/sys/fs/cgroup"],
    ),
    "v2, the host's mount is still there, below the container's": (
        "0::/leaf\n",
        [V2.format(root="/../..", options="rw"), V2.format(root="/", options="ro")],
        ["/sys/fs/cgroup/leaf", "/sys/fs/cgroup"],
    ),
    "v2, a cgroup namespace, but the mount is from outside: its root is above us": (
        "0::/\n",
        [V2.format(root="/..", options="rw")],
        ["/sys/fs/cgroup"],
    ),
    "v2, moved out of the cgroup namespace: what is mounted is another's": (
        "0::/../other\n",
        [V2.format(root="/", options="rw")],
        [],
    ),
    "v2, the same, but the mount is from outside": (
        "0::/../other\n",
        [V2.format(root="/..", options="rw")],
        ["/sys/fs/cgroup/other", "/sys/fs/cgroup"],
    ),
    "v2, parts of the tree are mounted elsewhere, too: the one that shows the most counts": (
        "0::/pod/container\n",
        [
            V2.format(root="/other", options="rw").replace(" /sys/fs/cgroup ", " /a "),
            V2.format(root="/pod/container", options="rw").replace(" /sys/fs/cgroup ", " /b "),
            V2.format(root="/", options="rw"),
            V2.format(root="/pod", options="rw").replace(" /sys/fs/cgroup ", " /c "),
        ],
        ["/sys/fs/cgroup/pod/container", "/sys/fs/cgroup/pod", "/sys/fs/cgroup"],
    ),
    "memory listed, but not mounted": ("4:memory:/x\n0::/\n", [ROOT, V1_CPU], []),
    "no cgroups mounted": ("0::/\n", [ROOT], []),
    "a kernel without cgroups": ("", [ROOT], []),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_where_the_counter_may_be(name: str) -> None:
    """In the cgroup that we are in, as far as it can be seen; with v2 in those above it, too."""
    cgroups, mounts, directories = LAYOUTS[name]
    file = "memory.oom_control" if ":memory:" in cgroups else "memory.events"
    expected = [f"{directory}/{file}" for directory in directories]
    assert counter_files(cgroups, "\n".join([*mounts, ""])) == expected


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc/self and a cgroup2 mount of files, with us in POD/container/leaf."""
    (tmp_path / "cgroup").write_text("0::/pod/container/leaf\n")
    mount = V2.format(root="/", options="rw").replace("/sys/fs/cgroup", str(tmp_path))
    (tmp_path / "mountinfo").write_text(f"{mount}\n")
    (tmp_path / "pod/container/leaf").mkdir(parents=True)
    monkeypatch.setattr(oomkills, "_PROC", str(tmp_path))
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
