"""What is measured, each as one function that gives one row of the table."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import (
    Process,
    Programs,
    interpreter,
    medians,
    numbers_file,
    numbers_pipe,
    read_number,
    read_numbers,
)
from tests.helpers import REBOUND, eventually

TINI = ["tini", "-s", "--"]
"""-s: a subreaper, as rebound is, where it is not PID 1."""


@dataclass(frozen=True)
class Result:
    """One row: two figures in the same unit, and how large the ratio of them may be.

    Without a baseline the target is for the figure itself.
    """

    measure: str
    unit: str
    rebound: float
    target: float
    baseline: float | None = None
    baseline_name: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the baseline rebound takes."""
        return None if self.baseline is None else self.rebound / self.baseline

    @property
    def is_met(self) -> bool:
        """Whether the target is met, to the two decimals that are shown."""
        return round(self.rebound if self.ratio is None else self.ratio, 2) <= self.target


def restart(programs: Programs) -> Result:
    """Measure from a crash to the next start: `run` ends with 1, is run again, and so on.

    The gap between the end that one run reports and the start that the next reports.
    """
    runs = 300
    supervised, looped = medians(
        20,
        lambda: _gap(lambda fd: _restarting(runs, [programs.run, fd, "1"]), 1),
        lambda: _gap(lambda fd: [programs.spawn_loop, str(runs), programs.run, fd, "1"], 0),
    )
    return Result("restart", "µs", supervised / 1e3, 1.10, looped / 1e3, "C loop of posix_spawn")


def restart_with_orphans(programs: Programs) -> Result:
    """Measure the same with 2000 orphans, adopted by rebound and alive, and with none.

    Each run lives for a millisecond.  After a restart rebound still looks whether any other
    child has ended, and of a run that ends sooner this would show as the price of the next.
    """
    runs = 200
    crowded, alone = medians(
        9,
        lambda: _gap(lambda fd: _restarting(runs, [programs.run, fd, "1", "1000", "2000"]), 1),
        lambda: _gap(lambda fd: _restarting(runs, [programs.run, fd, "1", "1000"]), 1),
    )
    return Result(
        "restart, 2000 orphans", "µs", crowded / 1e3, 1.15, alone / 1e3, "rebound without"
    )


def _restarting(runs: int, command: list[str]) -> list[str]:
    return [REBOUND, "-q", "-b", "0", "-r", str(runs - 1), "--", *command]


def _gap(command: Callable[[str], list[str]], expected: int) -> float:
    """Give the median of the gaps between the runs, in nanoseconds."""
    with numbers_file() as fd, Process(command(str(fd))) as process:
        process.wait(expected)
        times = read_numbers(fd)
    ends, starts = times[1:-1:2], times[2::2]
    return statistics.median(start - end for end, start in zip(ends, starts, strict=True))


def start(programs: Programs) -> Result:
    """Measure from the exec of rebound to the exec of its command, a static program.

    The baseline is the whole life of a Python that has nothing to do.
    """
    python = interpreter()

    def rebound_to_command() -> float:
        with numbers_file() as fd:
            began = time.monotonic_ns()
            with Process([REBOUND, "-q", "--", programs.run, str(fd), "0"]) as process:
                process.wait()
            return read_numbers(fd)[0] - began

    def bare_python() -> float:
        began = time.monotonic_ns()
        with Process([python, "-IS", "-c", "pass"]) as process:
            process.wait()
        return time.monotonic_ns() - began

    rebound, bare = medians(80, rebound_to_command, bare_python)
    return Result("start", "ms", rebound / 1e6, 2.0, bare / 1e6, "python3 -IS -c pass")


def dirty_memory(programs: Programs) -> Result:
    """Measure the private dirty memory of an idle rebound, and of a bare idle Python."""
    python = interpreter()

    def rebound() -> float:
        with (
            numbers_pipe() as (_, writer),
            Process([REBOUND, programs.echo, str(writer)]) as process,
        ):
            process.wait_until_idle()
            size = _private_dirty(process.pid)
            process.stop()
        return size

    def bare_python() -> float:
        pause = "import _signal; _signal.pause()"
        with Process([python, "-IS", "-c", pause]) as process:
            process.wait_until_idle()
            return _private_dirty(process.pid)

    supervisor, bare = medians(5, rebound, bare_python)
    return Result("dirty memory, idle", "KiB", supervisor, 1.8, bare, "python3 -IS, pausing")


def _private_dirty(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(
        float(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_Dirty:")
    )


def idle_calls(programs: Programs, directory: Path) -> Result:
    """Count the system calls of an idle rebound in 3 s.

    strace itself interrupts the call that it finds rebound in, and epoll_wait is then
    called again.  So the count starts once strace has attached and rebound is idle again.
    """
    trace = directory / "trace"
    with numbers_pipe() as (_, writer), Process([REBOUND, programs.echo, str(writer)]) as process:
        process.wait_until_idle()
        strace = subprocess.Popen(
            ["strace", "-f", "-o", trace, "-p", str(process.pid)], stderr=subprocess.DEVNULL
        )
        eventually(lambda: trace.exists() and trace.read_text())
        process.wait_until_idle()
        before = _calls(trace)
        time.sleep(3)
        during = _calls(trace) - before
        process.stop()
        strace.wait()
    if _calls(trace) <= before + during:
        raise RuntimeError("strace did not see how rebound ended, so it saw nothing at all")
    return Result("calls in 3 s, idle", "", during, 0)


def _calls(trace: Path) -> int:
    return len(trace.read_text().splitlines())


def dying_orphans(programs: Programs) -> Result:
    """Measure how long 3000 orphans take to be gone that are all released at once.

    The command itself releases them and looks when they are gone, see orphans.c.
    """

    def under(supervisor: list[str]) -> float:
        with numbers_file() as fd:
            with Process([*supervisor, programs.orphans, str(fd), "3000"]) as process:
                process.wait()
            return read_numbers(fd)[0]

    rebound, tini = medians(21, lambda: under([REBOUND, "-q", "--"]), lambda: under(TINI))
    return Result("3000 orphans die", "ms", rebound / 1e6, 1.1, tini / 1e6, "tini -s")


def forwarding(programs: Programs) -> Result:
    """Measure from kill(supervisor, SIGUSR1) to the command's return from sigwait(3)."""

    def under(supervisor: list[str]) -> float:
        with (
            numbers_pipe() as (reader, writer),
            Process([*supervisor, programs.echo, str(writer)]) as process,
        ):
            read_number(reader)  # ready
            process.wait_until_idle()
            taken = [_until_forwarded(process.pid, reader) for _ in range(1000)]
            process.stop()
        return statistics.median(taken)

    rebound, tini = medians(8, lambda: under([REBOUND, "-q", "--"]), lambda: under(TINI))
    return Result("signal forwarded", "µs", rebound / 1e3, 1.5, tini / 1e3, "tini")


def _until_forwarded(supervisor: int, reader: int) -> int:
    sent = time.monotonic_ns()
    os.kill(supervisor, signal.SIGUSR1)
    return read_number(reader) - sent
