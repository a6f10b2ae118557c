"""Anybody can make the same packages of the same commit, anywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from images.packages.project import DEBIAN, commit_time
from tests.distros import LEFT_OUT
from tests.helpers import REPOSITORY
from tests.packages.release import RELEASE, commit


@pytest.mark.timeout(600)
def test_built_elsewhere_it_is_the_same_byte_for_byte(tmp_path):
    """Without the repository's .git, too, by another user's folder and umask."""
    copy = tmp_path / "another folder" / "rebound"
    shutil.copytree(REPOSITORY, copy, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
    told = {"REBOUND_COMMIT": commit(), "SOURCE_DATE_EPOCH": str(commit_time())}
    environment = {**os.environ, **told, "LC_ALL": "C.UTF-8", "TZ": "Asia/Kathmandu"}
    for architecture in DEBIAN:
        command = [copy / "images/standalone/build.sh", architecture]
        subprocess.run(command, check=True, env=environment, umask=0o077)
    command = [sys.executable, "-m", "images.packages"]
    subprocess.run(command, check=True, env=environment, cwd=copy, umask=0o077)
    assert (copy / "dist/release/SHA256SUMS").read_text() == (
        RELEASE.directory / "SHA256SUMS"
    ).read_text()
