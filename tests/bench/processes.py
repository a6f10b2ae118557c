"""The processes that are measured: compiled, started all alike, and watched until idle."""

from __future__ import annotations

import os
import signal
import statistics
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.helpers import REBOUND, eventually

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOSTNAME": "0f3a5c7e9b1d",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PG_MAJOR": "17",
    "PGDATA": "/var/lib/postgresql/data",
}
"""A typical container's; the size of the environment is part of what a start costs."""


def interpreter() -> str:
    """Give the Python that rebound runs on, to compare it with nothing but itself."""
    script = Path(os.path.realpath(REBOUND) + "-python")
    if not script.exists():  # the standalone file, which is made of Debian's
        return "/usr/bin/python3"
    return script.read_text().splitlines()[0].removeprefix("#!")


class Programs:
    """The C programs beside this file, compiled into a directory."""

    def __init__(self, directory: Path) -> None:
        self.run = _compile("run", directory, "-static")
        self.echo = _compile("echo", directory, "-static")
        self.orphans = _compile("orphans", directory, "-static")
        self.spawn_loop = _compile("spawn_loop", directory)


def _compile(name: str, directory: Path, *options: str) -> str:
    program = directory / name
    source = Path(__file__).with_name(f"{name}.c")
    warnings = ("-std=c11", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Werror")
    subprocess.run(["gcc", "-O2", *options, *warnings, "-o", program, source], check=True)
    return str(program)


class Process:
    """A process with the environment above, its stderr discarded; killed if left running.

    It inherits every descriptor that is not close-on-exec, and nothing of what Python
    does to signals.
    """

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.pid = os.posix_spawnp(
            command[0],
            command,
            ENVIRONMENT,
            file_actions=[(os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._ended:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def wait(self, expected: int = 0) -> None:
        """Wait for the end.  Raises `RuntimeError` if it is not with the expected status."""
        _, status = os.waitpid(self.pid, 0)
        self._ended = True
        code = os.waitstatus_to_exitcode(status)
        if code != expected:
            raise RuntimeError(f"{' '.join(self.command)} ended with {code}, not {expected}")

    def stop(self) -> None:
        """End a supervisor and its command with SIGTERM."""
        os.kill(self.pid, signal.SIGTERM)
        self.wait(128 + signal.SIGTERM)

    def wait_until_idle(self) -> None:
        """Wait until the process sleeps and for some time has not been woken up."""
        seen: list[list[str]] = []

        def is_idle() -> bool:
            status = Path(f"/proc/{self.pid}/status").read_text()
            seen.append([line for line in status.splitlines() if line.startswith(_IDLE_FIELDS)])
            asleep = "S (sleeping)" in status
            return asleep and seen[-_IDLE_LOOKS:] == [seen[-1]] * _IDLE_LOOKS

        eventually(is_idle)


_IDLE_FIELDS = ("State", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")
_IDLE_LOOKS = 40
"""How many looks in a row, 5 ms apart, must find a process asleep and not woken between."""


@contextmanager
def numbers_file() -> Iterator[int]:
    """Give an empty file in memory that processes started meanwhile inherit."""
    fd = os.memfd_create("numbers", 0)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def numbers_pipe() -> Iterator[tuple[int, int]]:
    """Give both ends of a pipe, of which processes started meanwhile inherit the second."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def read_numbers(fd: int) -> list[int]:
    """Give all the numbers that a program has reported into a file."""
    content = os.pread(fd, os.fstat(fd).st_size, 0)
    return [number for (number,) in struct.iter_unpack("q", content)]


def read_number(fd: int) -> int:
    """Wait for the next number from a pipe."""
    content = os.read(fd, 8)
    if not content:
        raise RuntimeError("no number came")
    return int.from_bytes(content, sys.byteorder)


def medians(rounds: int, *contestants: Callable[[], float]) -> list[float]:
    """Run all contestants in each round, in alternating order; give each one's median.

    What disturbs the machine for a while then disturbs all of them.
    """
    figures: list[list[float]] = [[] for _ in contestants]
    for turn in range(rounds):
        order = range(len(contestants))
        for index in reversed(order) if turn % 2 else order:
            figures[index].append(contestants[index]())
    return [statistics.median(of_one) for of_one in figures]
