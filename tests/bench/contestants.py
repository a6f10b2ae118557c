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

Listen = Callable[[list[str], Path, int], list[str]]
"""The same, where the supervisor itself listens at the port, and hands the socket on."""

PACKAGE, FILE = "rebound", "rebound, one file"
C_LOOP, PYTHON_LOOP, PYTHON = "C loop", "Python loop", "python3"
"""Contestants that the budgets name."""


@dataclass(frozen=True)
class Contestant:
    """One supervisor, or a floor below all of them.

    `program` is what must be there; `does` are the rows it takes part in; `notes` say, by row,
    what to know of its figure or why there is none; `wrappers` are put before it in a row;
    `listen` is for the rows in which it keeps the socket of its command.
    """

    name: str
    program: str
    supervise: Supervise
    version: Callable[[], str]
    does: frozenset[str]
    notes: Mapping[str, str] = field(default_factory=dict)
    wrappers: Mapping[str, list[str]] = field(default_factory=dict)
    listen: Mapping[str, Listen] = field(default_factory=dict)
    lifetime: float = 0
    """Seconds.  One that has run for less it does not start again at once."""

    @property
    def is_there(self) -> bool:
        """Whether it is installed."""
        return shutil.which(self.program) is not None

    def command(self, row: str, command: list[str], directory: Path, port: int = 0) -> list[str]:
        """Give the command line that supervises `command` in one of the rows.

        The port is that of a server; in some rows the supervisor itself listens there.
        """
        if listen := self.listen.get(row):
            supervising = listen(command, directory, port)
        else:
            supervising = self.supervise(command, directory)
        return [*self.wrappers.get(row, ()), *supervising]


EVERYBODY = frozenset({"start", "idle", "memory"})
INIT = EVERYBODY | {"stop", "forwarding", "orphans"}
RESTARTER = EVERYBODY | {"stop", "restart", "crash"}
ALL = INIT | RESTARTER | {"crowd", "endurance", "listening", "scraped", "stored"}

_SCRIPT = "the command is started by a script of /bin/sh, which is part of the time"
_ONE_A_SECOND = {"endurance": "one restart a second is a day for 100 000"}
_BY_TOOL = {"forwarding": "signals go through a tool of its own, not to the supervisor"}
_NO_SUBREAPER = {"orphans": "as PID 1: it is no subreaper", "crowd": "no subreaper"}
_AS_PID_1 = {"orphans": PID1}
_FEWER = "; fewer crashes, as many as there is patience for"
_FIVE_SECONDS = f"looks every five seconds{_FEWER}"
_WAITS_A_SECOND = "waits a second before each further start"


def contestants(standalone: Path, spawn_loop: str) -> list[Contestant]:
    """Describe all of them, in the order of the table."""
    return [
        Contestant(
            PACKAGE,
            REBOUND,
            _after(REBOUND, "-q", "-b0", "--"),
            _says(REBOUND),
            ALL,
            listen=_rebound_listening(REBOUND),
        ),
        Contestant(
            FILE,
            str(standalone),
            _after(str(standalone), "-q", "-b0", "--"),
            _says(str(standalone)),
            ALL,
            listen=_rebound_listening(str(standalone)),
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
                "crash": f"crashed a second after each start, before which it would wait{_FEWER}",
            },
            _AS_PID_1,
            lifetime=1,
        ),
        Contestant(
            "s6-supervise",
            "s6-supervise",
            _s6_supervise,
            _debian("s6"),
            RESTARTER | {"orphans"},
            {
                "start": _SCRIPT,
                "restart": _WAITS_A_SECOND,
                **_BY_TOOL,
                **_NO_SUBREAPER,
                **_ONE_A_SECOND,
                "crash": _WAITS_A_SECOND + _FEWER,
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
                "crash": f"looks once a second{_FEWER}",
                "listening": "the socket of an fcgi-program is closed with its last process",
            },
        ),
        Contestant(
            "circus",
            _beside_python("circusd"),
            _circus,
            lambda: distribution_version("circus"),
            RESTARTER | {"orphans", "listening"},
            {
                "restart": "looks every five seconds (check_delay)",
                **_BY_TOOL,
                **_NO_SUBREAPER,
                "endurance": "one restart in five seconds is six days for 100 000",
                "crash": _FIVE_SECONDS,
                "listening": f"{_FIVE_SECONDS}; its queue holds 2048 clients",
            },
            _AS_PID_1,
            listen={"listening": _circus_listening},
        ),
        Contestant(
            C_LOOP,
            spawn_loop,
            _after(spawn_loop),
            lambda: "posix_spawn, waitpid",
            EVERYBODY | {"restart", "endurance", "crash", "listening"},
            listen={
                "listening": lambda command, _directory, port: [
                    *(spawn_loop, "-l", str(port), *command, "3"),
                ],
            },
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


def _rebound_listening(program: str) -> dict[str, Listen]:
    def listening(option: str, *others: str) -> Listen:
        return lambda command, _directory, port: [
            *(program, "-q", "-b0", option, f"127.0.0.1:{port}", *others, "--", *command),
        ]

    return {
        "listening": listening("--listen"),
        "stored": listening("--listen", "--fd-store", "128"),
        "scraped": listening("--http"),
    }


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
    return _circusd(shlex.join(command), directory)


def _circus_listening(command: list[str], directory: Path, port: int) -> list[str]:
    return _circusd(
        f"{shlex.join(command)} $(circus.sockets.server)",
        directory,
        f"use_sockets = True\n[socket:server]\nhost = 127.0.0.1\nport = {port}\n",
    )


def _circusd(command: str, directory: Path, more: str = "") -> list[str]:
    config = directory / "circus.ini"
    config.write_text(f"""\
[circus]
endpoint = ipc://{directory}/endpoint
pubsub_endpoint = ipc://{directory}/pubsub
[watcher:command]
cmd = {command}
max_retry = -1
{more}""")
    return [_beside_python("circusd"), str(config)]
