"""What takes long to make is kept for the next time, under the digest of what it is made of."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.distros import REPOSITORY
from tests.kernels import debian

CACHE = debian.CACHE.parent / "machine"


def digest(*parts: str) -> str:
    """Return a short digest of texts; where one ends and the next begins counts, too."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def digest_of_files(paths: Iterable[Path]) -> str:
    """Return the digest of files' names and contents, those in directories included."""
    files = (file for path in paths for file in (path, *path.rglob("*")) if file.is_file())
    found = {
        str(file.relative_to(REPOSITORY)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if "__pycache__" not in file.parts
    }
    return digest(*(f"{name} {content}" for name, content in sorted(found.items())))


def kept(name: str, key: str, make: Callable[[Path], None], *, renew: bool = False) -> Path:
    """Return a directory of the cache; unless it is there, have `make` fill an empty one.

    What was kept under the same name with another key is removed.
    """
    directory = CACHE / f"{name}-{key}"
    if renew:
        shutil.rmtree(directory, ignore_errors=True)
    if not directory.exists():
        print(f"making {directory}", flush=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            made = Path(work, "made")
            made.mkdir()
            make(made)
            made.rename(directory)
        for other in CACHE.glob(f"{name}-*"):
            if other != directory:
                shutil.rmtree(other)
    return directory
