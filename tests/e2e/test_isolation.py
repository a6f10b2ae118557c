"""What is meant for the command does not touch rebound; ways of installation."""

from __future__ import annotations

import os
import subprocess
import venv

import pytest

from tests.helpers import PYTHON, REBOUND, REPOSITORY, run

SHOUT = "import os; os.write(1, b'sitecustomize\\n')"


def test_python_variables_reach_the_command_and_not_rebound(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(SHOUT)
    variables = {
        "PYTHONPATH": str(tmp_path),
        "PYTHONHOME": "/nonexistent",
        "PYTHONINSPECT": "1",
        "PYTHONVERBOSE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONMALLOC": "debug",
    }
    result = run("-q", "env", env={"PATH": os.environ["PATH"], **variables})
    assert result.stderr == ""
    assert "sitecustomize" not in result.stdout
    for name, value in variables.items():
        assert f"{name}={value}\n" in result.stdout


def test_the_command_runs_its_sitecustomize(tmp_path):
    """The negative control: PYTHONPATH does what it should where it should."""
    (tmp_path / "sitecustomize.py").write_text(SHOUT)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    assert run("-q", PYTHON[0], "-c", "pass", env=env).stdout == "sitecustomize\n"


@pytest.mark.parametrize("name", ["signal", "os", "_signal", "rebound", "ctypes", "select"])
def test_modules_in_the_current_directory_are_not_taken(tmp_path, name):
    (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from here')")
    result = run("-q", "-r", 1, "false", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert "taken" not in result.stderr


def test_through_symlinks(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.symlink_to(REBOUND)
    second.symlink_to(first.name)
    for link in (first, second, f"./{second.name}"):
        result = subprocess.run([link, "-q", "-r", "1", "sh", "-c", "exit 7"], cwd=tmp_path)
        assert result.returncode == 7


def test_through_path_and_with_an_empty_environment():
    env = {"PATH": f"{os.path.dirname(REBOUND)}:{os.environ['PATH']}"}
    assert subprocess.run(["rebound", "-q", "true"], env=env).returncode == 0
    assert run("-q", "/bin/true", env={}).returncode == 0


def test_arguments_and_environment_of_any_bytes():
    odd = bytes(set(range(1, 256)))
    command = [REBOUND, "-q", "/usr/bin/printf", "%s", odd]
    for env in ({}, {"LC_ALL": "C"}, {"LC_ALL": "de_DE.ISO-8859-1"}, {b"X\xff": odd}):
        assert subprocess.run(command, env=env, capture_output=True).stdout == odd
    result = subprocess.run(
        [REBOUND, "-q", "/usr/bin/env"], env={b"X\xff": odd}, capture_output=True
    )
    assert result.stdout == b"X\xff=" + odd + b"\n"


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
