"""What is meant for the command does not touch rebound."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.helpers import PYTHON, REBOUND, run

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
    assert subprocess.run([os.path.basename(REBOUND), "-q", "true"], env=env).returncode == 0
    assert run("-q", "/bin/true", env={}).returncode == 0


def test_arguments_and_environment_of_any_bytes():
    odd = bytes(set(range(1, 256)))
    command = [REBOUND, "-q", "/usr/bin/printf", "%s", odd]
    for env in ({}, {"LC_ALL": "C"}, {"LC_ALL": "de_DE.ISO-8859-1"}, {b"X\xff": odd}):
        assert subprocess.run(command, env=env, capture_output=True).stdout == odd
    result = subprocess.run(
        [REBOUND, "-q", "/usr/bin/env"], env={b"X\xff": odd}, capture_output=True
    )
    assert result.stdout == b"X\xff=" + odd + b"\nREBOUND_RESTARTS=0\n"


@pytest.mark.parametrize(
    "line",
    [f"#!{REBOUND} sh", f"#!/usr/bin/env -S {REBOUND} --quiet --max-restarts=1 sh"],
    ids=["one-word", "env-S"],
)
def test_named_in_the_first_line_of_a_script(tmp_path, line):
    """The kernel says then that the script was executed (AT_EXECFN)."""
    path = tmp_path / "script"
    path.write_text(f'{line}\necho "$0 $*"; exit 7\n')
    path.chmod(0o755)
    env = {**os.environ, "REBOUND_OPTIONS": "--max-restarts=1"}
    result = subprocess.run([path, "a", "b"], capture_output=True, text=True, env=env)
    assert (result.returncode, result.stdout) == (7, f"{path} a b\n" * 2)
