"""Whatever may happen to a real rebound, one thing at a time, with a look at what must hold.

The end-to-end tests have hypothesis choose what happens; the soak test, chance, for hours.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import random
import signal
import socket
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

from tests.helpers import DEADLINE, JSON, Supervised, eventually, is_running, program, run

CRASHES = ("exit 1", "exit 255", "kill SIGKILL", "kill SIGSEGV", "kill SIGABRT", "kill SIGUSR1")
KINDS = ("obedient", "stubborn", "brief", "parent")
SIGNALS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGPIPE)
ENDS = (signal.SIGTERM, signal.SIGINT)
OPTIONS = (*JSON, "-b0", "--stop-timeout", "1s", "--watchdog", "1h", "--fd-store", "40")
OPTIONS += ("--max-runtime", "1h", "--health-tcp", "127.0.0.1:1", "--health-interval", "50ms")
OPTIONS += ("--health-retries", "1000000")  # nobody listens there
MOST_STORED = 10


class History:
    """A rebound with a puppet; `directory` is where their files are."""

    def __init__(self, directory: Path, wrapper: list[str]) -> None:
        self.restarts = 0
        self.stored: list[str] = []
        """The names of what rebound is to keep, in order; what may hang up is not among them."""
        self._words = itertools.count()
        self._address = str(directory / "api")
        os.mkfifo(directory / "orders")
        self._orders = os.open(directory / "orders", os.O_RDWR | os.O_CLOEXEC)
        self._run_directory = {"REBOUND_RUN_DIR": str(directory / "run")}
        listen = ["--listen", f"api={self._address}"]
        command = [*OPTIONS, *listen, *program("puppet.py", directory)]
        env = {**os.environ, **self._run_directory}
        self.rebound = Supervised(directory, command, wrapper, env=env)
        self.rebound.wait_ready()

    def close(self) -> None:
        """Kill what is left."""
        self.rebound.__exit__(None)
        os.close(self._orders)

    # --- What may happen --------------------------------------------------------------

    def crash(self, order: str) -> None:
        """Have the command end so; the next run follows, and only that."""
        self._order(order)
        self._restarted()

    def be_killed(self) -> None:
        """Kill the command from outside."""
        self.settle()  # what it is told to have kept is kept
        self._command().kill()
        self._restarted()

    def restart(self) -> None:
        """Request a restart."""
        self.settle()
        assert self._client("--restart-now").returncode == 0
        self._restarted()

    def leave_orphan(self, kind: str) -> None:
        """Have the command leave a daemon behind; the brief one is reaped."""
        before = len(self.rebound.lines("orphan"))
        self._order(f"orphan {kind}")
        expected = before + (2 if kind == "parent" else 1)
        self.rebound.wait_until(lambda: len(self.rebound.lines("orphan")) >= expected)

    def be_signalled(self, signo: int) -> None:
        """Send a signal; it is forwarded."""
        before = len(self.rebound.lines("signal"))
        self.rebound.send(signo)
        self.rebound.wait_until(lambda: len(self.rebound.lines("signal")) > before)
        assert self.rebound.lines("signal")[-1] == f"signal {signo} -"

    def be_sent_values(self, count: int) -> None:
        """Queue real-time signals; all are forwarded in their order, with their values."""
        before = len(self.rebound.lines("signal"))
        for value in range(count):
            assert not ctypes.CDLL(None).sigqueue(self.rebound.pid, int(signal.SIGRTMIN), value)
        self.rebound.wait_until(lambda: len(self.rebound.lines("signal")) == before + count)
        lines = self.rebound.lines("signal")[before:]
        assert lines == [f"signal {int(signal.SIGRTMIN)} {value}" for value in range(count)]

    def notify(self, count: int) -> None:
        """Have the command send messages."""
        for number in range(count):
            self._order(f"notify STATUS=message {number}")
        self.settle()

    def be_connected(self, count: int, order: str = "") -> None:
        """Have clients come, and perhaps a crash before they are served; none is refused."""
        with ExitStack() as stack:
            clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(count)]
            for client in clients:
                client.settimeout(DEADLINE)
                client.connect(self._address)
            if order:
                self.crash(order)
            self._order(f"accept {count}")
            assert [client.recv(1) for client in clients] == [b"!"] * count

    def store(self, kind: str) -> None:
        """Have a descriptor kept; a pipe goes with its reader."""
        if len(self.stored) >= MOST_STORED:
            self.forget()
        name = f"{kind}{next(self._words)}"
        self._order(f"{kind} {name}")
        if kind == "store":
            self.stored.append(name)

    def hang_up(self) -> None:
        """Have all pipes hang up."""
        self._order("hang-up -")

    def forget(self) -> None:
        """Have all that is kept dropped."""
        for name in self.stored:
            self._order(f"remove {name}")
        self.stored.clear()

    def ask(self) -> None:
        """Ask for the status; it is what we know."""
        self.settle()
        [fields] = json.loads(self._client("--status", "--json").stdout)
        assert (fields["state"], fields["restarts"]) == ("RUNNING", self.restarts)

    def thin_out(self, most: int, chance: random.Random) -> None:
        """Kill some of the daemons left behind when they are too many."""
        left = [child for child in self.rebound.children() if child != self._command()]
        for child in chance.sample(left, max(len(left) - most, 0)):
            with suppress(psutil.NoSuchProcess):
                child.kill()

    # --- What must hold ---------------------------------------------------------------

    def settle(self) -> None:
        """Wait until the command has done what it was told."""
        word = f"{next(self._words)}"
        self._order(f"say {word}")
        self.rebound.wait_until(lambda: f"said {word}" in self.rebound.lines("said"))

    def check(self) -> None:
        """One command, no zombies, each daemon that should live does."""
        assert len(self.rebound.lines("ready")) == self.restarts + 1
        eventually(lambda: not self.rebound.zombies())
        assert "Traceback" not in self.rebound.log
        assert not self.rebound.events("internal_error")

    def end(self, signo: int) -> None:
        """Stop it; then nothing is left of all that it was responsible for."""
        family = psutil.Process(self.rebound.pid).children(recursive=True)
        self.rebound.send(signo)
        assert self.rebound.wait() == 0
        left = [process.pid for process in family if is_running(process.pid)]
        assert left == []

    def footprint(self) -> tuple[int, int]:
        """Give rebound's memory in bytes, and the number of its descriptors with none stored."""
        self.forget()
        self.hang_up()
        process = psutil.Process(self.rebound.pid)
        eventually(self._has_none)
        eventually(lambda: process.num_threads() == 1)
        self.settle()
        return process.memory_info().rss, process.num_fds()

    # --- Means ------------------------------------------------------------------------

    def _order(self, order: str) -> None:
        os.write(self._orders, f"{order}\n".encode())

    def _restarted(self) -> None:
        self.restarts += 1
        self.rebound.wait_ready(self.restarts + 1)
        _, _, restarts, names = self.rebound.lines("ready")[-1].split()
        assert restarts == str(self.restarts)
        kept = [name for name in names.split(":") if not name.startswith("pipe")]
        assert kept == ["api", *self.stored]

    def _command(self) -> psutil.Process:
        session = os.getsid(self.rebound.pid)
        [command] = eventually(
            lambda: self.rebound.children(lambda child: os.getsid(child.pid) == session)
        )
        return command

    def _has_none(self) -> bool:
        [fields] = json.loads(self._client("--status", "--json").stdout)
        return bool(fields["stored"] == 0)

    def _client(self, *args: str) -> subprocess.CompletedProcess[str]:
        inside = []
        if self.rebound.pid != self.rebound.popen.pid:
            inside = ["nsenter", "--pid", "--mount", f"--target={self.rebound.pid}"]
        return run(*args, env={**os.environ, **self._run_directory}, wrapper=inside)
