"""Ways of installing the package: pip, virtual environments, editable."""

from __future__ import annotations

import os
import subprocess
import venv

import pytest

from tests.helpers import PYTHON, REPOSITORY


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    directory = tmp_path_factory.mktemp("wheel")
    pip("wheel", "-q", "--no-deps", "-w", directory, REPOSITORY)
    (path,) = directory.glob("*.whl")
    return path


def pip(*args, python=PYTHON[0], **options):
    command = [python, "-m", "pip", "--disable-pip-version-check", *map(str, args)]
    subprocess.run(command, check=True, **options)


def works(rebound):
    result = subprocess.run(
        [rebound, "-r", "1", "sh", "-c", "echo $0; exit 7", "x"],
        capture_output=True,
        text=True,
        cwd="/",
    )
    return (result.returncode, result.stdout) == (7, "x\nx\n")


def test_installed_in_a_virtual_environment_with_a_blank_in_its_path(wheel, tmp_path):
    """The shebang cannot name such an interpreter; pip writes two lines of shell instead."""
    directory = tmp_path / "a blank"
    venv.create(directory, with_pip=True, system_site_packages=False)
    pip("install", "-q", "python-prctl", wheel, python=directory / "bin/python")
    assert works(directory / "bin/rebound")


def test_installed_with_user(wheel, tmp_path):
    home = tmp_path / "home"
    env = {**os.environ, "PYTHONUSERBASE": str(home)}
    base = subprocess.run(
        [PYTHON[0], "-Ic", "import sys; print(sys._base_executable)"],
        capture_output=True,
        text=True,
    ).stdout.strip()
    pip(
        "install",
        "-q",
        "--user",
        "--break-system-packages",
        "python-prctl",
        wheel,
        python=base,
        env=env,
    )
    assert works(home / "bin/rebound")


def test_installed_editable(tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    pip("install", "-q", "-e", REPOSITORY, python=tmp_path / "venv/bin/python")
    assert works(tmp_path / "venv/bin/rebound")


def test_incomplete_installation_is_said_in_one_line(wheel, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    pip("install", "-q", "--no-deps", wheel, python=tmp_path / "venv/bin/python")
    rebound = tmp_path / "venv/bin/rebound"
    result = subprocess.run([rebound, "true"], capture_output=True, text=True)
    assert result.returncode == 125
    assert result.stderr == "rebound: its installation is incomplete: No module named '_prctl'\n"
    (tmp_path / "venv/bin/rebound-python").unlink()
    result = subprocess.run([rebound, "true"], capture_output=True, text=True)
    assert result.returncode == 125
    assert result.stderr.count("\n") == 1
