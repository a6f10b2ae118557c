"""Events of the watches: which of their timers measure what others do."""

from __future__ import annotations

from rebound.core import watchevents
from rebound.core.events import Action, Event

KINDS = [
    kind
    for kind in vars(watchevents).values()
    if isinstance(kind, type) and kind.__module__ == watchevents.__name__
]


def test_each_is_an_event_or_an_action() -> None:
    """Of one kind, as those of every service."""
    assert KINDS
    assert all(kind.__bases__ in {(Event,), (Action,)} for kind in KINDS)


def test_the_command_and_its_check_are_not_late_because_rebound_was_paused() -> None:
    """Their timers begin anew; when a check is due is our own affair."""
    waiting = {kind for kind in KINDS if issubclass(kind, Event) and kind.waits_for_others}
    assert waiting == {watchevents.WatchdogExpired, watchevents.CheckTimeoutOver}
