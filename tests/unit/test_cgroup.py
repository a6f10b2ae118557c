"""Our memory cgroup, on layouts as they were found on machines; and what it may take.

/proc/self/cgroup and /proc/self/mountinfo, shortened to the lines that matter.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rebound.kernel import cgroup
from rebound.kernel.cgroup import find, memory_limit

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
        [
            "/sys/fs/cgroup/memory/process_api/4a77",
            "/sys/fs/cgroup/memory/process_api",
            "/sys/fs/cgroup/memory",
        ],
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
    "v2, a container that rebound has divided": (
        "0::/rebound-rest\n",
        [V2.format(root="/", options="rw")],
        ["/sys/fs/cgroup"],
    ),
    "v2, a service that rebound has divided": (
        "0::/system.slice/app.service/rebound-rest\n",
        [V2.format(root="/", options="rw")],
        [
            "/sys/fs/cgroup/system.slice/app.service",
            "/sys/fs/cgroup/system.slice",
            "/sys/fs/cgroup",
        ],
    ),
    "v2, the command of another rebound": (
        "0::/rebound-command\n",
        [V2.format(root="/", options="rw")],
        ["/sys/fs/cgroup/rebound-command", "/sys/fs/cgroup"],
    ),
    "v1, in a cgroup below another": (
        "4:memory:/pod/container\n",
        [V1_MEMORY.format(root="/")],
        [
            "/sys/fs/cgroup/memory/pod/container",
            "/sys/fs/cgroup/memory/pod",
            "/sys/fs/cgroup/memory",
        ],
    ),
    "memory listed, but not mounted": ("4:memory:/x\n0::/\n", [ROOT, V1_CPU], []),
    "no cgroups mounted": ("0::/\n", [ROOT], []),
    "a kernel without cgroups": ("", [ROOT], []),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_where_our_cgroup_is(name: str) -> None:
    """The one that we are in, and those above it, as far as they can be seen."""
    cgroups, mounts, directories = LAYOUTS[name]
    found = find(cgroups, "\n".join([*mounts, ""]))
    assert found.directories == directories
    version = 1 if ":memory:" in cgroups else 2
    assert found.version == version or not directories


MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(params=["v1", "v2"])
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A /proc/self and a mount of files, with us in POD/container; of either version."""
    is_v1 = request.param == "v1"
    (tmp_path / "cgroup").write_text(f"{'4:memory' if is_v1 else '0:'}:/pod/container\n")
    mount = (V1_MEMORY if is_v1 else V2).format(root="/", options="rw")
    (tmp_path / "mountinfo").write_text(f"{ROOT}\n{mount}\n")
    monkeypatch.setattr(cgroup, "_PROC", str(tmp_path))
    point = "/sys/fs/cgroup/memory" if is_v1 else "/sys/fs/cgroup"
    (tmp_path / "mountinfo").write_text(f"{mount.replace(point, str(tmp_path))}\n")
    (tmp_path / "pod/container").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("pod", "container", "limit"),
    [
        ("100", "70", 70),
        ("50", "70", 50),
        ("max", "70", 70),
        ("70", "max", 70),
        ("70", "9223372036854771712", 70),  # how v1 says that there is none
        ("max", "max", MACHINE),
        (str(2 * MACHINE), "max", MACHINE),
    ],
)
def test_the_least_of_all_limits_counts(tree: Path, pod: str, container: str, limit: int) -> None:
    """Ours, those above it, and what the machine has."""
    for name in ("memory.max", "memory.limit_in_bytes"):
        (tree / "pod" / name).write_text(f"{pod}\n")
        (tree / "pod/container" / name).write_text(f"{container}\n")
    assert memory_limit() == limit


def test_without_a_cgroup_it_is_what_the_machine_has(tree: Path) -> None:
    """The root has no limit; nor does anything without /proc."""
    assert memory_limit() == MACHINE
    (tree / "cgroup").unlink()
    assert memory_limit() == MACHINE
