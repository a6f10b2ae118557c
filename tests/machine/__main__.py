"""Boots a whole Debian 13, and tries rebound below systemd and podman: `python -m tests.machine`."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.distros import REPOSITORY, Failed
from tests.helpers import PROGRAMS
from tests.kernels import judge, machine
from tests.kernels.architectures import ARCHITECTURES
from tests.kernels.scenarios import Scenario
from tests.machine import image, pod
from tests.machine.scenarios import END, MACHINES

GUEST = Path(__file__).parent / "guest"

NATIVE = ARCHITECTURES["x86_64"]
"""podman loads the images on this machine, without emulation."""

DEADLINE = 900.0
"""Seconds for the machine; it takes some 120 where nothing else runs."""

CRASHES = (
    'echo "run $REBOUND_RESTARTS of user $(id -u)"; '
    '[ "$REBOUND_RESTARTS" = 1 ] || exit 1; exec sleep 1000'
)
"""What runs behind the rebound of an image volume; in one line, as podman 5.4 misreads some of more."""

TOOLS = ("apt-get", "mke2fs", "mmdebstrap", "podman", "tar", "unshare", NATIVE.qemu[0])


class Result(NamedTuple):
    """What came of one machine."""

    name: str
    facts: dict[str, str]
    seconds: float
    problems: list[str]


Lanes = Sequence[Sequence[Scenario]]


def make_archive(lanes: Lanes, work: Path) -> Path:
    """Make the second disk, an archive that the machine unpacks to /."""
    root = work / "root"
    tests, units = root / "opt/tests", root / "etc/systemd/system"
    for folder in (tests / "lanes", units, root / "etc/containers/systemd"):
        folder.mkdir(parents=True)
    (root / "usr/local/bin").mkdir(parents=True)
    shutil.copy(machine.one_file(NATIVE), root / "usr/local/bin/rebound")
    shutil.copy(GUEST / "mark", root / "usr/local/bin")
    shutil.copytree(GUEST / "programs", tests / "programs")
    shutil.copy(PROGRAMS / "asker.py", tests / "programs")
    for name in ("play", "lib.sh", "client.yaml"):
        shutil.copy(GUEST / name, tests)
    (tests / "postgres.yaml").write_text(pod.playable(f"{image.NAME}:postgres"))
    images = (f"{image.NAME}:scratch", f"{image.NAME}:alpine")
    variant = pod.playable_with_image_volume(*images, "sh", "-c", CRASHES)
    (tests / "image-volume.yaml").write_text(variant)
    for unit in (GUEST / "units").iterdir():
        is_quadlet = unit.suffix == ".container"
        shutil.copy(unit, root / "etc/containers/systemd" if is_quadlet else units)
    # What nothing refers to is forgotten when it has stopped, with the descriptors in its store.
    (units / "tests.target.wants").mkdir()
    (units / "tests.target.wants/store.service").symlink_to("../store.service")
    for lane, scenarios in enumerate(lanes):
        folder = tests / "lanes" / str(lane)
        folder.mkdir()
        for number, scenario in enumerate(scenarios):
            file = folder / f"{number:02}-{scenario.name}"
            file.write_text(f". /opt/tests/lib.sh\n{scenario.script}")
    archive = work / "tests.tar"
    subprocess.run(["tar", "--create", "--file", archive, "--directory", root, "."], check=True)
    return archive


def boot(disk: Path, archive: Path, console: Path, journal: Path) -> float:
    """Boot a machine; return the seconds."""
    # With two CPUs qemu 7.2 may run instructions that the kernel has just replaced (Oops: int3).
    options = ["-smp", "1", "-m", "1536", "-accel", "tcg", "-serial", f"file:{journal}"]
    # Of two NVMe disks, which are probed asynchronously, either may be the first.
    options += machine.disks(disk / "root.img")
    options += ["-drive", f"file={archive},format=raw,if=virtio,readonly=on"]
    append = "root=/dev/nvme0n1 rw systemd.unit=tests.target systemd.show_status=false"
    append += " mitigations=off audit=0"  # faster
    [kernel] = disk.glob("vmlinuz-*")
    return machine.boot(machine.Machine(NATIVE, kernel, options, append, DEADLINE), console)


def run(name: str, lanes: Lanes, disk: Path, logs: Path) -> Result:
    """Boot a machine, and judge it by its console."""
    console, journal = logs / f"{name}.log", logs / f"{name}-journal.log"
    with tempfile.TemporaryDirectory(prefix="rebound-machine-") as work:
        seconds = boot(disk, make_archive(lanes, Path(work)), console, journal)
    log = console.read_text(errors="replace")
    played = [*(scenario for lane in lanes for scenario in lane), END]
    return Result(name, judge.facts(log), seconds, list(judge.problems(played, log)))


def report(results: Sequence[Result]) -> Iterator[str]:
    """Yield the lines of the report."""
    yield "# A whole Debian 13\n"
    yield f"qemu {machine.qemu_version(NATIVE)}; the machines run beside each other.\n"
    yield "| machine | kernel | systemd | podman | rebound | failed | s |"
    yield "|---|---|---|---|---|---|---|"
    for name, facts, seconds, problems in results:
        found = [facts.get(key, "?") for key in ("kernel", "systemd", "podman", "rebound")]
        yield f"| {name} | {' | '.join(found)} | {len(problems)} | {seconds:.0f} |"
    yield ""
    yield from (f"- {problem}" for result in results for problem in result.problems)


def lanes_of(machine_name: str, names: Collection[str]) -> list[list[Scenario]]:
    """Return what is to be played on a machine; lanes with nothing are left out."""
    found = [[s for s in lane if s.name in names] for lane in MACHINES[machine_name]]
    return [lane for lane in found if lane]


def main() -> int:
    """Run the command line; return 1 if something went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.machine", description=__doc__)
    all_names = [
        scenario.name for lanes in MACHINES.values() for lane in lanes for scenario in lane
    ]
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{', '.join(all_names)}; default: all"
    )
    parser.add_argument("--renew", action="store_true", help="make all anew that is kept")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in all_names]:
        parser.error(f"no scenario {unknown[0]}; there are {', '.join(all_names)}")
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        parser.error(f"needs {', '.join(missing)}")
    names = options.names or all_names
    logs = REPOSITORY / "build/machine"
    logs.mkdir(parents=True, exist_ok=True)
    try:
        disk = image.disk(renew=options.renew)
    except Failed as error:
        parser.exit(1, f"{error}\n")
    machine.one_file(NATIVE)
    print(f"consoles and journals: {logs}", flush=True)
    played = {name: lanes for name in MACHINES if (lanes := lanes_of(name, names))}
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(run, name, lanes, disk, logs) for name, lanes in played.items()]
    results = [ended.result() for ended in running]
    text = "\n".join(report(results)) + "\n"
    (REPOSITORY / "dist/machine.md").write_text(text)
    print(text)
    return any(result.problems for result in results)


if __name__ == "__main__":
    sys.exit(main())
