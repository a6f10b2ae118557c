"""What is measured, each as one function that measures one contestant once."""

from __future__ import annotations

import os
import random
import signal
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.bench import crashes
from tests.bench.contestants import PYTHON, Contestant, interpreter
from tests.bench.processes import (
    NumbersFile,
    NumbersPipe,
    Process,
    Programs,
    SystemCalls,
)
from tests.helpers import DEADLINE, eventually


class Figure(NamedTuple):
    """What a number is: its name for budgets and JSON, its title, and its unit, ns, kB or none."""

    name: str
    title: str
    unit: str


Measured = dict[Figure, float]


@dataclass(frozen=True)
class Effort:
    """How much of each is done."""

    restarts: int
    forwarded: int
    orphans: int
    crowds: tuple[int, ...]
    endurance: int
    idle: float
    """Seconds."""
    crashes: int
    patience: float
    """Seconds; who has taken longer in a row takes part in no further round of it."""
    is_quick: bool = False


FULL = Effort(300, 1000, 10_000, (0, 100, 1000, 10_000), 100_000, 10, 20, 10)
QUICK = Effort(100, 300, 2000, (0, 1000), 3000, 2, 5, 1.5, is_quick=True)


@dataclass
class Bench:
    """What all measurements share."""

    programs: Programs
    effort: Effort
    turn: int = 0
    """The number of the present round."""

    @contextmanager
    def directory(self) -> Iterator[Path]:
        """Give a directory for one measurement, in memory: its files are to cost little."""
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        with tempfile.TemporaryDirectory(dir=memory) as name:
            yield Path(name)

    @contextmanager
    def supervised(
        self,
        contestant: Contestant,
        row: str,
        *command: object,
        directory: Path,
        port: int = 0,
    ) -> Iterator[Process]:
        """Have a contestant supervise a command; the port is that of a server."""
        words = contestant.command(row, [str(word) for word in command], directory, port)
        with Process(words, REBOUND_RUN_DIR=str(directory)) as process:
            yield process

    @contextmanager
    def server(self, contestant: Contestant, row: str, directory: Path) -> Iterator[int]:
        """Have a contestant supervise `server`, which answers; give its port."""
        port = _free_port()
        command = (self.programs.server, port)
        with self.supervised(contestant, row, *command, directory=directory, port=port):
            eventually(lambda: _is_served(port))
            yield port

    @contextmanager
    def idle(self, contestant: Contestant, row: str) -> Iterator[tuple[Process, NumbersPipe]]:
        """Have a contestant supervise `echo`, which is ready, and wait until it is idle."""
        with (
            self.directory() as directory,
            NumbersPipe(directory) as pipe,
            self.supervised(
                contestant, row, self.programs.echo, pipe.path, directory=directory
            ) as process,
        ):
            if contestant.name != PYTHON:
                pipe.read()
            process.wait_until_idle()
            yield process, pipe


def restart(contestant: Contestant, bench: Bench) -> Measured:
    """Measure from a crash to the next start: the command ends with 1, is run again, and so on.

    From the end that one run reports to the start that the next reports; the median of these.
    """
    gap = _median_gap(contestant, bench, "restart")
    return {Figure("restart", "crash → restart", "ns"): gap}


def crowd(contestant: Contestant, bench: Bench) -> Measured:
    """Measure the same while orphans live that were adopted.

    Each run lives for a millisecond.  After a restart rebound still looks whether any other
    child has ended, and of a run that ends sooner this would show as the price of the next.
    """
    crowds = bench.effort.crowds
    measured = {
        count: _median_gap(contestant, bench, "crowd", 1000, count)
        for count in (reversed(crowds) if bench.turn % 2 else crowds)
    }
    return {
        Figure(f"crowd_{count}", f"restart beside {grouped(count)} orphans", "ns"): measured[count]
        for count in crowds
    }


