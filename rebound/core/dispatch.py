"""The one way from an event to its actions, and from their answers to events."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rebound.core.events import Action, Event


def dispatch(
    first: Event,
    step: Callable[[Event], Sequence[Action]],
    act: Callable[[Action], Event | None],
    survive: Callable[[Exception], None],
) -> None:
    """Step an event, carry out its actions, step each answer, until no answer is left.

    `step` or `act` may raise by a mistake of ours.  `survive` gets the exception, and all else
    goes on: the later actions are carried out, and the other answers are stepped.
    """
    events = [first]
    for event in events:  # the list grows meanwhile
        try:
            actions = step(event)
        except Exception as error:
            survive(error)
            continue
        for action in actions:
            try:
                answer = act(action)
            except Exception as error:
                survive(error)
                continue
            if answer is not None:
                events.append(answer)
