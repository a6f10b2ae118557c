"""A rebound that keeps the descriptors of tests/programs/storer.py, under test."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.helpers import Supervised, eventually, run


class Storing:
    """A rebound with that program, and what it says."""

    def __init__(self, rebound: Supervised, fifo: Path) -> None:
        self.rebound = rebound
        self._fifo = fifo
        self._orders = 0
        self.rebound.wait_ready()
        if os.environ["REBOUND_RUN_DIR"] and rebound.pid == rebound.popen.pid:
            # Then all that rebound opens for itself is open.
            eventually(lambda: run("--status", rebound.pid).returncode in (0, 1))
        # And the client's connection is closed again.
        self.do("barrier()")
        self.do("barrier()")

    @property
    def runs(self) -> list[dict[str, Any]]:
        """What each run so far was handed, and told."""
        lines = self.rebound.lines("ready ")
        return [json.loads(line.removeprefix("ready ")) for line in lines]

    def tell(self, code: str) -> str:
        """Have the command do something, and do not wait; return how the answer will begin."""
        self._orders += 1
        fifo = os.open(self._fifo, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            os.write(fifo, json.dumps([self._orders, code]).encode() + b"\n")
        finally:
            os.close(fifo)
        return f"done {self._orders} "

    def do(self, code: str) -> Any:
        """Have the command do something; return the value of an expression."""
        answer = self.tell(code)
        [line] = self.rebound.wait_until(lambda: self.rebound.lines(answer))
        return json.loads(line.removeprefix(answer))

    def do_all(self, *codes: str) -> None:
        """Have it do this, one after the other."""
        for code in codes:
            self.do(code)

    def next_run(self, ending: str = "os._exit(9)") -> dict[str, Any]:
        """Have the command end so; return what the next run was told."""
        before = len(self.runs)
        if ending:
            self.tell(ending)
        self.rebound.wait_ready(before + 1)
        return self.runs[before]

    def restart_now(self) -> dict[str, Any]:
        """Have rebound restart it; return what the next run was told."""
        before = len(self.runs)
        assert run("--restart-now", self.rebound.pid).returncode == 0
        self.rebound.wait_ready(before + 1)
        return self.runs[before]

    def descriptors(self) -> list[str]:
        """What rebound itself has open."""
        return [os.readlink(path) for path in self._paths()]

    def count(self) -> int:
        """How many they are."""
        return len(self._paths())

    def settled_at(self, count: int) -> bool:
        """Wait until they are so many."""
        return eventually(lambda: self.count() == count)

    def threads(self) -> int:
        """How many threads rebound has."""
        return len(os.listdir(f"/proc/{self.rebound.pid}/task"))

    def blocked(self) -> int:
        """The signals that rebound's first thread blocks."""
        status = Path(f"/proc/{self.rebound.pid}/status").read_text()
        return int(status.partition("SigBlk:")[2].split()[0], 16)

    def _paths(self) -> list[Path]:
        return list(Path(f"/proc/{self.rebound.pid}/fd").iterdir())
