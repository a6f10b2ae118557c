"""What a type checker tells a user of the library."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.helpers import PYTHON

WRONG_USES = Path(__file__).with_name("wrong_uses.py").read_text()
MARK = re.compile(r"# type: ignore\[(.+?)\]")


def marked() -> list[tuple[int, str]]:
    """The lines, and what is wrong with them in mypy's words."""
    lines = enumerate(WRONG_USES.splitlines(), 1)
    return [(number, mark[1]) for number, line in lines if (mark := MARK.search(line))]


def test_mypy_refuses_wrong_uses_and_no_others(tmp_path):
    """Of the package as it is installed, which must bring its marker `py.typed`."""
    file = tmp_path / "wrong_uses.py"
    file.write_text(MARK.sub("#", WRONG_USES))
    mypy = [PYTHON[0], "-Im", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}"]
    result = subprocess.run([*mypy, file], capture_output=True, text=True, cwd=tmp_path)
    errors = re.findall(r"^wrong_uses\.py:(\d+): error: .+\[(.+)\]$", result.stdout, re.MULTILINE)
    assert [(int(line), code) for line, code in errors] == marked(), result.stdout + result.stderr
