"""Makes all packages of the files in dist/: `python -m images.packages`.

images/standalone/build.sh has made these files, for one architecture or more.  The folder
dist/release/ is made anew, and holds all that a release is.  The same files and the same commit
give the same packages, byte for byte.  All times in them are that of the commit, or what the
variable SOURCE_DATE_EPOCH says.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tarfile
import tempfile
from pathlib import Path

from images.packages import completions, debian, wheel
from images.packages.debian import Files
from images.packages.manual import manual
from images.packages.project import DEBIAN, ROOT, VERSION, commit_time
from images.packages.sbom import LINE, sbom

DIST = ROOT / "dist"
LICENCES = ("GPL-3", "LGPL-2.1", "LICENSE", "NOTICE")


def common(file: Path) -> Files:
    """Return what is below the prefix (/usr), and its modes: the program, its page, completions."""
    found = {"bin/rebound": (file.read_bytes(), 0o755)}
    found["share/man/man1/rebound.1"] = (manual().encode(), 0o644)
    for path, make in completions.FILES.items():
        found[path] = (make().encode(), 0o644)
    return found


def documents(architecture: str) -> list[Path]:
    """Return the licences, and the list of what the file of an architecture is made of."""
    packages = f"packages-{architecture}"
    copyrights = LINE.findall((DIST / "doc" / packages).read_text())
    names = [*LICENCES, packages, *(binary for binary, *_source in copyrights)]
    return [DIST / "doc" / name for name in sorted(names)]


def tarball(name: str, content: Files, directory: Path) -> None:
    """Write an archive of these files below a folder of its name."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, (text, mode) in sorted(content.items()):
            member = tarfile.TarInfo(f"{name}/{path}")
            member.size, member.mode, member.mtime = len(text), mode, commit_time()
            archive.addfile(member, io.BytesIO(text))
    (directory / f"{name}.tar.gz").write_bytes(
        gzip.compress(data.getvalue(), 9, mtime=commit_time())
    )


def package(architecture: str, work: Path, directory: Path) -> None:
    """Make all packages of one architecture."""
    file = Path(shutil.copy(DIST / f"rebound-linux-{architecture}", directory))
    packages = (DIST / "doc" / f"packages-{architecture}").read_text()
    bill = directory / f"{file.name}.cdx.json"
    bill.write_text(sbom(file, packages))
    paths = documents(architecture)
    texts = {path.name: path.read_bytes() for path in paths}
    texts["CHANGELOG.md"] = (ROOT / "CHANGELOG.md").read_bytes()
    content = common(file)
    docs = {f"share/doc/rebound/{name}": (text, 0o644) for name, text in texts.items()}
    tarball(f"rebound-{VERSION}-linux-{architecture}", content | docs, directory)
    for_debian = debian.files(content, texts)
    debian.package(architecture, for_debian, work / "deb", directory)
    wheel.wheel(file, bill, paths, work / "wheel", directory)


def main() -> None:
    """Make all of them."""
    directory = DIST / "release"
    architectures = [name for name in DEBIAN if (DIST / f"rebound-linux-{name}").exists()]
    if not architectures:
        raise SystemExit("nothing to package: images/standalone/build.sh makes the file")
    commit_time()  # or nothing is made
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="rebound-packages-") as work:
        for architecture in architectures:
            package(architecture, Path(work, architecture), directory)
    wheel.build("sdist", ROOT, directory)
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(directory.iterdir())
    ]
    (directory / "SHA256SUMS").write_text("".join(sums))


if __name__ == "__main__":
    main()
