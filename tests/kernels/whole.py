"""A whole Debian with Python in the machine, in which the end-to-end tests themselves run."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path

from tests import distros
from tests.distros import REPOSITORY
from tests.kernels import debian, machine
from tests.kernels.architectures import ARCHITECTURES

NATIVE = ARCHITECTURES["x86_64"]
"""The only one for which a root directory is made: it runs the other's programs nowhere."""

TESTS = ("tests/kernel", *(f"tests/e2e/test_{name}.py" for name in ("oom", "reaping", "signals")))
"""Those that ask the kernel the most, and fit into some minutes."""

TOOLS = ("mmdebstrap", "mke2fs")
"""The commands that it takes."""

SIZE = "2500M"
"""Of the root image, of which half is used."""

DEADLINE = 3600.0
"""Seconds for a machine: all of tests/e2e and tests/kernel takes a quarter of an hour."""

PREPARE = """
{install} && python3 -m venv /opt/venv &&
/opt/venv/bin/pip install --constraint tests/constraints.txt {packages} python-prctl &&
cd /opt/venv/lib/python3*/site-packages && ln -s /checkout/rebound rebound &&
mkdir /checkout && rm -rf /root/rebound && apt-get clean
"""
"""What makes a fresh Debian ready for the tests; the checkout is mounted when it boots."""


def root_image() -> Path:
    """Return the image of the root directory; make it unless it is here, which takes minutes."""
    groups = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["dependency-groups"]
    install = distros.command_line("tests").partition(" && python3 -m venv")[0]

    def make(work: Path) -> tuple[Path, str]:
        archive, root, image = work / "root.tar", work / "root", work / "root.img"
        distros.make_root("bookworm", archive)
        root.mkdir()
        subprocess.run(["tar", "--extract", f"--file={archive}", f"--directory={root}"], check=True)
        command = PREPARE.format(install=install, packages=" ".join(groups["test"]))
        distros.run(root, command, work / "log")
        machine.make_image(root, image, SIZE)
        return image, image.name

    return debian.keep(f"tests-{NATIVE.debian}", make)


def run(kernel: Path, image: Path, tests: Sequence[str], work: Path, log: Path) -> float:
    """Boot a kernel with this root and the checkout; run tests there; return the seconds."""
    checkout = work / "checkout"
    ignore = shutil.ignore_patterns(*distros.LEFT_OUT)
    shutil.copytree(REPOSITORY, checkout, symlinks=True, ignore=ignore)
    (checkout / "dist").mkdir()
    shutil.copy(machine.one_file(NATIVE), checkout / "dist/rebound")
    (checkout / "words").write_text(" ".join(tests))
    shutil.copy(machine.HERE / "guest/tests", checkout / "init")
    machine.make_image(checkout, work / "checkout.img", "100M")
    options = ["-smp", "2", "-m", "2048", "-accel", "tcg,thread=multi"]
    options += machine.disks(image, work / "checkout.img")
    mount = "mount -t devtmpfs dev /dev; mount -t ext4 /dev/nvme1n1 /checkout; exec /checkout/init"
    append = f'root=/dev/nvme0n1 rw init=/bin/sh -- -c "{mount}"'
    return machine.boot(machine.Machine(NATIVE, kernel, options, append, DEADLINE), log)


def problems(console: str) -> list[str]:
    """Return the tests that failed; empty if all have passed."""
    if re.search(r"^@@ tests: exit 0\r?$", console, re.MULTILINE):
        return []
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", console, re.MULTILINE)
    return sorted(set(failed)) or ["the tests did not end well"]


def passed(console: str) -> int:
    """Return how many tests passed."""
    found = re.search(r"^=.* (\d+) passed.* in ", console, re.MULTILINE)
    return int(found[1]) if found else 0
