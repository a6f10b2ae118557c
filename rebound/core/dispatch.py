"""The one way in which an event becomes actions, and their answers events."""

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
    """Step an event, carry out what follows, step each answer, until nothing more follows.

    `step` or `act` may raise by a mistake of ours.  `survive` is told, and all else goes on:
    neither the later actions nor the other answers are lost.
    """
    events = [first]
    for event in events:  # which grows meanwhile
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
