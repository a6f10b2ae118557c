"""Real processes under test: starting them, and waiting for what they do."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil

PROGRAMS = Path(__file__).parent / "programs"
REPOSITORY = Path(__file__).parent.parent
DEADLINE = float(os.environ.get("REBOUND_DEADLINE", "20"))
"""Seconds after which something that should happen counts as not happening; more if emulated."""

REBOUND = os.environ.get("REBOUND") or shutil.which("rebound") or "rebound"
"""The program under test, an absolute path."""

GRACE = float(os.environ.get("REBOUND_GRACE", "0"))
"""Seconds that a rebound has at a test's end to leave by itself, as it must for its coverage."""

PYTHON = [sys.executable, "-IS"]

PLAIN: list[str] = []
PID1 = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
NESTED = [*PID1, "tini", "--"]
"""What to put before rebound: nothing, what makes it PID 1, and what `docker --init` does."""

MODES = {"plain": PLAIN, "pid1": PID1, "nested": NESTED}


def as_user(uid: int) -> list[str]:
    """Return what to put before a command to run it as another user.

    It may read what is in a home directory, such as the program under test, but do no more.
    """
    capabilities = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *capabilities]


OTHER_USER = as_user(54321)

JSON = ["--log-format", "json"]
"""What makes rebound tell its events: tests ask for these and their fields, not for words."""

T = TypeVar("T")


def eventually(what: Callable[[], T], deadline: float = DEADLINE) -> T:
    """Ask until the answer is true, and give it; fail at the deadline."""
    end = time.monotonic() + deadline
    while not (answer := what()):
        if time.monotonic() > end:
            raise AssertionError(f"did not happen within {deadline} s")
        select.select((), (), (), 0.005)
    return answer


def events(log: str, name: str) -> list[dict[str, Any]]:
    """The events of a log in JSON that have that name."""
    found = []
    for line in log.splitlines():
        with suppress(ValueError):  # the command's own words, or a line not finished yet
            event = json.loads(line)
            if isinstance(event, dict) and event.get("event") == name:
                found.append(event)
    return found


def program(name: str, *args: object) -> list[str]:
    """Give the command line of one of the test programs."""
    return [*PYTHON, str(PROGRAMS / name), *map(str, args)]


def denied(*rules: str) -> list[str]:
    """What to put before rebound so that a seccomp profile refuses calls: `clone3:EPERM`."""
    return [sys.executable, "-I", str(PROGRAMS / "deny.py"), *rules, "--"]


HANDED = ["env", "REBOUND_OPTIONS=--listen=127.0.0.1:0"]
WAYS = {"posix_spawn": PLAIN, "fork": denied("clone3:EPERM"), "with a socket": HANDED}
"""What to put before rebound for each way in which it starts processes."""


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_family(pid: int) -> None:
    """Kill a process, if it is there, and all below it.

    They are stopped first: none of them can start another one then.
    """
    stopped: set[psutil.Process] = set()
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        while members := {root, *root.children(recursive=True)} - stopped:
            for member in members:
                with suppress(psutil.NoSuchProcess):
                    member.suspend()
            stopped |= members
    for member in stopped:
        with suppress(psutil.NoSuchProcess):
            member.kill()


class Supervised:
    """A running rebound with its output in files; killed, with all below it, at the end."""

    def __init__(
        self,
        directory: Path,
        args: Sequence[object],
        wrapper: Sequence[str] = PLAIN,
        **popen: object,
    ) -> None:
        self.directory = directory
        self._out = directory / "stdout"
        self._err = directory / "stderr"
        with open(self._out, "ab") as out, open(self._err, "ab") as err:
            options = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err, **popen}
            command = [*wrapper, REBOUND, *map(str, args)]
            self.popen: subprocess.Popen[bytes] = subprocess.Popen(command, **options)  # type: ignore[call-overload]
        self._wrapped = bool(wrapper)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        if GRACE and self.popen.poll() is None:
            self._let_end()
        if self.popen.poll() is None:
            kill_family(self.popen.pid)
        self.popen.wait(DEADLINE)
        if failed:
            print(self.stdout, self.log, sep="\n--- stderr:\n")

    def _let_end(self) -> None:
        """Stop rebound, and kill all below it, so that it has nothing to wait for."""
        end = time.monotonic() + GRACE
        with suppress(psutil.Error):
            rebound = psutil.Process(self.popen.pid)
            if self._wrapped:
                rebound = self.find("rebound") or rebound
            rebound.terminate()
            while self.popen.poll() is None and time.monotonic() < end:
                for child in rebound.children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
                select.select((), (), (), 0.01)

    @property
    def stdout(self) -> str:
        """All that the command has printed."""
        return self._out.read_text(errors="replace")

    @property
    def log(self) -> str:
        """All that was written to stderr."""
        return self._err.read_text(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of the log with that name; it has to be started with JSON."""
        return events(self.log, name)

    @property
    def pid(self) -> int:
        """The pid of rebound itself, as seen from here."""
        if not self._wrapped:
            return self.popen.pid
        rebound = eventually(lambda: self.find("rebound"))
        assert rebound
        return rebound.pid

    def find(self, *names: str) -> psutil.Process | None:
        """The first process that has one of these names, from the wrapper downwards."""
        wrapper = psutil.Process(self.popen.pid)
        for process in (wrapper, *wrapper.children(recursive=True)):
            try:
                if process.name() in names:
                    return process
            except psutil.NoSuchProcess:
                pass
        return None

    def children(
        self, wanted: Callable[[psutil.Process], bool] = lambda _child: True
    ) -> list[psutil.Process]:
        """The direct children of rebound that are so; of those that are reaped meanwhile none is."""
        found = []
        for child in psutil.Process(self.pid).children():
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                if wanted(child):
                    found.append(child)
        return found

    def zombies(self) -> list[psutil.Process]:
        """Those that have ended, and wait to be reaped."""
        return self.children(lambda child: child.status() == psutil.STATUS_ZOMBIE)

    def send(self, signo: int) -> None:
        """Send rebound a signal."""
        os.kill(self.pid, signo)

    def lines(self, start: str = "") -> list[str]:
        """The lines of the command's output that start so."""
        return [line for line in self.stdout.splitlines() if line.startswith(start)]

    def wait_ready(self, times: int = 1) -> None:
        """Wait until the command has announced itself so often."""
        self.wait_until(lambda: len(self.lines("ready")) >= times)

    def wait_until(self, what: Callable[[], T]) -> T:
        """Like `eventually`, but fail at once when rebound has ended without it."""

        def check() -> T:
            ended = self.popen.poll() is not None
            answer = what()
            if not answer and ended:
                raise AssertionError(f"rebound ended with {self.popen.returncode}: {self.log}")
            return answer

        return eventually(check)

    def wait(self, deadline: float = DEADLINE) -> int:
        """Wait for rebound's end; give its exit status."""
        return self.popen.wait(deadline)


def run(
    *args: object, wrapper: Sequence[str] = PLAIN, **options: object
) -> subprocess.CompletedProcess[str]:
    """Run rebound to its end."""
    defaults = {"capture_output": True, "text": True, "timeout": DEADLINE}
    command = [*wrapper, REBOUND, *map(str, args)]
    return subprocess.run(command, **{**defaults, **options})  # type: ignore[call-overload, no-any-return]
