"""`--max-runtime`: each run ends after a time, and a new one begins."""

from __future__ import annotations

from rebound.core import narrate, signals
from rebound.core.events import Event, say
from rebound.core.exitstatus import MAX_RUNTIME
from rebound.core.restart import JITTER
from rebound.core.runs import TERM_PATIENCE, EndRun, Run
from rebound.core.states import RUNNING
from rebound.core.watch import Watch
from rebound.core.watchevents import RuntimeOver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rebound.core.config import Config
    from rebound.core.states import State
    from rebound.core.timers import Timers
    from rebound.core.watch import Taken


class MaxRuntime(Watch):
    """Ends a run when its time is over, or by `chance` up to a tenth sooner.

    So containers that were started together do not all restart at one instant.
    """

    pairs = ((RUNNING, RuntimeOver),)

    def __init__(
        self, config: Config, timers: Timers, chance: Callable[[], float] = lambda: 0.0
    ) -> None:
        super().__init__(config, timers)
        self._chance = chance
        self._run = Run(0, 0.0)

    def begin(self, run: Run, now: float) -> None:
        """Set the time of this run."""
        self._run = run
        longest = self._config.max_runtime or 0.0
        self._timers.set(RuntimeOver, now, longest * (1 - JITTER * self._chance()))

    def take(self, event: Event, state: State, now: float) -> Taken:  # noqa: ARG002  as Watch has it
        """End the run."""
        told = say(narrate.max_runtime, self._run.pid, now - self._run.started_at)
        return [told], EndRun(MAX_RUNTIME, signals.SIGTERM, TERM_PATIENCE)
