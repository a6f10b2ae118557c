"""The queue of events: in their order, and none is lost, whatever raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rebound.core.dispatch import dispatch
from rebound.core.events import (
    Action,
    AskAdopted,
    Begin,
    ChildrenReaped,
    Event,
    NoChildren,
    NoneKillable,
    SignalCommand,
    Start,
)

ACTIONS: dict[Event, list[Action]] = {
    Begin(): [Start(0), AskAdopted(15), SignalCommand(9)],
    ChildrenReaped(): [Start(0)],
}


def record(
    answers: Mapping[Action, Event], *, broken: Sequence[Event | Action] = ()
) -> tuple[list[Event | Action], list[object]]:
    """What was done and stepped, in order, and what was survived."""
    left = dict(answers)
    done: list[Event | Action] = []
    survived: list[object] = []

    def step(event: Event) -> list[Action]:
        done.append(event)
        if event in broken:
            raise ValueError(event)
        return ACTIONS.get(event, [])

    def act(action: Action) -> Event | None:
        done.append(action)
        if action in broken:
            raise ValueError(action)
        return left.pop(action, None)

    dispatch(Begin(), step, act, lambda error: survived.append(error.args[0]))
    return done, survived


def test_each_answer_is_stepped_after_the_actions_that_it_came_with() -> None:
    answers: dict[Action, Event] = {Start(0): ChildrenReaped(), AskAdopted(15): NoChildren()}
    assert record(answers) == (
        [
            Begin(),
            *ACTIONS[Begin()],
            ChildrenReaped(),
            Start(0),
            NoChildren(),
        ],
        [],
    )


def test_an_action_that_raises_loses_neither_actions_nor_answers() -> None:
    answers: dict[Action, Event] = {Start(0): NoneKillable(), SignalCommand(9): NoChildren()}
    done, survived = record(answers, broken=[AskAdopted(15)])
    assert done == [Begin(), *ACTIONS[Begin()], NoneKillable(), NoChildren()]
    assert survived == [AskAdopted(15)]


def test_an_event_that_cannot_be_handled_loses_no_other() -> None:
    answers: dict[Action, Event] = {Start(0): ChildrenReaped(), SignalCommand(9): NoChildren()}
    done, survived = record(answers, broken=[ChildrenReaped()])
    assert done == [Begin(), *ACTIONS[Begin()], ChildrenReaped(), NoChildren()]
    assert survived == [ChildrenReaped()]
