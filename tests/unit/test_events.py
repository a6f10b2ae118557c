"""The words of `Service.step`: values, each of one kind; and facts for the log."""

from __future__ import annotations

import pytest

from rebound.core import events, narrate, watchevents
from rebound.core.events import Action, Event, Say, say

KINDS = [*Event.__subclasses__(), *Action.__subclasses__()]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_is_an_event_or_an_action_and_documented(kind: type[Event | Action]) -> None:
    """And none is a kind of another one: the table goes by the type."""
    assert kind.__doc__
    assert kind.__subclasses__() == []
    homes = [module for module in (events, watchevents) if vars(module).get(kind.__name__) is kind]
    assert homes


def test_a_fact_is_its_words_and_what_they_are_about() -> None:
    """Put into words only when it is written."""
    fact = say(narrate.started, "cmd", 4711)
    assert fact == Say(narrate.started, ("cmd", 4711))
    assert fact != say(narrate.started, "cmd", 4712)
    assert fact.words(*fact.about) == narrate.started("cmd", 4711)
    assert say(narrate.healthy) == Say(narrate.healthy)
