"""What a shell can offer as the value of an option: taken from the parser, never written again."""

from __future__ import annotations

from typing import NamedTuple

from rebound.core import signals
from rebound.core.values import LOG_FORMATS, RESTART_CHOICES
from rebound.options import OPTIONS, Option

SIGNALS = tuple(
    signals.name(number).removeprefix("SIG")
    for number in range(1, signals.LAST + 1)
    if not signals.name(number).isdecimal()
)


class Values(NamedTuple):
    """The words for a value; with a separator several of them, at most `most` if it is not 0."""

    words: tuple[str, ...] = ()
    separator: str = ""
    most: int = 0
    files: bool = False


BY_METAVAR = {
    "WHEN": Values(RESTART_CHOICES),
    "FORMAT": Values(LOG_FORMATS),
    "SIG": Values(SIGNALS),
    "SIG,…": Values(SIGNALS, ","),
    "STATUS,…": Values(SIGNALS, ","),
    "FROM:TO": Values((*SIGNALS, "0"), ":", 2),
    "PATH": Values(files=True),
}
"""The names of values that a shell can complete; of the others it shows the name."""

NOTHING = Values()


def values_of(option: Option) -> Values:
    """Return what a shell can offer for an option: only what its parser takes."""
    values = BY_METAVAR.get(option.metavar, NOTHING)
    first = "TERM:" if values.separator == ":" else ""
    return values._replace(words=tuple(w for w in values.words if takes(option, first + w)))


def takes(option: Option, value: str) -> bool:
    """Return whether an option takes a value: KILL is no --stop-signal."""
    try:
        option.apply({}, value)
    except ValueError:
        return False
    return True


def taking_values() -> tuple[str, ...]:
    """Return the spellings of all options that take a value."""
    return tuple(s for option in OPTIONS if option.metavar for s in option.spellings)