def _median_gap(contestant: Contestant, bench: Bench, row: str, *options: int) -> float:
    runs = bench.effort.restarts
    with bench.directory() as directory:
        numbers = NumbersFile(directory)
        command = (bench.programs.run, numbers.path, runs, *options)
        with bench.supervised(contestant, row, *command, directory=directory):
            _wait_for_runs(numbers, runs, bench.effort.patience / 3)
        times = numbers.read()
    ends, starts = times[1:-1:2], times[2::2]
    return statistics.median(start - end for end, start in zip(ends, starts, strict=True))


def _wait_for_runs(numbers: NumbersFile, runs: int, patience: float) -> None:
    """Wait until all runs have reported, or, after some time, at least two."""
    began = time.monotonic()
    while (count := numbers.count() // 2) < runs:
        taken = time.monotonic() - began
        if taken > patience and count >= 2:
            return
        if taken > DEADLINE:
            raise TimeoutError(f"{count} runs in {taken:.0f} s")
        time.sleep(0.02)


def start(contestant: Contestant, bench: Bench) -> Measured:
    """Measure from the exec of the supervisor to that of its command, a static program.

    Of the bare Python it is the whole life, without anything to do.
    """
    figure = Figure("start", "start of the command", "ns")
    if contestant.name == PYTHON:
        began = time.monotonic_ns()
        with Process([interpreter(), "-IS", "-c", "pass"]) as process:
            process.wait()
        return {figure: time.monotonic_ns() - began}
    with bench.directory() as directory, NumbersPipe(directory) as pipe:
        began = time.monotonic_ns()
        with bench.supervised(
            contestant, "start", bench.programs.echo, pipe.path, directory=directory
        ):
            return {figure: pipe.read() - began}


def stop(contestant: Contestant, bench: Bench) -> Measured:
    """Measure from SIGTERM to the supervisor's end; its command ends at once on it.

    A bare Python has no command, and is killed: the least that any end of a Python takes.
    """
    with bench.idle(contestant, "stop") as (process, _):
        began = time.monotonic_ns()
        process.stop()
        return {Figure("stop", "stop", "ns"): time.monotonic_ns() - began}


def forwarding(contestant: Contestant, bench: Bench) -> Measured:
    """Measure from kill(supervisor, SIGUSR1) to the command's return from sigwait(3).

    The next is sent when the last has come.
    """
    with bench.idle(contestant, "forwarding") as (process, pipe):
        percentiles = _forwarding(process, pipe, bench.effort.forwarded)
    return {
        Figure("forwarding", "signal forwarded, p50", "ns"): percentiles[49],
        Figure("forwarding_p99", "signal forwarded, p99", "ns"): percentiles[98],
    }


def _forwarding(process: Process, pipe: NumbersPipe, times: int) -> list[float]:
    def taken() -> int:
        sent = time.monotonic_ns()
        os.kill(process.pid, signal.SIGUSR1)
        return pipe.read() - sent

    return statistics.quantiles((taken() for _ in range(times)), n=100)


_SCRAPED_BEFORE = 0.5
"""Seconds until the processes of the scrapers are made, and wait for their answers."""


def scraped(contestant: Contestant, bench: Bench) -> Measured:
    """Measure the same while sixteen clients scrape its metrics again and again, and without them."""
    times, port = bench.effort.forwarded, _free_port()
    with (
        bench.directory() as directory,
        NumbersPipe(directory) as pipe,
        bench.supervised(
            contestant, "scraped", bench.programs.echo, pipe.path, directory=directory, port=port
        ) as process,
    ):
        pipe.read()
        process.wait_until_idle()
        alone = _forwarding(process, pipe, times)
        with Process([bench.programs.scrape, str(port), "16", "0"]):
            time.sleep(_SCRAPED_BEFORE)
            together = _forwarding(process, pipe, times)
    return {
        Figure("unscraped_p99", "signal forwarded with --http, p99", "ns"): alone[98],
        Figure("scraped_p99", "signal forwarded beside 16 scrapers, p99", "ns"): together[98],
    }


def orphans(contestant: Contestant, bench: Bench) -> Measured:
    """Measure how long orphans take to be gone that are all released at once.

    The command itself releases them and looks when they are gone, see orphans.c.
    """
    count = bench.effort.orphans
    with (
        bench.directory() as directory,
        NumbersPipe(directory) as pipe,
        bench.supervised(
            contestant,
            "orphans",
            bench.programs.orphans,
            pipe.path,
            count,
            directory=directory,
        ),
    ):
        return {Figure("orphans", f"{grouped(count)} orphans reaped", "ns"): pipe.read()}


def memory(contestant: Contestant, bench: Bench) -> Measured:
    """Measure the memory of an idle supervisor, without that of its command.

    Pss shares the pages that it has in common with others out among them: a Python shares
    its own with the benchmark, which is one, too.
    """
    with bench.idle(contestant, "memory") as (process, _):
        return {
            Figure("pss", "memory (Pss), idle", "kB"): process.memory("Pss"),
            Figure("dirty", "private dirty memory, idle", "kB"): process.memory("Private_Dirty"),
        }


def idle(contestant: Contestant, bench: Bench) -> Measured:
    """Count how often an idle supervisor is switched to, and, afterwards, its system calls."""
    seconds = bench.effort.idle
    with bench.idle(contestant, "idle") as (process, _):
        before = process.context_switches()
        time.sleep(seconds)
        switches = process.context_switches() - before
        with bench.directory() as directory, SystemCalls(process, directory) as calls:
            attached = calls.count()
            time.sleep(seconds)
            during = calls.count() - attached
            process.stop()
            if not calls.saw_end():
                raise RuntimeError("strace did not see the end, so it saw nothing at all")
    return {
        Figure("idle_switches", f"wake-ups in {seconds:g} s, idle", ""): switches,
        Figure("idle_calls", f"system calls in {seconds:g} s, idle", ""): during,
    }


def endurance(contestant: Contestant, bench: Bench) -> Measured:
    """Measure the private dirty memory after 1 %, 50 % and 100 % of very many restarts."""
    runs = bench.effort.endurance
    measured: Measured = {}
    with bench.directory() as directory:
        numbers = NumbersFile(directory)
        command = (bench.programs.run, numbers.path, runs)
        with bench.supervised(contestant, "endurance", *command, directory=directory) as process:
            for percent in (1, 50, 100):
                due, end = 2 * runs * percent // 100, time.monotonic() + runs / 100
                while numbers.count() < due:
                    if time.monotonic() > end + DEADLINE:
                        raise TimeoutError(f"{numbers.count() // 2} runs")
                    time.sleep(0.01)
                title = f"private dirty memory at {percent} % of {grouped(runs)} restarts"
                figure = Figure(f"endurance_{percent}", title, "kB")
                measured[figure] = process.memory("Private_Dirty")
    first, last = (measured[figure] for figure in (*measured,)[::2])
    measured[Figure("growth", f"growth over {grouped(runs)} restarts", "kB")] = last - first
    return measured


def crash(contestant: Contestant, bench: Bench) -> Measured:
    """Count what clients notice of a server's crashes; the server itself binds its port."""
    return _noticed(contestant, bench, "crash", "")


def listening(contestant: Contestant, bench: Bench) -> Measured:
    """Count the same where the supervisor keeps the server's socket."""
    return _noticed(contestant, bench, "listening", "socket kept: ")


def _noticed(contestant: Contestant, bench: Bench, row: str, prefix: str) -> Measured:
    effort = bench.effort
    gap = max(_GAP, 1.05 * contestant.lifetime)
    with bench.directory() as directory, bench.server(contestant, row, directory) as port:
        numbers = NumbersFile(directory)
        patience = _PATIENCE * effort.patience * 0.9  # the ends take some of it as well
        options = (port, effort.crashes, f"{gap * 1e3:.0f}", f"{patience * 1e3:.0f}")
        with Process([bench.programs.client, str(numbers.path), *map(str, options)]) as client:
            if status := client.wait():
                raise RuntimeError(f"the client ended with {status}")
        seen = crashes.noticed(crashes.attempts(numbers.read()))
    return {
        Figure(f"{row}_refused", f"{prefix}refused per crash", ""): seen.refused / seen.crashes,
        Figure(f"{row}_reset", f"{prefix}reset per crash", ""): seen.reset / seen.crashes,
        Figure(f"{row}_late", f"{prefix}not answered in 1 s, per crash", ""): (
            seen.timed_out / seen.crashes
        ),
        Figure(f"{row}_wait", f"{prefix}longest wait at a crash, median", "ns"): (
            statistics.median(seen.longest_waits)
        ),
        Figure(f"{row}_longest", f"{prefix}longest wait", "ns"): max(seen.longest_waits),
    }


def stored(contestant: Contestant, bench: Bench) -> Measured:
    """Count the connections that are lost to crashes although they are stored."""
    with ExitStack() as stack:
        directory = stack.enter_context(bench.directory())
        port = stack.enter_context(bench.server(contestant, "stored", directory))
        opened = [stack.enter_context(_connection(port)) for _ in range(_CONNECTIONS)]
        served = {one for one in opened if _ask(one)}
        for _ in range(bench.effort.crashes):
            before = {_ask(one) for one in served}
            with _connection(port) as last:
                if _ask(last, b"crash\n"):
                    raise RuntimeError("the server did not crash")
            answers = {one: _ask(one) for one in served}
            served = {one for one, pid in answers.items() if pid and pid not in before}
    title = f"of {_CONNECTIONS} connections stored, lost in {bench.effort.crashes} crashes"
    return {Figure("stored", title, ""): _CONNECTIONS - len(served)}


def _is_served(port: int) -> bool:
    try:
        with _connection(port) as connection:
            return bool(_ask(connection))
    except ConnectionRefusedError:
        return False


def _connection(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)


def _ask(connection: socket.socket, request: bytes = b"ask\n") -> bytes:
    """Have a server answer with its pid; empty if it does not."""
    try:
        connection.sendall(request)
        return connection.recv(32)
    except OSError:
        return b""


def _free_port() -> int:
    """Find a port below those that the kernel gives to clients, of which there are many here."""
    while True:
        port = random.randrange(10_000, 30_000)
        with socket.socket() as trial, suppress(OSError):
            trial.bind(("127.0.0.1", port))
            return port


def grouped(number: int) -> str:
    """Write a large number as we do: 10 000."""
    return f"{number:,}".replace(",", " ")


_GAP = 0.1
"""Seconds from a server's first answer to its crash, if the supervisor does not want more."""

_PATIENCE = 2
"""That of the rows of crashes, for those that take a second or more for each."""

_CONNECTIONS = 100


@dataclass(frozen=True)
class Row:
    """One of the above, and how often it is repeated, in full and quickly.

    `together`: all contestants at the same time, since they do nothing.  `patience`: how often
    that of the effort.
    """

    measure: Callable[[Contestant, Bench], Measured]
    rounds: tuple[int, int]
    together: bool = False
    patience: int = 1

    @property
    def name(self) -> str:
        """The name by which the row is chosen."""
        return self.measure.__name__


ROWS = (
    Row(restart, (21, 5)),
    Row(crowd, (15, 1), patience=6),
    Row(start, (41, 7)),
    Row(stop, (21, 5)),
    Row(forwarding, (11, 3)),
    Row(scraped, (11, 3)),
    Row(orphans, (21, 3), patience=2),
    Row(memory, (5, 1)),
    Row(idle, (1, 1), together=True),
    Row(endurance, (1, 1)),
    Row(crash, (5, 1), patience=_PATIENCE),
    Row(listening, (5, 3), patience=_PATIENCE),
    Row(stored, (3, 1)),
)
