"""What may import what, derived from the folders; and what a start loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import _prctl
import pytest

import rebound

PACKAGE = Path(rebound.__file__).parent
SOURCES = {
    ".".join(("rebound", *path.relative_to(PACKAGE).with_suffix("").parts)): path.read_text()
    for path in PACKAGE.rglob("*.py")
    if "launcher" not in path.parts
}
"""Each module by its name; that of a folder itself ends in `__init__`."""

FOLDERS = {"core": {"core"}, "kernel": {"core", "kernel"}}
"""The two lowest, and the folders that each may import."""

STANDARD_LIBRARY = {"rebound.core.signals": {"_signal"}, "rebound.core.record": {"inspect"}}
"""What the pure core needs of it: the signals' numbers; for help(), which has it, a signature."""

LATER = {
    "core": {
        *("activation", "address", "columns", "health", "http", "jsontext", "maxruntime", "memory"),
        *("notify", "openmetrics", "part", "rules", "size", "target", "values"),
        *("watch", "watchdog", "watchevents"),
    },
    "kernel": {
        *("acceptor", "aside", "caller", "cgroup", "closer", "descriptors", "forkexec", "leaves"),
        *("libc", "logfile", "logjson", "logtimed", "memory", "probe", "queues", "score"),
        *("socketfile", "sockets"),
    },
}
"""Modules of these two folders that are for some option only, or for after the first start."""

TOO_SLOW = {"_socket", "argparse", "collections", "ctypes", "dataclasses", "enum", "inspect"}
TOO_SLOW |= {"logging", "re", "select", "signal", "subprocess", "typing"}
"""Modules that cost a start too much, alone or through what they import."""


def folder_of(module: str) -> str:
    """The folder of a module; empty for those beside the folders."""
    return module.split(".")[1] if module.count(".") > 1 else ""


FOLDER_NAMES = {folder_of(module) for module in SOURCES} - {""}


def statements(node: ast.AST, *, for_types: bool) -> Iterator[ast.AST]:
    """All statements, however deep; those for type checkers only if asked for."""
    for child in ast.iter_child_nodes(node):
        yield child
        run = child
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            run = child if for_types else ast.Module(child.orelse, [])
        yield from statements(run, for_types=for_types)


def imports(source: str, *, for_types: bool = False) -> set[str]:
    """The modules that a source of the package imports: `os`, `rebound.core.config`."""
    packages = {"rebound", *(f"rebound.{folder}" for folder in FOLDER_NAMES)}
    found: set[str] = set()
    for node in statements(ast.parse(source), for_types=for_types):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports name the whole module"
            if node.module in packages:
                found.update(f"{node.module}.{alias.name}" for alias in node.names)
            else:
                found.add(node.module or "")
    return found


def ours(source: str, *, for_types: bool = False) -> set[str]:
    """Those of them that are rebound's own."""
    return {name for name in imports(source, for_types=for_types) if name in SOURCES}


def test_an_import_is_found_wherever_it_is() -> None:
    """Else the tests below would prove nothing."""
    source = """
import os.path
from rebound import cli as c, options
from rebound.core import config
from rebound.kernel.log import Log
if TYPE_CHECKING:
    import typing
else:
    import _signal
def f():
    if True:
        from select import epoll
"""
    own = {"rebound.cli", "rebound.options", "rebound.core.config", "rebound.kernel.log"}
    found = {"os.path", "_signal", "select"} | own
    assert imports(source) == found
    assert imports(source, for_types=True) == found | {"typing"}
    assert ours(source) == own


@pytest.mark.parametrize("name", SOURCES)
def test_a_folder_imports_those_below_it(name: str) -> None:
    """The core itself alone, the kernel the core, the others these two: not each other."""
    folder = folder_of(name)
    if not folder:
        return
    allowed = FOLDERS.get(folder, {"core", "kernel", folder})
    assert {folder_of(module) for module in ours(SOURCES[name], for_types=True)} <= allowed


@pytest.mark.parametrize("name", [name for name in SOURCES if folder_of(name) == "core"])
def test_the_core_is_pure(name: str) -> None:
    """It imports no os, select, time, ctypes, prctl or signal, neither at once nor later."""
    extra = STANDARD_LIBRARY.get(name, set())
    assert imports(SOURCES[name]) <= {"__future__"} | ours(SOURCES[name]) | extra


def test_nothing_imports_in_circles() -> None:
    """Neither at once nor later."""
    TopologicalSorter({name: ours(source) for name, source in SOURCES.items()}).prepare()


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
    later = {f"rebound.{folder}.{name}" for folder, names in LATER.items() for name in names}
    at_once = {
        name
        for name in SOURCES
        if folder_of(name) in LATER and not name.endswith("__init__") and name not in later
    }
    assert at_once <= set(loaded)
    assert not TOO_SLOW & set(loaded)
    for_some = {name for name in SOURCES if folder_of(name) not in {"", *LATER}}
    assert not (for_some | later) & set(loaded)


def test_each_module_of_the_core_has_its_tests() -> None:
    """In the file that is named after it: where else would one look?"""
    modules = {name for name in SOURCES if folder_of(name) == "core"} - {"rebound.core.__init__"}
    files = {path.name for path in Path(__file__).parent.glob("test_*.py")}
    assert {f"test_{name.rpartition('.')[2]}.py" for name in modules} <= files
