"""The image of the other architecture, which is cross-compiled."""

from __future__ import annotations

import subprocess

import pytest

from tests.images.build import ARCHITECTURES, TOLD, Builder
from tests.images.engine import ENGINE, engine
from tests.packages.release import RELEASE

IMAGE = "rebound-other:scratch"


@pytest.mark.timeout(600)
def test_it_is_built_and_starts(tmp_path):
    """Below qemu-user: it starts, and all modules are imported."""
    platform = f"--platform=linux/{ARCHITECTURES[RELEASE.other]}"
    Builder().build(IMAGE, "scratch", platform)
    container = engine("create", platform, IMAGE, "x").strip()
    try:
        file = tmp_path / "rebound"
        subprocess.run([ENGINE, "cp", f"{container}:/usr/local/bin/rebound", file], check=True)
    finally:
        engine("rm", container)
        engine("rmi", IMAGE)
    qemu = [f"qemu-{RELEASE.other}-static", file, "-v", "--version"]
    version = subprocess.run(qemu, check=True, capture_output=True, text=True).stdout
    assert f"commit {TOLD['REVISION']}\n" in version
