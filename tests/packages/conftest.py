"""What is in the folder of the release."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.packages.release import RELEASE, the


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the tarball of this architecture is unpacked: the prefix."""
    directory = tmp_path_factory.mktemp("tarball")
    with tarfile.open(the(f"rebound-*-linux-{RELEASE.machine}.tar.gz")) as archive:
        archive.extractall(directory, filter="data")
    (prefix,) = directory.iterdir()
    return prefix
