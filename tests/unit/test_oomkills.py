"""Where the counter of out-of-memory kills is, on layouts as they were found on machines.

/proc/self/cgroup and /proc/self/mountinfo, shortened to the lines that matter.
"""

from __future__ import annotations

import pytest

from rebound.parts.oomkills import counter_file, parse_count

V2 = "30 23 0:26 {root} /sys/fs/cgroup {options} - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot"
V1_MEMORY = "37 32 0:33 {root} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory"
V1_CPU = "36 32 0:32 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct"
HYBRID_V2 = "33 32 0:29 / /sys/fs/cgroup/unified rw,relatime shared:5 - cgroup2 cgroup2 rw"
ROOT = "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/root rw"

LAYOUTS = {
    "v2, Debian 12, a service of systemd": (
        "0::/system.slice/app.service\n",
        [ROOT, V2.format(root="/", options="rw,nosuid shared:4")],
        "/sys/fs/cgroup/system.slice/app.service/memory.events",
    ),
    "v2, container with a cgroup namespace of its own": (
        "0::/\n",
        [ROOT, V2.format(root="/", options="ro,nosuid")],
        "/sys/fs/cgroup/memory.events",
    ),
    "v2, container in the host's cgroup namespace": (
        "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-2.scope\n",
        [
            V2.format(
                root="/kubepods.slice/kubepods-pod1.slice/cri-containerd-2.scope", options="ro"
            )
        ],
        "/sys/fs/cgroup/memory.events",
    ),
    "v2, the same after a process was put into a child": (
        "0::/docker/4f/child\n",
        [V2.format(root="/docker/4f", options="ro")],
        "/sys/fs/cgroup/child/memory.events",
    ),
    "v1, Docker without cgroup namespaces": (
        "9:cpu,cpuacct:/docker/4f2a\n4:memory:/docker/4f2a\n1:name=systemd:/docker/4f2a\n",
        [V1_CPU, V1_MEMORY.format(root="/docker/4f2a")],
        "/sys/fs/cgroup/memory/memory.oom_control",
    ),
    "v1, a container that sees another part of the tree than its own": (
        "4:memory:/docker/4f2a\n",
        [V1_MEMORY.format(root="/ecs/77")],
        "/sys/fs/cgroup/memory/memory.oom_control",
    ),
    "hybrid: memory is v1's, v2 is for systemd only": (
        "8:pids:/\n4:memory:/process_api/4a77\n3:cpuset:/\n1:cpu:/\n0::/\n",
        [V1_CPU, V1_MEMORY.format(root="/"), HYBRID_V2],
        "/sys/fs/cgroup/memory/process_api/4a77/memory.oom_control",
    ),
    "a name with a blank, and one that begins alike": (
        "0::/my app/x\n",
        [V2.format(root="/my\\040app", options="rw")],
        "/sys/fs/cgroup/x/memory.events",
    ),
    "a sibling is not a child": (
        "0::/docker/4f2a\n",
        [V2.format(root="/docker/4f", options="rw")],
        "/sys/fs/cgroup/memory.events",
    ),
    "memory listed, but not mounted": ("4:memory:/x\n0::/\n", [ROOT, V1_CPU], ""),
    "no cgroups mounted": ("0::/\n", [ROOT], ""),
    "a kernel without cgroups": ("", [ROOT], ""),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_where_the_counter_is(name: str) -> None:
    """The one of the cgroup that we are in, as far as it can be seen."""
    cgroups, mounts, path = LAYOUTS[name]
    assert counter_file(cgroups, "\n".join([*mounts, ""])) == path


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
