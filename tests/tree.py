"""The list of modules in docs/design.md, taken from the tree and its docstrings.

python -m tests.tree        writes it
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DESIGN = ROOT / "docs/design.md"
LIST = re.compile(r"(?<=<!-- tree -->\n```\n)rebound/.*?(?=```\n)", re.DOTALL)


def lines() -> str:
    """A line for each folder and module: the first sentence of its docstring."""
    package = ROOT / "rebound"
    folders = sorted(path.parent for path in package.glob("*/__init__.py"))
    found = ["rebound/", *map(_line, sorted(package.glob("[a-z]*.py")))]
    for folder in folders:
        found.append(f"  {folder.name + '/':18}{_first_line(folder / '__init__.py')}")
        found += ["  " + _line(path) for path in sorted(folder.glob("[a-z]*.py"))]
    return "".join(line + "\n" for line in found)


def _line(path: Path) -> str:
    return f"  {path.name:18}{_first_line(path)}"


def _first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0].rstrip(".")


if __name__ == "__main__":
    DESIGN.write_text(LIST.sub(lambda _: lines(), DESIGN.read_text()))
    sys.exit()
