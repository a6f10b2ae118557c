"""The snapshot: each start is as if Python had started anew, and none is taken that could not be.

These tests build the one file themselves, of a copy of the sources.
"""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import open_directory
from tests.helpers import OTHER_USER, PYTHON, REPOSITORY, program

pytestmark = pytest.mark.timeout(900)  # a build takes a minute, if the machine is busy

MACHINE = platform.machine()
BUILD = Path("build", f"standalone-{MACHINE}")
SOURCES = ("LICENSE", "NOTICE", "rebound", "images/standalone")


class Tree:
    """A copy of the sources, to be changed and built."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in SOURCES:
            source, copy = REPOSITORY / name, directory / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy)

    def append(self, name: str, text: str) -> None:
        """Add to one of the sources."""
        with open(self.directory / name, "a") as file:
            file.write(text)

    def build(self, *options: str, **how: Any) -> subprocess.CompletedProcess[str]:
        """Build the file, of libraries that are there already if possible."""
        fetched = REPOSITORY / BUILD
        if (fetched / "root").is_dir():
            (self.directory / BUILD).mkdir(parents=True, exist_ok=True)
            for name in ("apt", "root"):
                link = self.directory / BUILD / name
                if not link.exists():
                    link.symlink_to(fetched / name)
            if not (self.directory / BUILD / "source").exists():
                shutil.copytree(
                    fetched / "source", self.directory / BUILD / "source", copy_function=os.link
                )
            options = (*options, "--again")
        command = [str(self.directory / "images/standalone/build.sh"), *options]
        return subprocess.run(command, capture_output=True, text=True, check=False, **how)

    def built(self, *options: str, **how: Any) -> str:
        """Build the file, which must go well, and return its path."""
        result = self.build(*options, **how)
        assert result.returncode == 0, result.stdout + result.stderr
        path = self.directory / f"built{len(list(self.directory.glob('built*')))}"
        shutil.copy(self.directory / "dist" / f"rebound-linux-{MACHINE}", path)
        return str(path)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree")


# --- Each start is as if Python had started anew ----------------------------------------


def closing(*fds: int) -> Callable[[], None]:
    def close() -> None:
        for fd in fds:
            os.close(fd)

    return close


def ignoring(*signos: int) -> Callable[[], None]:
    def ignore() -> None:
        for signo in signos:
            signal.signal(signo, signal.SIG_IGN)

    return ignore


def limiting(what: int, value: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(what, (value, value))


def in_a_directory_that_is_gone() -> None:
    os.mkdir("gone")
    os.chdir("gone")
    os.rmdir("../gone")


HUGE = {f"VARIABLE_{number}": "x" * 100 for number in range(15_000)}
ODD = program("exec_with.py", "A=1", "NO_SIGN", "=x", "", "=", "A=2", "EMPTY=", "B=\udcff", "--")
EXEC_WITH_BYTES = """
import os, sys
os.execv(sys.argv[1], [bytes(range(1, 256)), *sys.argv[2:]])
"""

SITUATIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "another user": {"before": OTHER_USER},
    "no environment": {"env": {}},
    "a huge environment": {"env": HUGE},
    "odd entries": {"before": ODD},
    "the C locale": {"env": {"LC_ALL": "C", "LANG": "C"}},
    "LC_CTYPE": {"env": {"LC_CTYPE": "\udcff", "TZ": "Asia/Tokyo"}},
    "another locale": {"env": {"LC_ALL": "de_DE.ISO-8859-1", "TZ": ":/etc/localtime"}},
    "Python's variables": {"env": {"PYTHONHASHSEED": "7", "PYTHONUTF8": "0", "PYTHONMALLOC": "x"}},
    "a umask": {"umask": 0o77},
    "no umask": {"umask": 0},
    "no stdin": {"preexec_fn": closing(0)},
    "no stdout": {"preexec_fn": closing(1)},
    "no stderr": {"preexec_fn": closing(2)},
    "no descriptors": {"preexec_fn": closing(0, 1, 2)},
    "few descriptors": {"preexec_fn": limiting(resource.RLIMIT_NOFILE, 6)},
    "a small stack": {"preexec_fn": limiting(resource.RLIMIT_STACK, 512 << 10)},
    "no limit of the stack": {"preexec_fn": limiting(resource.RLIMIT_STACK, -1)},
    "little memory": {"preexec_fn": limiting(resource.RLIMIT_AS, 64 << 20)},
    "ignored signals": {
        "preexec_fn": ignoring(1, 2, 3, 13, 17, 25, 34, 64),
        "restore_signals": False,
    },
    "blocked signals": {
        "preexec_fn": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [1, 2, 15, 40])
    },
    "no directory": {"preexec_fn": in_a_directory_that_is_gone},
    "addresses as they come": {"before": ["setarch", "-R"]},
    "arguments of any bytes": {"before": [*PYTHON, "-c", EXEC_WITH_BYTES]},
    "a pipe": {"stderr": subprocess.PIPE},
}


def found(
    file: str | Path, directory: Path, modules: list[str], situation: dict[str, Any]
) -> dict[str, Any]:
    """Return what the probe in a file finds out; it has the same name each time."""
    link, path = directory / "rebound", directory / "found"
    for left in (link, path):
        left.unlink(missing_ok=True)
    link.symlink_to(file)
    options = {"stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL, **situation}
    command = [*options.pop("before", []), link, path, *modules]
    ran = subprocess.run(command, stdout=subprocess.DEVNULL, cwd=directory, check=False, **options)
    if not path.exists():
        return {"ended": ran.returncode}
    answer: dict[str, Any] = json.loads(path.read_text(errors="surrogateescape"))
    return answer


def differences(one: object, other: object, name: str = "") -> list[str]:
    """Say in which fields two findings differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            line
            for key in sorted({*one, *other})
            for line in differences(one.get(key), other.get(key), f"{name}.{key}")
        ]
    return [] if one == other else [f"{name}: {one!r} beside {other!r}"]


