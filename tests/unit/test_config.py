"""Settings: their defaults and ranges, and how values are written as text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebound import config
from rebound.config import Config
from rebound.exitstatus import StatusSet

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}

# --- Config ---------------------------------------------------------------------------


def test_the_defaults_are_the_documented_ones() -> None:
    """Each of them."""
    assert vars(Config()) == {}
    assert Config() == Config(
        restart="on-failure",
        max_restarts=0,
        max_restarts_window=None,
        restart_delay=0,
        burst=5,
        max_delay=60,
        reset_after=10,
        success=StatusSet(),
        no_restart=StatusSet(),
        own_group=False,
        signal_group=False,
        kill_group=False,
        rewrite=(),
        drain_signal=None,
        stop_timeout=None,
        parent_death_signal=None,
        verbosity="normal",
    )


@pytest.mark.parametrize("field", ["own_group", "signal_group", "kill_group"])
def test_each_group_option_gives_the_command_its_own_group(field: str) -> None:
    """-G and -k imply -g."""
    settings: dict[str, Any] = {field: True}
    assert Config(**settings).in_own_group
    assert not Config().in_own_group


TIMES = ("restart_delay", "max_delay", "reset_after", "max_restarts_window", "stop_timeout")
COUNTS = ("max_restarts", "burst")
SIGNALS = ("drain_signal", "parent_death_signal")
OUT_OF_RANGE: list[tuple[str, object]] = [
    *((field, value) for field in TIMES + COUNTS for value in (-1, math.inf, math.nan)),
    *((field, value) for field in SIGNALS for value in (-1, 0, 65)),
    *(("rewrite", (pair,)) for pair in ((0, 15), (65, 15), (15, 65), (15, -1))),
    *((field, "sometimes") for field in ("restart", "verbosity")),
]


@pytest.mark.parametrize(("field", "value"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused(field: str, value: Any) -> None:
    """And named."""
    with pytest.raises(ValueError, match=f"^{field} must be "):
        Config(**{field: value})


IN_RANGE: list[tuple[str, object]] = [
    *((field, value) for field in TIMES for value in (0, 0.001, 1e9)),
    *((field, value) for field in COUNTS for value in (0, 1, 999)),
    *((field, value) for field in SIGNALS for value in (None, 1, 64)),
    ("max_restarts_window", None),
    ("stop_timeout", None),
    ("rewrite", ((1, 64), (64, 0))),
    *(("restart", value) for value in ("on-failure", "always", "never")),
    *(("verbosity", value) for value in ("quiet", "normal", "verbose")),
]


@pytest.mark.parametrize(("field", "value"), IN_RANGE)
def test_a_value_in_range_is_taken(field: str, value: Any) -> None:
    """The ends of the range belong to it."""
    assert getattr(Config(**{field: value}), field) == value


# --- Durations ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2", 2), ("0.5", 0.5), (".5", 0.5), ("500ms", 0.5), ("10s", 10), ("5m", 300), ("1.5h", 5400)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    """Seconds, a decimal, or with a unit."""
    assert config.parse_duration(text) == seconds


@given(st.decimals(0, 10**6, places=3), st.sampled_from(["", "ms", "s", "m", "h"]))
def test_any_decimal_with_any_unit_is_a_duration(number: Any, unit: str) -> None:
    """The value is number times unit."""
    seconds = config.parse_duration(f"{number}{unit}")
    assert math.isclose(seconds, float(number) * UNITS.get(unit, 1))


NOT_DURATIONS = ["", ".", "s", ".s", "-1", "+1", "1e3", "nan", "inf", "1_0", "1 s", "1d", "1.2.3"]
NOT_DURATIONS += ["1S", "1sm", "0x1", "²", "٣", " 1", "1\n", "9" * 400, "9" * 5000 + "h"]


@pytest.mark.parametrize("text", NOT_DURATIONS)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Though float() would take some of it."""
    with pytest.raises(ValueError, match="seconds such as 2"):
        config.parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0001, "1ms"),
        (0.0126, "13ms"),
        (0.34, "0.3s"),
        (2, "2s"),
        (9.97, "10s"),
        (10.4, "10s"),
        (59.6, "1m"),
        (192, "3m12s"),
        (3599.9, "1h"),
        (3660, "1h1m"),
        (5 * 3600 + 2 * 60 + 59, "5h2m"),
        (8 * 86400 + 3 * 3600, "8d3h"),
        (7 * 86400 + 59, "7d"),
    ],
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    """Two units at most, and none that is zero."""
    assert config.format_duration(seconds) == text


