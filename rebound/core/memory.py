"""The memory limit: when a run has taken more than it may, by looking once a second."""

from __future__ import annotations

from rebound.core import narrate, signals
from rebound.core.events import Event, say
from rebound.core.exitstatus import MEMORY
from rebound.core.runs import TERM_PATIENCE, EndRun, Run
from rebound.core.states import RUNNING
from rebound.core.watch import Watch
from rebound.core.watchevents import MemoryDue, MemoryRead, ReadMemory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rebound.core.config import Config
    from rebound.core.states import State
    from rebound.core.timers import Timers
    from rebound.core.watch import Taken

INTERVAL = 1.0
"""Seconds from one look to the next."""


class MemoryLimit(Watch):
    """Ends a run that is over --max-memory at two looks in a row: one may be a short peak."""

    pairs = ((RUNNING, MemoryDue), (RUNNING, MemoryRead))

    def __init__(self, config: Config, timers: Timers) -> None:
        super().__init__(config, timers)
        self._pid = 0
        self._is_over = False  # at the last look
        self._told_unknown = False

    def begin(self, run: Run, now: float) -> None:
        """Look for the first time after the interval."""
        self._pid = run.pid
        self._is_over = False
        self._timers.set(MemoryDue, now, INTERVAL)

    def take(self, event: Event, state: State, now: float) -> Taken:  # noqa: ARG002  as Watch has it
        """Look, or take what was seen."""
        if isinstance(event, MemoryRead):
            return self._judge(event)
        self._timers.set(MemoryDue, now, INTERVAL)
        return [ReadMemory()], None

    def _judge(self, seen: MemoryRead) -> Taken:
        if seen.resident is None:
            first, self._told_unknown = not self._told_unknown, True
            return ([say(narrate.memory_unknown)] if first else []), None
        was_over, self._is_over = self._is_over, seen.resident > seen.limit
        if not (was_over and self._is_over):
            return [], None
        told = say(narrate.over_memory, self._pid, seen.resident, seen.limit)
        return [told], EndRun(MEMORY, signals.SIGTERM, TERM_PATIENCE)
