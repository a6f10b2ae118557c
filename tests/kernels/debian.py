"""Debian's kernels and busybox, through apt from this machine's mirror, kept for the next time.

The apt has settings and indexes of its own: those of this machine are not touched.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.distros import Failed, mirror
from tests.kernels.architectures import Architecture

RELEASES = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie", "sid": "sid"}
"""The kernels, and the releases of Debian that have them."""

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "rebound/kernels"

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

PARTS = re.compile(r"linux-(?:image|binary)-\d\S*")
"""The packages that hold a kernel; since 7.x the image's is empty."""


def sources(release: str, debian: str, security: str) -> str:
    """Return the sources.list of a release; its security updates, where there are any."""
    suites = [(debian, release)]
    if security and release != "sid":
        suites.append((security, f"{release}-security"))
    return "".join(f"deb [signed-by={KEYRING}] {uri} {suite} main\n" for uri, suite in suites)


def fetch(name: str, architecture: Architecture, *, renew: bool) -> Path:
    """Return a directory with vmlinuz-VERSION and busybox; download them unless they are there.

    Raises `Failed` if the mirror does not have them.
    """
    kept = CACHE / f"{name}-{architecture.debian}"
    if renew:
        shutil.rmtree(kept, ignore_errors=True)
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as directory:
            work = Path(directory)
            _download(RELEASES[name], architecture, work)
            complete = work / "complete"
            complete.mkdir()
            [kernel] = work.glob("unpacked/**/vmlinuz*")
            # /boot/vmlinuz-VERSION; since 7.x /usr/lib/modules/VERSION/vmlinuz.
            version = kernel.name.partition("-")[2] or kernel.parent.name
            kernel.rename(complete / f"vmlinuz-{version}")
            [busybox] = work.glob("unpacked/**/bin/busybox")
            busybox.rename(complete / "busybox")
            complete.rename(kept)
    return kept


def _download(release: str, architecture: Architecture, work: Path) -> None:
    for directory in ("lists/partial", "cache/archives/partial", "unpacked"):
        (work / directory).mkdir(parents=True)
    (work / "status").touch()
    (work / "sources.list").write_text(sources(release, mirror(), _security_mirror()))
    _apt("apt-get", architecture, work, "update")
    packages = ["busybox-static", *_kernel_packages(architecture, work)]
    _apt("apt-get", architecture, work, "download", *packages)
    for package in work.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", package, work / "unpacked"], check=True)


def _security_mirror() -> str:
    try:
        return mirror("Debian-Security")
    except Failed:
        return ""


def _kernel_packages(architecture: Architecture, work: Path) -> Iterator[str]:
    """Yield what linux-image-cloud-… is made of: it depends on the newest version."""
    found = [f"linux-image-cloud-{architecture.debian}"]
    for package in found:
        depends = _apt("apt-cache", architecture, work, "depends", "--important", package)
        needed = re.findall(r"^ *(?:Pre)?Depends: (\S+)$", depends, re.MULTILINE)
        new = [name for name in needed if PARTS.fullmatch(name) and name not in found]
        found += new
        yield from new


def _apt(command: str, architecture: Architecture, work: Path, *words: str) -> str:
    """Run apt for another release, or another architecture, in which nothing is installed."""
    settings = {
        "APT::Architecture": architecture.debian,
        "APT::Architectures::": architecture.debian,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Dir::Cache": work / "cache",
        "Dir::Etc::SourceList": work / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": work / "lists",
        "Dir::State::status": work / "status",
    }
    options = [f"--option={name}={value}" for name, value in settings.items()]
    ran = subprocess.run(
        [command, "--quiet=2", *options, *words], cwd=work, capture_output=True, text=True
    )
    if ran.returncode:
        errors = [line for line in ran.stderr.splitlines() if line.startswith("E:")]
        raise Failed(f"cannot be had from this machine's mirror: {(errors or ['?'])[0]}")
    return ran.stdout