@given(st.floats(0, 1e8))
def test_a_written_duration_is_close(seconds: float) -> None:
    """Off by less than its smallest unit, and short enough for a log line."""
    text = config.format_duration(seconds)
    assert re.fullmatch(r"\d+ms|\d\.\ds|\d+s|\d+m(\d+s)?|\d+h(\d+m)?|\d+d(\d+h)?", text)
    written = sum(float(n) * UNITS[unit] for n, unit in re.findall(r"([\d.]+)([a-z]+)", text))
    scale = 0.1 if seconds < 10 else 1 if seconds < 3600 else 60 if seconds < 86400 else 3600
    assert abs(written - seconds) < scale + 0.5 * (scale > 1)


# --- Counts, statuses, pairs, choices -------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rate"),
    [("0", (0, None)), ("9" * 9, (999_999_999, None)), ("3/1m", (3, 60)), ("10/.5", (10, 0.5))],
)
def test_rates_are_read(text: str, rate: tuple[int, float | None]) -> None:
    """A number in all, or within a time."""
    assert config.parse_rate(text) == rate


def test_statuses_are_read() -> None:
    """Numbers are statuses, names are signals: 9 is `exit 9`, KILL is SIGKILL."""
    chosen = config.parse_statuses("0,9,255,KILL,sigquit,RTMIN+1")
    assert chosen == StatusSet(frozenset({0, 9, 255}), frozenset({9, 3, 35}))


@pytest.mark.parametrize(
    ("text", "pair"), [("TERM:INT", (15, 2)), ("1:15", (1, 15)), ("SIGUSR1:0", (10, 0))]
)
def test_rewrites_are_read(text: str, pair: tuple[int, int]) -> None:
    """FROM:TO; 0 drops the signal."""
    assert config.parse_rewrite(text) == pair


@pytest.mark.parametrize(
    ("text", "signos"),
    [("QUIT", {3}), ("SIGUSR1,winch,RTMIN+3", {10, 28, 37}), ("TERM,TERM", {15}), ("1", {1})],
)
def test_stop_signals_are_read(text: str, signos: set[int]) -> None:
    """A list with commas."""
    assert config.parse_stop_signals(text) == signos


@pytest.mark.parametrize("text", ["on-failure", "always", "never"])
def test_choices_are_read(text: str) -> None:
    """As they are written."""
    assert config.parse_restart(text) == text


WRONG = [
    *((config.parse_count, text, "a whole number from 0") for text in ("", "-1", "1.5", "x", "²")),
    (config.parse_count, "1" * 10, "a whole number from 0"),
    *((config.parse_rate, text, "a whole number from 0") for text in ("", "/1m", "x/1m")),
    *((config.parse_rate, text, "500ms, 10s") for text in ("3/", "3/x", "3/1/1")),
    *((config.parse_statuses, text, "0 to 255") for text in ("", "256", "1,", "1, 2", "-1", "OK")),
    *((config.parse_rewrite, text, "FROM:TO") for text in ("", "TERM", "15")),
    *((config.parse_rewrite, text, "1 to 64") for text in (":", "TERM:", "0:TERM", "TERM:INT:HUP")),
    *((config.parse_stop_signals, text, "1 to 64") for text in ("", "QUIT,", "OK", "QUIT USR1")),
    *(
        (config.parse_stop_signals, text, "QUIT, USR1, WINCH")
        for text in ("KILL", "19", "QUIT,CHLD", "CONT", "TSTP", "TTIN", "TTOU")
    ),
    *((config.parse_restart, text, "on-failure, always, never") for text in ("", "Always", "no")),
]


@pytest.mark.parametrize(("parse", "text", "allowed"), WRONG)
def test_what_is_wrong_is_refused(parse: Callable[[str], object], text: str, allowed: str) -> None:
    """With a sentence that says what is allowed."""
    with pytest.raises(ValueError, match=re.escape(allowed)):
        parse(text)


PARSERS = [
    config.parse_duration,
    config.parse_count,
    config.parse_rate,
    config.parse_statuses,
    config.parse_rewrite,
    config.parse_stop_signals,
    config.parse_restart,
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
