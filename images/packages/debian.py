"""The Debian packages, made by dpkg-deb of what the tarballs hold, laid out as Debian wants it."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import textwrap
from email.utils import formatdate
from pathlib import Path

from images.packages.completions import fill
from images.packages.project import DEBIAN, LONG, MAINTAINER, PROJECT, URLS, VERSION, commit_time

NAME = PROJECT["name"]
"""Debian has a package `rebound`: another program."""

REVISION = f"{VERSION}-1"

Files = dict[str, tuple[bytes, int]]
"""What is in files, and their modes, by their paths."""


def compress(text: bytes) -> bytes:
    """Return what `gzip -9n` does."""
    return gzip.compress(text, 9, mtime=0)


def files(common: Files, documents: dict[str, bytes]) -> Files:
    """Return the package's files and modes by their paths."""
    doc = f"usr/share/doc/{NAME}"
    found = {f"usr/{path}": content for path, content in common.items()}
    # Debian leaves site-functions to the administrator.
    zsh = found.pop("usr/share/zsh/site-functions/_rebound")
    found["usr/share/zsh/vendor-completions/_rebound"] = zsh
    page = "usr/share/man/man1/rebound.1"
    found[f"{page}.gz"] = (compress(found.pop(page)[0]), 0o644)
    changelog = fill(
        "debian.changelog",
        name=NAME,
        version=REVISION,
        maintainer=MAINTAINER,
        date=formatdate(commit_time()).replace("-0000", "+0000"),
    )
    texts = {
        f"{doc}/changelog.Debian.gz": compress(changelog.encode()),
        f"{doc}/changelog.gz": compress(documents["CHANGELOG.md"]),
        f"{doc}/copyright": fill(
            "debian.copyright", source=URLS["Source"], maintainer=MAINTAINER
        ).encode(),
        f"usr/share/lintian/overrides/{NAME}": fill("debian.overrides", name=NAME).encode(),
    }
    # Debian has the licences themselves in /usr/share/common-licenses.
    for name in documents.keys() - {"CHANGELOG.md", "LICENSE", "GPL-3", "LGPL-2.1"}:
        texts[f"{doc}/{name}"] = documents[name]
    return found | {path: (text, 0o644) for path, text in texts.items()}


def control(architecture: str, size: int) -> str:
    """Return the control file of a package that takes that many bytes."""
    paragraph = textwrap.indent(textwrap.fill(LONG, 76), " ")
    return fill(
        "debian.control",
        name=NAME,
        version=REVISION,
        architecture=DEBIAN[architecture],
        maintainer=MAINTAINER,
        size=str(-(-size // 1024)),
        homepage=URLS["Source"],
        summary="restart a container's command when it crashes",
        description=paragraph,
    )


def package(architecture: str, content: Files, work: Path, directory: Path) -> None:
    """Build a package of these files."""
    sums = [
        f"{hashlib.md5(text, usedforsecurity=False).hexdigest()}  {path}\n"
        for path, (text, _mode) in sorted(content.items())
    ]
    size = sum(len(text) for text, _mode in content.values())
    metadata = {
        "DEBIAN/control": (control(architecture, size).encode(), 0o644),
        "DEBIAN/md5sums": ("".join(sums).encode(), 0o644),
    }
    for path, (text, mode) in (content | metadata).items():
        file = work / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text)
        file.chmod(mode)
    when = commit_time()
    for each in (work, *work.rglob("*")):
        if each.is_dir():
            each.chmod(0o755)
        os.utime(each, (when, when))
    deb = directory / f"{NAME}_{REVISION}_{DEBIAN[architecture]}.deb"
    # With one thread: it is one stream then, on each machine.
    command = ["dpkg-deb", "--root-owner-group", "--threads-max=1", "-Zxz", "--build"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(when)}
    subprocess.run([*command, work, deb], check=True, env=environment, stdout=subprocess.DEVNULL)