def test_each_start_is_as_if_python_had_started_anew(tree):
    shutil.copy(Path(__file__).with_name("probe.py"), tree.directory / "rebound/probe.py")
    tree.append(
        "rebound/cli.py", "\ndef main():\n    from rebound import probe\n    return probe.main()\n"
    )
    snapshot = tree.built("--no-check")
    ordinary = tree.built("--no-check", "--no-snapshot")
    with open_directory() as directory:
        directory.chmod(0o777)  # another user writes there, too
        files = [shutil.copy(file, directory) for file in (snapshot, ordinary)]
        modules = list(found(files[0], directory, [], {})["modules"])
        failed = {}
        for name, situation in SITUATIONS.items():
            beside, expected = (found(file, directory, modules, situation) for file in files)
            assert len(expected.get("modules", ())) > 100, (name, expected)
            if lines := differences(beside, expected):
                failed[name] = lines
    assert failed == {}


# --- No snapshot is taken that a process could not start from ----------------------------

LEFT = {
    "a thread": """
import _thread
_lock = _thread.allocate_lock()
_lock.acquire()
_thread.start_new_thread(_lock.acquire, ())
""",
    "a descriptor": """
import os
_fd = os.open("/dev/null", os.O_RDONLY)
""",
    "a closure of libffi": """
import ctypes
_closure = ctypes.CFUNCTYPE(None)(lambda: None)
""",
    "an address of the C library's memory": """
import ctypes
from rebound.kernel import libc
_break = libc._syscall({"x86_64": 12, "aarch64": 214}, 0)
_address = ctypes.c_void_p(_break - 64)
""",
    "an address on the stack": """
import ctypes
with open("/proc/self/stat") as file:
    _address = ctypes.c_void_p(int(file.read().split()[27]) - 64)
""",
    "chance": """
import os
_chance = os.urandom(8)
""",
    "a pid": """
import os
_pid = os.getpid()
""",
    "a module that fails": "raise OSError('it is not there')",
}
COMPLAINTS = {
    "a thread": "a module has started a thread",
    "a descriptor": "a module has opened a descriptor",
    "a closure of libffi": "is an address in",
    "an address of the C library's memory": "is an address in [heap]",
    "an address on the stack": "is an address in [stack]",
    "chance": "two snapshots differ",
    "a pid": "two snapshots differ",
    "a module that fails": "it is not there",
}


@pytest.mark.parametrize("left", LEFT)
def test_what_no_other_process_could_have_stops_the_build(tree, left):
    tree.append("rebound/cli.py", f"\n{LEFT[left]}\n")
    result = tree.build()
    assert result.returncode != 0
    assert COMPLAINTS[left] in result.stderr
    assert not (tree.directory / "dist").exists()


def test_a_heap_that_is_too_small_stops_the_build(tree):
    script = tree.directory / "images/standalone/snapshot.ld"
    text = script.read_text()
    assert "0x1000000" in text
    script.write_text(text.replace("0x1000000", "0x10000"))
    assert "the heap of snapshot.ld is full" in tree.build().stderr


def test_another_python_stops_the_build(tmp_path):
    """What the snapshot does was read in one version's sources."""
    headers = tmp_path / "headers"
    include = next((REPOSITORY / BUILD / "root/usr/include").glob("python3.*"))
    shutil.copytree(include, headers)
    version = headers / "patchlevel.h"
    version.write_text(re.sub(r"(PY_MINOR_VERSION\s+)11", r"\g<1>12", version.read_text()))
    source = REPOSITORY / "images/standalone/snapshot.c"
    paths = [f"-I{headers}", f"-I{REPOSITORY / BUILD / 'root/usr/include'}"]
    command = ["gcc", "-fsyntax-only", *paths, str(source)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "the snapshot knows Python 3.11 only" in result.stderr


def test_the_same_sources_give_the_same_file(tree):
    """Whoever builds it, and wherever."""
    first = Path(tree.built()).read_bytes()
    environment = {**os.environ, "HOME": "/nonexistent", "LC_ALL": "C", "SOMETHING": "x" * 9999}
    how = {"env": environment, "preexec_fn": ignoring(1, 2, 40), "restore_signals": False}
    assert Path(tree.built(**how)).read_bytes() == first
