"""Who is measured: how each is started to supervise a command, and what it does not do."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version as distribution_version
from pathlib import Path

from tests.helpers import PID1, REBOUND

Supervise = Callable[[list[str], Path], list[str]]
"""Give the command line that supervises a command; files may be made in the directory."""

PACKAGE, FILE = "rebound", "rebound, one file"
C_LOOP, PYTHON_LOOP, PYTHON = "C loop", "Python loop", "python3"
"""Contestants that the budgets name."""


@dataclass(frozen=True)
class Contestant:
    """One supervisor, or a floor below all of them.

    `program` is what must be there; `does` are the rows it takes part in; `notes` say, by row,
    what to know of its figure or why there is none; `wrappers` are put before it in a row.
    """

    name: str
    program: str
    supervise: Supervise
    version: Callable[[], str]
    does: frozenset[str]
    notes: Mapping[str, str] = field(default_factory=dict)
    wrappers: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def is_there(self) -> bool:
        """Whether it is installed."""
        return shutil.which(self.program) is not None

    def command(self, row: str, command: list[str], directory: Path) -> list[str]:
        """Give the command line that supervises `command` in one of the rows."""
        return [*self.wrappers.get(row, ()), *self.supervise(command, directory)]


EVERYBODY = frozenset({"start", "idle", "memory"})
INIT = EVERYBODY | {"stop", "forwarding", "orphans"}
RESTARTER = EVERYBODY | {"stop", "restart"}
ALL = INIT | RESTARTER | {"crowd", "endurance"}

_SCRIPT = "the command is started by a script of /bin/sh, which is part of the time"
_ONE_A_SECOND = {"endurance": "one restart a second is a day for 100 000"}
_BY_TOOL = {"forwarding": "signals go through a tool of its own, not to the supervisor"}
_NO_SUBREAPER = {"orphans": "as PID 1: it is no subreaper", "crowd": "no subreaper"}
_AS_PID_1 = {"orphans": PID1}


def contestants(standalone: Path, spawn_loop: str) -> list[Contestant]:
    """Describe all of them, in the order of the table."""
    return [
        Contestant(PACKAGE, REBOUND, _after(REBOUND, "-q", "-b0", "--"), _says(REBOUND), ALL),
        Contestant(
            FILE,
            str(standalone),
            _after(str(standalone), "-q", "-b0", "--"),
            _says(str(standalone)),
            ALL,
        ),
        Contestant("tini", "tini", _after("tini", "-s", "--"), _debian("tini"), INIT),
        Contestant(
            "dumb-init",
            "dumb-init",
            _after("dumb-init", "--"),
            _debian("dumb-init"),
            INIT,
            {"orphans": _NO_SUBREAPER["orphans"]},
            _AS_PID_1,
        ),
        Contestant("catatonit", "catatonit", _after("catatonit", "--"), _debian("catatonit"), INIT),
        Contestant(
            "runsv",
            "runsv",
            _runsv,
            _debian("runit"),
            RESTARTER | {"orphans"},
            {
                "start": _SCRIPT,
                "restart": "waits until a second after the last start",
                **_BY_TOOL,
                **_NO_SUBREAPER,
                **_ONE_A_SECOND,
            },
            _AS_PID_1,
        ),
        Contestant(
            "s6-supervise",
            "s6-supervise",
            _s6_supervise,
            _debian("s6"),
            RESTARTER | {"orphans"},
            {
                "start": _SCRIPT,
                "restart": "waits until a second after the last start",
                **_BY_TOOL,
                **_NO_SUBREAPER,
                **_ONE_A_SECOND,
            },
            _AS_PID_1,
        ),
        Contestant(
            "supervisord",
            _beside_python("supervisord"),
            _supervisord,
            lambda: distribution_version("supervisor"),
            RESTARTER,
            {
                "restart": "looks once a second (startsecs=0)",
                "stop": "looks once a second",
                **_BY_TOOL,
                **_NO_SUBREAPER,
                "orphans": "as PID 1, a hundred a second: 10 000 take longer than is waited for",
                **_ONE_A_SECOND,
            },
        ),
        Contestant(
            "circus",
            _beside_python("circusd"),
            _circus,
            lambda: distribution_version("circus"),
            RESTARTER | {"orphans"},
            {
                "restart": "looks every five seconds (check_delay)",
                **_BY_TOOL,
                **_NO_SUBREAPER,
                "endurance": "one restart in five seconds is six days for 100 000",
            },
            _AS_PID_1,
        ),
        Contestant(
            C_LOOP,
            spawn_loop,
            _after(spawn_loop),
            lambda: "posix_spawn, waitpid",
            EVERYBODY | {"restart", "endurance"},
        ),
        Contestant(
            PYTHON_LOOP,
            interpreter(),
            _after(interpreter(), "-IS", str(Path(__file__).with_name("least.py"))),
            lambda: "least.py",
            INIT | {"restart", "endurance"},
        ),
        Contestant(
            PYTHON,
            interpreter(),
            lambda _command, _directory: idle_python(),
            _says(interpreter()),
            EVERYBODY | {"stop"},
            {
                "start": "the whole life of `python3 -IS -c pass`",
                "stop": "killed by the signal: what the kernel takes to free a Python",
            },
        ),
    ]


def interpreter() -> str:
    """Give the Python that the package runs on, to compare it with nothing but itself."""
    script = Path(os.path.realpath(REBOUND) + "-python")
    if not script.exists():  # REBOUND is the standalone file, which is made of Debian's
        return "/usr/bin/python3"
    return script.read_text().splitlines()[0].removeprefix("#!")


def idle_python() -> list[str]:
    """Give the command of a Python that has nothing to do, for ever."""
    return [interpreter(), "-IS", "-c", "import _signal; _signal.pause()"]


def _after(*words: str) -> Supervise:
    return lambda command, _directory: [*words, *command]


def _says(program: str) -> Callable[[], str]:
    def version() -> str:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        return said.stdout.split()[-1]

    return version


def _debian(package: str) -> Callable[[], str]:
    def version() -> str:
        query = ["dpkg-query", "--show", "--showformat=${Version}", package]
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout

    return version


def _beside_python(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _runsv(command: list[str], directory: Path) -> list[str]:
    return ["runsv", _service_directory(command, directory)]


def _s6_supervise(command: list[str], directory: Path) -> list[str]:
    return ["s6-supervise", _service_directory(command, directory)]


def _service_directory(command: list[str], directory: Path) -> str:
    service = directory / "service"
    service.mkdir()
    script = service / "run"
    script.write_text(f"#!/bin/sh\nexec {shlex.join(command)}\n")
    script.chmod(0o755)
    return str(service)


def _supervisord(command: list[str], directory: Path) -> list[str]:
    config = directory / "supervisord.conf"
    config.write_text(f"""\
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile={directory}/supervisord.pid
[program:command]
command={shlex.join(command)}
autorestart=true
startsecs=0
stdout_logfile=NONE
stderr_logfile=NONE
""")
    return [_beside_python("supervisord"), "-c", str(config)]


def _circus(command: list[str], directory: Path) -> list[str]:
    config = directory / "circus.ini"
    config.write_text(f"""\
[circus]
endpoint = ipc://{directory}/endpoint
pubsub_endpoint = ipc://{directory}/pubsub
[watcher:command]
cmd = {shlex.join(command)}
max_retry = -1
""")
    return [_beside_python("circusd"), str(config)]
