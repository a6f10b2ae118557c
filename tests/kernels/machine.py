"""A machine in qemu: a kernel, and a root directory of busybox, the one file and the scenarios."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.distros import REPOSITORY
from tests.kernels.architectures import Architecture
from tests.kernels.scenarios import Scenario

HERE = Path(__file__).parent

DIRECTORIES = ("bin", "proc", "sys", "dev", "run", "tmp", "scenarios")

SOURCES = {".py", ".c", ".h", ".sh"}
"""Of what the one file is made."""

DEADLINE = 300.0
"""Seconds for a machine; it takes some 35 where nothing else runs."""


def missing_tools(architecture: Architecture, further: Sequence[str]) -> list[str]:
    """Return the commands that are needed and not here."""
    tools = (*further, "apt-get", "cpio", "dpkg-deb", architecture.gcc, architecture.qemu[0])
    return [tool for tool in tools if not shutil.which(tool)]


def one_file(architecture: Architecture) -> Path:
    """Return the one file for images without Python; build it if a source is newer."""
    file = REPOSITORY / "dist" / f"rebound-linux-{architecture.name}"
    folders = (REPOSITORY / "rebound", REPOSITORY / "images/standalone")
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in SOURCES]
    newest = max(path.stat().st_mtime for path in files)
    if not file.exists() or file.stat().st_mtime < newest:
        subprocess.run([REPOSITORY / "images/standalone/build.sh", architecture.name], check=True)
    return file


def make_initrd(
    architecture: Architecture, busybox: Path, scenarios: Sequence[Scenario], work: Path
) -> Path:
    """Make the root directory below `work`, and the archive of it that the kernel unpacks."""
    root = work / "root"
    for name in DIRECTORIES:
        (root / name).mkdir(parents=True)
    shutil.copy(busybox, root / "bin")
    shutil.copy(one_file(architecture), root / "bin/rebound")
    gcc = [architecture.gcc, "-static", "-Os", "-s", "-std=gnu11", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*gcc, "-o", str(root / "bin/tool"), str(HERE / "tool.c")], check=True)
    for guest in (HERE / "guest").iterdir():
        shutil.copy(guest, root)
    for number, scenario in enumerate(scenarios):
        file = root / f"scenarios/{number:02}-{scenario.name}"
        file.write_text(f". /lib.sh\n{scenario.script}")
    archive = work / "initrd"
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    make = ["cpio", "--create", "--format=newc", "--quiet", "--owner=0:0", f"--file={archive}"]
    subprocess.run(make, cwd=root, input=names.encode(), check=True)
    return archive


class Machine(NamedTuple):
    """What qemu is told."""

    architecture: Architecture
    kernel: Path
    options: list[str]
    append: str
    """To the kernel's command line."""
    deadline: float
    """In seconds."""


def small(architecture: Architecture, kernel: Path, initrd: Path) -> Machine:
    """Return the machine that runs such an archive."""
    options = ["-smp", "1", "-m", "512", "-accel", "tcg", "-initrd", str(initrd)]
    return Machine(architecture, kernel, options, "rdinit=/init", DEADLINE)


def make_image(directory: Path, image: Path, size: str) -> None:
    """Make the image of a disk, ext4, with what is in a directory; the file has holes."""
    make = ["mke2fs", "-q", "-F", "-t", "ext4", "-d", str(directory), str(image), size]
    subprocess.run(make, stdout=subprocess.DEVNULL, check=True)


def disks(*images: Path) -> list[str]:
    """Return the options for disks, /dev/nvme0n1 and so on; what is written there is dropped.

    Debian's kernels have drivers for them, and for ext4, and need no initrd.  They probe them
    asynchronously: rarely, of two disks the second one is the first.
    """
    options = []
    for number, image in enumerate(images):
        options += ["-drive", f"file={image},format=raw,if=none,id=d{number},snapshot=on"]
        options += ["-device", f"nvme,drive=d{number},serial={number}"]
    return options


def boot(machine: Machine, log: Path) -> float:
    """Boot a machine, with its console in `log`; return how many seconds it took.

    qemu's exit status says nothing of what happened inside: the log does.
    """
    # `quiet` and `loglevel=1`: only a panic may write between the marks.  After it the machine
    # is to boot again (`panic=-1`), which ends qemu (`-no-reboot`).
    console = f"console={machine.architecture.console} quiet loglevel=1 panic=-1"
    qemu = [*machine.architecture.qemu, "-cpu", "max", "-nodefaults", "-no-user-config"]
    qemu += ["-display", "none", "-no-reboot", "-serial", "stdio", *machine.options]
    qemu += ["-kernel", str(machine.kernel), "-append", f"{console} {machine.append}"]
    began = time.monotonic()
    with open(log, "wb") as file:
        try:
            subprocess.run(
                qemu,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=machine.deadline,
            )
        except subprocess.TimeoutExpired:
            pass
    return time.monotonic() - began


def qemu_version(architecture: Architecture) -> str:
    """Return the version of qemu, e.g. `7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)`."""
    command = [architecture.qemu[0], "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return said.splitlines()[0].partition("version ")[2]
