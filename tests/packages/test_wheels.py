"""The wheels of rebound-init-bin, as pip and uv take them."""

from __future__ import annotations

import subprocess
import sys
import venv

import pytest

from tests.package.test_installation import works
from tests.packages.release import RELEASE, the

OFFLINE = ["--no-index", "--find-links", str(RELEASE.directory)]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
UV = [sys.executable, "-m", "uv", "--offline", "--no-config", "--no-cache"]


@pytest.fixture
def environment(tmp_path):
    """Return a virtual environment without pip, as uv makes it."""
    venv.create(tmp_path / "venv", with_pip=False)
    return tmp_path / "venv"


def install(environment, tool, *what):
    python = environment / "bin/python"
    command = {
        "pip": [*PIP, "--python", python, "install", "--quiet"],
        "uv": [*UV, "pip", "install", "--quiet", "--python", python],
    }[tool]
    return subprocess.run([*command, *OFFLINE, *what], capture_output=True, text=True)


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_it_is_installed_with_nothing_else(environment, tool):
    before = set(environment.glob("lib/python3.*/site-packages/*"))
    result = install(environment, tool, "rebound-init-bin")
    assert result.returncode == 0, result.stderr
    assert works(environment / "bin/rebound")
    assert (environment / "bin/rebound").read_bytes() == the(
        f"rebound-linux-{RELEASE.machine}"
    ).read_bytes()
    (added,) = set(environment.glob("lib/python3.*/site-packages/*")) - before
    assert added.name.startswith("rebound_init_bin-")


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_that_of_another_architecture_is_refused(environment, tool):
    result = install(environment, tool, the(f"rebound_init_bin-*_{RELEASE.other}.whl"))
    assert result.returncode
    said = " ".join(result.stderr.split())
    # "is not a supported wheel on this platform", "is incompatible with the current platform"
    assert "platform" in said
    assert not (environment / "bin/rebound").exists()


@pytest.mark.parametrize("libc", ["manylinux2014", "manylinux_2_17", "musllinux_1_1"])
@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
def test_each_platform_finds_its_own(libc, architecture, tmp_path):
    """glibc's and musl's, whatever this one is."""
    platform = f"{libc}_{architecture}"
    options = ["--quiet", "--platform", platform, "--only-binary", ":all:", "--dest", tmp_path]
    subprocess.run([*PIP, "download", *OFFLINE, *options, "rebound-init-bin"], check=True)
    (found,) = tmp_path.iterdir()
    assert found.name.endswith(f"_{architecture}.whl")
