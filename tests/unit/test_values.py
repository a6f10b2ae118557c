"""How values are read from text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebound.core import values
from rebound.core.exitstatus import StatusSet

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}

# --- Durations ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2", 2), ("0.5", 0.5), (".5", 0.5), ("500ms", 0.5), ("10s", 10), ("5m", 300), ("1.5h", 5400)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    """Seconds, a decimal, or with a unit."""
    assert values.parse_duration(text) == seconds


@given(st.decimals(0, 10**6, places=3), st.sampled_from(["", "ms", "s", "m", "h"]))
def test_any_decimal_with_any_unit_is_a_duration(number: Any, unit: str) -> None:
    """The value is number times unit."""
    seconds = values.parse_duration(f"{number}{unit}")
    assert math.isclose(seconds, float(number) * UNITS.get(unit, 1))


NOT_DURATIONS = ["", ".", "s", ".s", "-1", "+1", "1e3", "nan", "inf", "1_0", "1 s", "1d", "1.2.3"]
NOT_DURATIONS += ["1S", "1sm", "0x1", "²", "٣", " 1", "1\n", "9" * 400, "9" * 5000 + "h"]


@pytest.mark.parametrize("text", NOT_DURATIONS)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Though float() would take some of it."""
    with pytest.raises(ValueError, match="seconds such as 2"):
        values.parse_duration(text)


# --- Counts, statuses, pairs, choices -------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rate"),
    [("0", (0, None)), ("9" * 9, (999_999_999, None)), ("3/1m", (3, 60)), ("10/.5", (10, 0.5))],
)
def test_rates_are_read(text: str, rate: tuple[int, float | None]) -> None:
    """A number in all, or within a time."""
    assert values.parse_rate(text) == rate


def test_statuses_are_read() -> None:
    """Numbers are statuses, names are signals: 9 is `exit 9`, KILL is SIGKILL."""
    chosen = values.parse_statuses("0,9,255,KILL,sigquit,RTMIN+1")
    assert chosen == StatusSet(frozenset({0, 9, 255}), frozenset({9, 3, 35}))


@pytest.mark.parametrize(
    ("text", "pair"), [("TERM:INT", (15, 2)), ("1:15", (1, 15)), ("SIGUSR1:0", (10, 0))]
)
def test_rewrites_are_read(text: str, pair: tuple[int, int]) -> None:
    """FROM:TO; 0 drops the signal."""
    assert values.parse_rewrite(text) == pair


@pytest.mark.parametrize(
    ("text", "signos"),
    [("QUIT", {3}), ("SIGUSR1,winch,RTMIN+3", {10, 28, 37}), ("TERM,TERM", {15}), ("1", {1})],
)
def test_stop_signals_are_read(text: str, signos: set[int]) -> None:
    """A list with commas."""
    assert values.parse_stop_signals(text) == signos


@pytest.mark.parametrize("text", ["on-failure", "always", "never"])
def test_choices_are_read(text: str) -> None:
    """As they are written."""
    assert values.parse_restart(text) == text


WRONG = [
    *((values.parse_count, text, "a whole number from 0") for text in ("", "-1", "1.5", "x", "²")),
    (values.parse_count, "1" * 10, "a whole number from 0"),
    *((values.parse_rate, text, "a whole number from 0") for text in ("", "/1m", "x/1m")),
    *((values.parse_rate, text, "500ms, 10s") for text in ("3/", "3/x", "3/1/1")),
    *((values.parse_statuses, text, "0 to 255") for text in ("", "256", "1,", "1, 2", "-1", "OK")),
    *((values.parse_rewrite, text, "FROM:TO") for text in ("", "TERM", "15")),
    *((values.parse_rewrite, text, "1 to 64") for text in (":", "TERM:", "0:TERM", "TERM:INT:HUP")),
    *((values.parse_stop_signals, text, "1 to 64") for text in ("", "QUIT,", "OK", "QUIT USR1")),
    *(
        (values.parse_stop_signals, text, "QUIT, USR1, WINCH")
        for text in ("KILL", "19", "QUIT,CHLD", "CONT", "TSTP", "TTIN", "TTOU")
    ),
    *((values.parse_restart, text, "on-failure, always, never") for text in ("", "Always", "no")),
]


@pytest.mark.parametrize(("parse", "text", "allowed"), WRONG)
def test_what_is_wrong_is_refused(parse: Callable[[str], object], text: str, allowed: str) -> None:
    """With a sentence that says what is allowed."""
    with pytest.raises(ValueError, match=re.escape(allowed)):
        parse(text)


PARSERS = [
    values.parse_duration,
    values.parse_count,
    values.parse_rate,
    values.parse_statuses,
    values.parse_rewrite,
    values.parse_stop_signals,
    values.parse_restart,
]


@given(st.sampled_from(PARSERS), st.text() | st.text("0123456789.:/,-+smhTERMINT"))
def test_no_parser_raises_anything_but_valueerror(
    parse: Callable[[str], object], text: str
) -> None:
    """Whatever the text."""
    try:
        parse(text)
    except ValueError:
        pass
