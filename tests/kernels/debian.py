"""Debian's kernels and busybox, through apt from this machine's mirror, kept for the next time.

The apt has settings and indexes of its own: those of this machine are not touched.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable
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


def kernel(name: str, architecture: Architecture) -> Path:
    """Return the file of a kernel, vmlinuz-VERSION; download it unless it is here.

    Raises `Failed` if the mirror does not have it.
    """

    def fetch(work: Path) -> tuple[Path, str]:
        unpacked = _download(RELEASES[name], f"linux-image-cloud-{kind}", architecture, work)
        [file] = unpacked.rglob("vmlinuz*")
        # /boot/vmlinuz-VERSION; since 7.x /usr/lib/modules/VERSION/vmlinuz.
        version = file.name.partition("-")[2] or file.parent.name
        return file, f"vmlinuz-{version}"

    kind = architecture.debian
    return keep(f"{name}-{kind}", fetch)


def busybox(architecture: Architecture) -> Path:
    """Return a busybox that needs no libraries, the same for all kernels, in the same way."""

    def fetch(work: Path) -> tuple[Path, str]:
        unpacked = _download("bookworm", "busybox-static", architecture, work)
        return unpacked / "bin/busybox", "busybox"

    return keep(f"busybox-{architecture.debian}", fetch)


def keep(name: str, fetch: Callable[[Path], tuple[Path, str]]) -> Path:
    """Return the one file in a directory of the cache; unless that is here, have it fetched."""
    directory = CACHE / name
    if not directory.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            file, file_name = fetch(Path(work))
            complete = Path(work, "complete")
            complete.mkdir()
            file.rename(complete / file_name)
            complete.rename(directory)
    [file] = directory.iterdir()
    return file


def _download(release: str, package: str, architecture: Architecture, work: Path) -> Path:
    """Download a package and its parts, and return the directory with what is in them."""
    unpacked = work / "unpacked"
    for directory in (work / "lists/partial", work / "cache/archives/partial", unpacked):
        directory.mkdir(parents=True)
    (work / "status").touch()
    try:
        _download_from(sources(release, mirror(), _security_mirror()), package, architecture, work)
    except Failed:
        # Of an old release a mirror may have no security updates any more, or some packages only.
        for file in work.glob("*.deb"):
            file.unlink()
        _download_from(sources(release, mirror(), ""), package, architecture, work)
    for file in work.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", str(file), str(unpacked)], check=True)
    return unpacked


def _download_from(text: str, package: str, architecture: Architecture, work: Path) -> None:
    (work / "sources.list").write_text(text)
    _apt("apt-get", architecture, work, "update")
    _apt("apt-get", architecture, work, "download", *_parts(package, architecture, work))


def _security_mirror() -> str:
    try:
        return mirror("Debian-Security")
    except Failed:
        return ""


def _parts(package: str, architecture: Architecture, work: Path) -> list[str]:
    """Return the package, or the parts that it is made of, if it has but dependencies on them."""
    found = [package]
    for name in found:
        depends = _apt("apt-cache", architecture, work, "depends", "--important", name)
        needed = re.findall(r"^ *(?:Pre)?Depends: (\S+)$", depends, re.MULTILINE)
        found += [part for part in needed if PARTS.fullmatch(part) and part not in found]
    return found[1:] or found


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
