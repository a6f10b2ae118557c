"""The launcher finds its script, however it was called."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers import PYTHON, REBOUND

WITHOUT_PROC = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$0" "$@"']

EXECUTE = """
import os, sys
path, name, how = sys.argv[1:4]
fd = os.open(path, os.O_RDONLY)
if how == "replaced":
    os.rename(path + ".new", path)
os.set_inheritable(fd, how == "inheritable")
os.execve(fd, [name, *sys.argv[4:]], os.environ)
"""
"""Call fexecve(3) with a path, what is to be argv[0], how, and the arguments."""


def said(*command, **options):
    """Run a command to its end; give its status and output, with no word from rebound."""
    result = subprocess.run(command, capture_output=True, text=True, **options)
    assert result.stderr == ""
    return result.returncode, result.stdout


@pytest.fixture
def launcher(tmp_path):
    """Return a launcher of our own, with its script beside it."""
    directory = tmp_path / "bin"
    directory.mkdir()
    shutil.copy(REBOUND, directory / "rebound")
    # Not the whole script: what it takes itself to be says whether it is ours.
    (directory / "rebound-python").write_text(f"#!{PYTHON[0]}\nprint(__file__)\n")
    return directory / "rebound"


@pytest.fixture
def found(launcher):
    """Return what is said when the script was found."""
    return 0, f"{launcher}-python\n"


@pytest.fixture
def trap(tmp_path):
    """Return a directory with scripts that are not to be taken."""
    directory = tmp_path / "trap"
    directory.mkdir()
    for name in ("rebound", "script"):
        (directory / f"{name}-python").write_text(f"#!{PYTHON[0]}\nprint('trapped')\n")
    return directory


def script(directory: Path, interpreter: object) -> Path:
    path = directory / "script"
    path.write_text(f"#!{interpreter} sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("wrapper", [[], WITHOUT_PROC], ids=["proc", "no-proc"])
def test_in_the_first_line_of_a_script(launcher, found, tmp_path, wrapper):
    assert said(*wrapper, script(tmp_path, launcher)) == found
    link = tmp_path / "link"
    link.symlink_to(launcher)
    assert said(*wrapper, script(tmp_path, link)) == found
    assert said(*wrapper, "./script", cwd=tmp_path) == found


def test_a_script_with_a_script_of_the_same_name_beside_it(launcher, found, trap):
    assert said(script(trap, launcher)) == found


def test_a_script_in_the_first_line_of_a_script(launcher, found, tmp_path):
    outer = tmp_path / "outer"
    outer.write_text(f"#!{script(tmp_path, launcher)}\n")
    outer.chmod(0o755)
    assert said(outer) == found


@pytest.mark.parametrize("wrapper", [[], WITHOUT_PROC], ids=["proc", "no-proc"])
@pytest.mark.parametrize("name", ["rebound", "/nonexistent/rebound"])
def test_under_another_name(launcher, found, trap, wrapper, name):
    """As `exec -a` has it; what is in the working directory is not taken."""
    program = [*PYTHON, "-c", "import os, sys; os.execv(sys.argv[1], [sys.argv[2], 'true'])"]
    assert said(*wrapper, *program, launcher, name, cwd=trap) == found


@pytest.mark.parametrize("how", ["inheritable", "closed", "replaced"])
def test_by_a_descriptor(launcher, found, trap, how):
    shutil.copy(launcher, f"{launcher}.new")
    name = launcher if how == "replaced" else "rebound"
    assert said(*PYTHON, "-c", EXECUTE, launcher, name, how, "true", cwd=trap) == found


def test_below_the_dynamic_linker(launcher, found):
    """It has the launcher as its argument, and /proc/self/exe is itself."""
    headers = subprocess.run(["readelf", "-lW", launcher], capture_output=True, text=True).stdout
    linker = headers.partition("program interpreter: ")[2].partition("]")[0]
    assert said(linker, launcher) == found


@pytest.mark.parametrize("wrapper", [[], WITHOUT_PROC], ids=["proc", "no-proc"])
def test_without_its_script(launcher, trap, wrapper):
    os.unlink(f"{launcher}-python")
    command = [*wrapper, launcher]
    result = subprocess.run(command, capture_output=True, text=True, cwd=trap)
    assert (result.returncode, result.stdout) == (125, "")
    assert result.stderr == (
        f"rebound: cannot find the script beside {launcher}: No such file or directory\n"
    )
