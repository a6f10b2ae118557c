"""What every watch over a run is: the rules of one option that may end it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from rebound.core.config import Config
    from rebound.core.events import Action, Event
    from rebound.core.runs import EndRun, Run
    from rebound.core.states import State
    from rebound.core.timers import Timers

    Taken = tuple[list[Action], EndRun | None]


class Watch:
    """Base of the watches; one of each kind for a service, run after run."""

    pairs: Sequence[tuple[State, type[Event]]] = ()
    """Each (state, event) that it handles: they become part of the service's table."""

    def __init__(self, config: Config, timers: Timers) -> None:
        self._config = config
        self._timers = timers

    @property
    def is_ready(self) -> bool:
        """Whether, as far as the watch can tell, the run does its work."""
        return True

    @property
    def health_state(self) -> str:
        """What a health check finds: `starting`, `healthy`, `unhealthy`; empty without one."""
        return ""

    def begin(self, run: Run, now: float) -> None:
        """Watch a run that has just begun."""
        raise NotImplementedError

    def take(self, event: Event, state: State, now: float) -> Taken:
        """Handle an event; return what to do, and whether the run is to end."""
        raise NotImplementedError

    def end(self) -> list[Action]:
        """Give up what goes on beside the run."""
        return []
