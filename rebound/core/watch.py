"""The base of the watches: each holds the rules of one option that may end a run."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rebound.core.config import Config
    from rebound.core.events import Action, Event
    from rebound.core.runs import EndRun, Run
    from rebound.core.states import State
    from rebound.core.timers import Timers

    Taken = tuple[list[Action], EndRun | None]

    MakeWatch = Callable[[Config, Timers], "Watch"]


class Watch:
    """Base of the watches.  A service has at most one of each kind, for all its runs."""

    pairs: Sequence[tuple[State, type[Event]]] = ()
    """Each (state, event) that it handles; the service adds them to its table."""

    def __init__(self, config: Config, timers: Timers) -> None:
        self._config = config
        self._timers = timers

    @property
    def is_ready(self) -> bool:
        """Whether, as far as the watch can tell, the run does its work."""
        return True

    @property
    def health_state(self) -> str:
        """`starting`, `healthy` or `unhealthy`; empty if it is no health check."""
        return ""

    def begin(self, run: Run, now: float) -> None:
        """Watch a run that has just begun."""
        raise NotImplementedError

    def take(self, event: Event, state: State, now: float) -> Taken:
        """Handle an event; return the actions, and how the run is to end (None: it goes on)."""
        raise NotImplementedError

    def end(self) -> list[Action]:
        """Stop what goes on beside the run."""
        return []
