"""Everything at random for a given time, with an eye on memory and descriptors.

    python -m tests.soak SECONDS [--seed N]

One rebound lives through a history of crashes, signals, orphans and the like.  Beside it others
live for a short time each and are stopped: plain, as PID 1 and nested, with such a history; with
a system call that fails (tests.faults); with a command that means harm (test_adversaries).  The
report is Markdown; the exit status is 1 if anything did not hold.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.faults import table
from tests.faults.scenarios import run_fault
from tests.helpers import MODES, REPOSITORY
from tests.histories import CRASHES, ENDS, KINDS, RUBBISH, SIGNALS, History

WARM_UP = 150
"""Happenings before memory is looked at: every module is loaded then."""

MOST_GROWTH = 512 * 1024
"""Bytes by which memory may grow over the whole time."""

MOST_ORPHANS = 40

EPISODES = 0.02
"""How probable it is that one of the others lives before the next thing happens."""

EPISODE = 12
"""How many things happen to one of the others."""

ADVERSARIES = ("tests/e2e/test_adversaries.py", "tests/e2e/test_fd_store_hostile.py")


def happen(history: History, chance: random.Random) -> str:
    """Have one thing happen; give its name."""
    happenings: list[tuple[int, str, Callable[[], None]]] = [
        (6, "crash", lambda: history.crash(chance.choice(CRASHES))),
        (2, "killed", history.be_killed),
        (1, "leak", history.leak),
        (1, "restart requested", history.restart),
        (4, "orphan", lambda: history.leave_orphan(chance.choice(KINDS))),
        (6, "signal", lambda: history.be_signalled(chance.choice(SIGNALS))),
        (3, "queued signals", lambda: history.be_sent_values(chance.randint(1, 200))),
        (2, "notifications", lambda: history.notify(chance.randint(1, 100))),
        (1, "status", history.ask),
        (2, "scrapes", lambda: history.be_scraped(chance.randint(1, 30))),
        (1, "rubbish for --http", lambda: history.be_annoyed(chance.choice(RUBBISH))),
        (3, "connections", lambda: history.be_connected(chance.randint(1, 50))),
        (2, "connections over a crash", lambda: history.be_connected(9, chance.choice(CRASHES))),
        (3, "store", lambda: history.store(chance.choice(("store", "pipe")))),
        (1, "hang-up", history.hang_up),
        (1, "removal", history.forget),
    ]
    weights = [weight for weight, _, _ in happenings]
    [(_, name, happening)] = chance.choices(happenings, weights)
    happening()
    return name


class Soak:
    """One soak test."""

    def __init__(self, seconds: float, seed: int) -> None:
        self._chance = random.Random(seed)
        self._until = time.monotonic() + seconds
        self._adversaries = [test for file in ADVERSARIES for test in _collect(file)]
        self._faults = table.faults()
        self.counts: Counter[str] = Counter()
        self.figures: list[tuple[float, int, int, int]] = []  # (s, restarts, bytes, descriptors)

    def run(self) -> None:
        """Soak.  Raises whatever did not hold."""
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as name:
            history = History(Path(name), [])
            try:
                next_look = began
                while time.monotonic() < self._until:
                    self.counts[happen(history, self._chance)] += 1
                    history.thin_out(MOST_ORPHANS, self._chance)
                    if self._chance.random() < EPISODES:
                        episode = self._chance.choice(
                            (self._another_history, self._fault, self._adversary)
                        )
                        self.counts[episode()] += 1
                    if sum(self.counts.values()) >= WARM_UP and time.monotonic() >= next_look:
                        next_look = time.monotonic() + (self._until - began) / 20
                        history.check()
                        elapsed = time.monotonic() - began
                        self.figures.append((elapsed, history.restarts, *history.footprint()))
                history.check()
                history.end(self._chance.choice(ENDS))
            finally:
                history.close()

    def _another_history(self) -> str:
        mode = self._chance.choice(list(MODES))
        with tempfile.TemporaryDirectory() as name:
            history = History(Path(name), MODES[mode])
            try:
                for _ in range(self._chance.randrange(EPISODE)):
                    happen(history, self._chance)
                history.check()
                history.end(self._chance.choice(ENDS))
            finally:
                history.close()
        return f"others: a history ({mode})"

    def _fault(self) -> str:
        result = run_fault(self._chance.choice(self._faults))
        if result.problems:
            raise AssertionError(f"{result.fault}: {'; '.join(result.problems)}\n{result.log}")
        return "others: a system call fails"

    def _adversary(self) -> str:
        test = self._chance.choice(self._adversaries)
        result = _pytest(test)
        if result.returncode:
            raise AssertionError(f"{test}\n{result.stdout}")
        return "others: an adversary"

    def growth(self) -> tuple[int, int]:
        """Give by how much memory and descriptors have grown, from the warm-up to the end."""
        if not self.figures:
            return 0, 0
        (_, _, memory, descriptors), (_, _, memory_then, descriptors_then) = (
            self.figures[0],
            self.figures[-1],
        )
        return memory_then - memory, descriptors_then - descriptors


def _pytest(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", *words]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)


def _collect(file: str) -> list[str]:
    """List the tests of a file by their full names."""
    listing = _pytest("--collect-only", file).stdout
    return [line for line in listing.splitlines() if line.startswith(f"{file}::")]


def report(soak: Soak, seconds: float, seed: int) -> str:
    """Give the report."""
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}"
    lines = [
        f"Soak test of {seconds:g} s, seed {seed}; {machine}, Python {platform.python_version()}",
        "",
        "| what happened | times |",
        "|---|---|",
        *(f"| {name} | {count} |" for name, count in soak.counts.most_common()),
        "",
        "| after | restarts | memory | descriptors |",
        "|---|---|---|---|",
        *(
            f"| {elapsed:.0f} s | {restarts} | {memory / 1e6:.2f} MB | {descriptors} |"
            for elapsed, restarts, memory, descriptors in soak.figures
        ),
        "",
    ]
    memory, descriptors = soak.growth()
    lines.append(f"Memory grew by {memory / 1024:.0f} kB, descriptors by {descriptors}.")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=600)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    soak = Soak(options.seconds, options.seed)
    failed = False
    try:
        soak.run()
    except Exception:
        traceback.print_exc()
        failed = True
    sys.stdout.write(report(soak, options.seconds, options.seed))
    memory, descriptors = soak.growth()
    if memory > MOST_GROWTH or descriptors > 0:
        sys.stdout.write("That is too much.\n")
        failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
