"""The folder that all of a release is in."""

from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.helpers import REPOSITORY


class Release(NamedTuple):
    """Where it is, and which of its files are for this machine."""

    directory: Path
    machine: str
    other: str
    debian: str
    debian_other: str


_X86 = platform.machine() == "x86_64"
RELEASE = Release(
    REPOSITORY / "dist/release",
    *(("x86_64", "aarch64") if _X86 else ("aarch64", "x86_64")),
    *(("amd64", "arm64") if _X86 else ("arm64", "amd64")),
)


def the(pattern: str) -> Path:
    """Return the one file of the release that has such a name."""
    (path,) = RELEASE.directory.glob(pattern)
    return path


def said(*command: str | Path) -> str:
    """Return what a command writes."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def commit() -> str:
    """Return the commit that the one file names."""
    text = said(the(f"rebound-linux-{RELEASE.machine}"), "-v", "--version")
    [found] = re.findall("^commit (.*)$", text, re.MULTILINE)
    return str(found)
