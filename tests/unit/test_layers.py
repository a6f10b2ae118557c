"""What may import what, read from the source; and what a start loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import _prctl
import pytest

import rebound

PACKAGE = Path(rebound.__file__).parent
MODULES = {path.stem: path.read_text() for path in PACKAGE.glob("*.py")}

LAYERS = ("record", "signals", "exitstatus", "config", "notify", "events", "restart")
LAYERS += ("health", "service", "watched")
"""The pure modules; each may import those before it."""

LOWER = {name: LAYERS[:place] for place, name in enumerate(LAYERS)}
LOWER["options"] = LAYERS[: LAYERS.index("notify")]
LOWER["jsontext"] = ()

STANDARD_LIBRARY = {"signals": {"_signal"}}
"""What a pure module needs of it: the signals' numbers."""

ON_DEMAND = {"cgroup", "checker", "client", "control", "forkexec", "health", "jsonlog"}
ON_DEMAND |= {"jsontext", "libc", "manager", "notify", "notifysocket", "runsocket", "status"}
ON_DEMAND |= {"termination", "watched"}
"""Modules that are for some option only, or for after the first start."""

TOO_SLOW = {"_socket", "argparse", "collections", "ctypes", "dataclasses", "enum", "inspect"}
TOO_SLOW |= {"logging", "re", "signal", "subprocess", "typing"}
"""Modules that cost a start too much, alone or through what they import."""


def statements(node: ast.AST, *, for_types: bool) -> Iterator[ast.AST]:
    """All statements, however deep; those for type checkers only if asked for."""
    for child in ast.iter_child_nodes(node):
        yield child
        typing_only = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        run = ast.Module(child.orelse, []) if typing_only and not for_types else child
        yield from statements(run, for_types=for_types)


def imports(source: str, *, for_types: bool = False) -> set[str]:
    """The modules that a source of the package imports: `os`, `rebound.config`."""
    found = set()
    for node in statements(ast.parse(source), for_types=for_types):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(filter(None, ["rebound" if node.level else "", node.module]))
            if module == "rebound":
                found.update(f"rebound.{alias.name}" for alias in node.names)
            else:
                found.add(module)
    return found


def test_an_import_is_found_wherever_it_is() -> None:
    """Else the tests below would prove nothing."""
    source = """
import os.path
from rebound import config, cli as c
from . import loop
from .log import Log
if TYPE_CHECKING:
    import typing
else:
    import _signal
def f():
    if True:
        from select import epoll
"""
    ours = {f"rebound.{name}" for name in ("config", "cli", "loop", "log")}
    found = {"os.path", "_signal", "select"} | ours
    assert imports(source) == found
    assert imports(source, for_types=True) == found | {"typing"}


@pytest.mark.parametrize("name", LOWER)
def test_pure_modules_import_only_lower_ones(name: str) -> None:
    """So no os, select, time, ctypes, prctl or signal, neither at once nor later."""
    allowed = {f"rebound.{module}" for module in LOWER[name]}
    extra = STANDARD_LIBRARY.get(name, set())
    assert imports(MODULES[name]) <= {"__future__"} | allowed | extra
    with_types = imports(MODULES[name], for_types=True)
    assert {module for module in with_types if module.startswith("rebound")} <= allowed


@pytest.mark.parametrize("name", sorted(MODULES.keys() - {"__init__", "__main__", "cli"}))
def test_only_the_edge_imports_what_joins_the_parts(name: str) -> None:
    """The supervisor and the command line are nobody's means."""
    above = {"rebound", "rebound.cli", "rebound.supervisor"}
    assert not imports(MODULES[name], for_types=True) & above


def test_a_start_loads_nothing_slow() -> None:
    """rebound's own time to start is the command's, too."""
    program = "import sys; sys.path += sys.argv[1:]; import rebound.cli; print(*sys.modules)"
    directories = [PACKAGE.parent, Path(_prctl.__file__).parent]
    loaded = subprocess.run(
        [sys.executable, "-IS", "-c", program, *map(str, directories)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.split()
    assert {f"rebound.{name}" for name in LOWER.keys() - ON_DEMAND} <= set(loaded)
    assert not (TOO_SLOW | {f"rebound.{name}" for name in ON_DEMAND}) & set(loaded)
