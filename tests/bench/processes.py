"""The processes that are measured: compiled, started all alike, and watched until idle."""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.helpers import DEADLINE, eventually, kill_family

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOSTNAME": "0f3a5c7e9b1d",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PG_MAJOR": "17",
    "PGDATA": "/var/lib/postgresql/data",
}
"""A typical container's; the size of the environment is part of what a start costs."""


class Programs:
    """The C programs beside this file, compiled into a directory."""

    def __init__(self, directory: Path) -> None:
        self.run = _compile("run", directory, "-static")
        self.echo = _compile("echo", directory, "-static")
        self.orphans = _compile("orphans", directory, "-static")
        self.server = _compile("server", directory, "-static")
        self.client = _compile("client", directory, "-static")
        self.scrape = _compile("scrape", directory, "-static")
        self.spawn_loop = _compile("spawn_loop", directory)


def _compile(name: str, directory: Path, *options: str) -> str:
    program = directory / name
    source = Path(__file__).with_name(f"{name}.c")
    warnings = ("-std=c11", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Werror")
    subprocess.run(["gcc", "-O2", *options, *warnings, "-o", program, source], check=True)
    return str(program)


class Process:
    """A process with the environment above, its output discarded; killed if left running.

    It inherits every descriptor that is not close-on-exec, and nothing of what Python
    does to signals.  To kill it is to kill all below it.
    """

    def __init__(self, command: list[str], **environment: str) -> None:
        self.command = command
        self.pid = os.posix_spawnp(
            command[0],
            command,
            {**ENVIRONMENT, **environment},
            file_actions=[(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._ended:
            kill_family(self.pid)
            os.waitpid(self.pid, 0)

    def wait(self) -> int:
        """Wait for the end; give the exit status, negative after a signal."""
        _, status = os.waitpid(self.pid, 0)
        self._ended = True
        return os.waitstatus_to_exitcode(status)

    def stop(self) -> None:
        """Ask a supervisor to stop, and wait until it has ended, with its command."""
        os.kill(self.pid, signal.SIGTERM)
        self.wait()

    def wait_until_idle(self) -> None:
        """Wait until the process sleeps and for some time has not been woken up."""
        seen: list[list[str]] = []

        def is_idle() -> bool:
            status = Path(f"/proc/{self.pid}/status").read_text()
            seen.append([line for line in status.splitlines() if line.startswith(_IDLE_FIELDS)])
            asleep = "S (sleeping)" in status
            return asleep and seen[-_IDLE_LOOKS:] == [seen[-1]] * _IDLE_LOOKS

        eventually(is_idle)

    def context_switches(self) -> int:
        """Give how often its threads have been switched to so far."""
        statuses = (task.read_text() for task in Path(f"/proc/{self.pid}/task").glob("*/status"))
        return sum(
            int(line.split()[1])
            for status in statuses
            for line in status.splitlines()
            if "ctxt_switches:" in line
        )

    def memory(self, field: str) -> float:
        """Give one of the sums of /proc/PID/smaps_rollup, in kB: Pss, Private_Dirty, …"""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return sum(
            float(line.split()[1]) for line in rollup.splitlines() if line.startswith(f"{field}:")
        )


_IDLE_FIELDS = ("State", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")
_IDLE_LOOKS = 40
"""How many looks in a row, 5 ms apart, must find a process asleep and not woken between."""


class NumbersFile:
    """A file to which programs append the numbers that they report."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "numbers"
        self.path.touch()

    def count(self) -> int:
        """Give how many numbers there are by now."""
        return self.path.stat().st_size // _NUMBER.size

    def read(self) -> list[int]:
        """Give all the numbers."""
        return [number for (number,) in _NUMBER.iter_unpack(self.path.read_bytes())]


class NumbersPipe:
    """A FIFO through which a program reports numbers at once."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "pipe"
        os.mkfifo(self.path)
        self._fd = os.open(self.path, os.O_RDWR)  # for writing, too: so there is never no writer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def read(self, deadline: float = DEADLINE) -> int:
        """Wait for the next number."""
        if not select.select([self._fd], (), (), deadline)[0]:
            raise TimeoutError(f"no number within {deadline} s")
        return int.from_bytes(os.read(self._fd, _NUMBER.size), sys.byteorder)


_NUMBER = struct.Struct("q")


class SystemCalls:
    """A trace of the system calls of a process that goes on.

    strace itself interrupts the call that it finds a process in, and that is then made again.
    So a process is traced once it has come to rest again.
    """

    def __init__(self, process: Process, directory: Path) -> None:
        self._trace = directory / "trace"
        self._strace = subprocess.Popen(
            ["strace", "-f", "-o", self._trace, "-p", str(process.pid)], stderr=subprocess.DEVNULL
        )
        eventually(lambda: self._trace.exists() and self._trace.read_text())
        process.wait_until_idle()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            self._strace.terminate()
        self._strace.wait()

    def saw_end(self) -> bool:
        """Wait until strace has ended as well; whether it saw how the process ended."""
        self._strace.wait()
        return "+++" in self._trace.read_text(errors="replace")

    def count(self) -> int:
        """Give how many calls have begun so far."""
        lines = self._trace.read_text(errors="replace").splitlines()
        return sum("(" in line and "resumed>" not in line and " --- " not in line for line in lines)
