"""What clients notice of the crashes of a server: what `client` wrote down, summed up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

SERVED, REFUSED, RESET, TIMED_OUT, CRASH = range(5)
"""How a connect ended, as in client.c.

By the last one the server was told to crash; it ends with the first answer of the next run.
"""


class Attempt(NamedTuple):
    """One connect: when it was made and when it ended, both in ns, and how."""

    began: int
    ended: int
    outcome: int


@dataclass(frozen=True)
class Noticed:
    """How many crashes there were, and how the connects ended."""

    crashes: int
    served: int
    refused: int
    reset: int
    timed_out: int
    longest_waits: list[int]
    """For each crash, in ns: of the connects that it concerned, see `waits`.

    Those are all that were made until the next run first answered, and had not ended before.
    """


def attempts(numbers: Sequence[int]) -> list[Attempt]:
    """Read what the client wrote.  Raises `ValueError` if that is cut off."""
    return [Attempt(*three) for three in zip(*[iter(numbers)] * 3, strict=True)]


def noticed(made: Sequence[Attempt]) -> Noticed:
    """Sum up, in the order in which the connects were made.

    Raises `ValueError` if the server was not crashed, or was not seen alive after its last crash.
    """
    counts = Counter(one.outcome for one in made)
    usual = [one for one in made if one.outcome != CRASH]
    if not counts[CRASH] or not usual or usual[-1].outcome != SERVED:
        raise ValueError(f"{counts[CRASH]} crashes, {counts[SERVED]} served, not the last one")
    waited = list(zip(usual, waits(usual), strict=True))
    return Noticed(
        crashes=counts[CRASH],
        served=counts[SERVED],
        refused=counts[REFUSED],
        reset=counts[RESET],
        timed_out=counts[TIMED_OUT],
        longest_waits=[
            max(
                wait
                for one, wait in waited
                if one.began <= crash.ended and one.began + wait >= crash.began
            )
            for crash in made
            if crash.outcome == CRASH
        ],
    )


def waits(usual: Sequence[Attempt]) -> list[int]:
    """Return how long each client waited for an answer, in ns; the last one must be served.

    One whose connect failed has the first answer that any later one gets, as if it had tried
    again each time.  Otherwise a server would look the better the sooner it refuses.
    """
    found = []
    next_answer = usual[-1].ended
    for one in reversed(usual):
        if one.outcome == SERVED:
            next_answer = min(next_answer, one.ended)
            found.append(one.ended - one.began)
        else:
            found.append(next_answer - one.began)
    return found[::-1]
