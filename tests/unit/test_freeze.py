"""The standalone program's freezer finds all that is imported, or stops the build."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.helpers import REPOSITORY

Collect = Callable[[str], Any]

STDLIB = Path(os.__file__).parent
C_MODULES = {
    *sys.builtin_module_names,
    "_ctypes",
    "_prctl",
    "_socket",
    "_struct",
    "fcntl",
    "resource",
    "select",
}


@pytest.fixture(scope="module")
def freeze() -> ModuleType:
    path = REPOSITORY / "images" / "standalone" / "freeze.py"
    spec = importlib.util.spec_from_file_location("freeze", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # NamedTuple looks its module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def collect(freeze: ModuleType, tmp_path: Path) -> Collect:
    def collect(source: str) -> Any:
        package = tmp_path / "rebound"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "cli.py").write_text(source)
        (package / "late.py").touch()
        return freeze.collect(tmp_path, STDLIB, C_MODULES)

    return collect


def test_rebound_itself(freeze: ModuleType) -> None:
    frozen = freeze.collect(REPOSITORY, STDLIB, C_MODULES)
    ours = {name for name in frozen.python if name.startswith("rebound.")}
    files = {path.relative_to(REPOSITORY) for path in REPOSITORY.glob("rebound/**/*.py")}
    files -= {Path("rebound/__init__.py"), Path("rebound/__main__.py")}
    modules = {
        ".".join(path.with_suffix("").parts) for path in files if "launcher" not in path.parts
    }
    assert ours == {module.removesuffix(".__init__") for module in modules}
    sockets = {"bind", "connect", "listen", "socket"}
    assert frozen.functions == {"ptrace", "signalfd", "sigqueue", "syscall", *sockets}
    assert {"_prctl", "resource", "_ctypes", "_socket", "select"} <= frozen.c
    assert {"ctypes", "struct", "encodings.unicode_escape"} <= set(frozen.python)


@pytest.mark.parametrize(
    "source",
    [
        "import rebound.late",
        "from rebound import late",
        "from . import late",
        "from .late import x",
        "def main():\n    try:\n        from rebound import late\n    except ImportError: pass",
        "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    import nowhere\nelse:\n    import rebound.late",
    ],
)
def test_ways_to_import(collect: Collect, source: str) -> None:
    assert "rebound.late" in collect(source).python


@pytest.mark.parametrize(
    "source",
    [
        "import nowhere",
        "def main():\n    import nowhere",
        "import rebound.nowhere",
        "def main(text, codec):\n    text.encode(codec)",
        "b''.decode('no-such-codec')",
    ],
)
def test_what_cannot_be_frozen_stops_the_build(
    freeze: ModuleType, collect: Collect, source: str
) -> None:
    with pytest.raises(freeze.FreezeError):
        collect(source)
