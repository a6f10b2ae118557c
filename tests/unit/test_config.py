"""Settings: their defaults and ranges, and how values are read from text."""

from __future__ import annotations

import decimal
import inspect
import math
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebound.core import config
from rebound.core.config import Config, parse_statuses
from rebound.core.exitstatus import StatusSet
from rebound.options import spelling_of

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}

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


TIMES: tuple[str, ...] = (
    "restart_delay",
    "max_delay",
    "reset_after",
    "max_restarts_window",
    "stop_timeout",
)
TIMES += ("health_start_period",)
PERIODS = ("max_runtime", "watchdog", "health_interval", "health_timeout")
COUNTS = ("max_restarts", "burst", "health_retries")
SIGNALS = ("drain_signal", "parent_death_signal")
FLAGS = ("own_group", "signal_group", "kill_group", "notify")
STATUSES = ("success", "no_restart", "force_restart")
PATHS = ("run_directory", "termination_log")
TEXTS = (
    *PATHS,
    "health_command",
    "health_http",
    "health_tcp",
    "restart",
    "log_format",
    "verbosity",
)
EMPTY: list[object] = []
OUT_OF_RANGE: list[tuple[str, object]] = [
    *((field, value) for field in TIMES + COUNTS for value in (-1, math.inf, math.nan)),
    *((field, value) for field in SIGNALS for value in (-1, 0, 65)),
    *(("rewrite", (pair,)) for pair in ((0, 15), (65, 15), (15, 65), (15, -1))),
    *((field, "sometimes") for field in ("restart", "verbosity", "log_format")),
    *((field, 10**400) for field in TIMES),
    *((field, value) for field in PERIODS for value in (0, -1, math.inf, math.nan)),
    *(("oom_score_adj", value) for value in (-1001, 1001)),
    ("health_retries", 0),
    *(("health_command", value) for value in (" ", "\n", "a\0b", "\ud800")),
    *(("health_http", value) for value in ("127.0.0.1:80", "https://[::1]/", "http://x/", "a\0b")),
    *(("health_tcp", value) for value in ("127.0.0.1", "[::1]:0", "x:80", "/run/x", "a\0b")),
    *((field, value) for field in PATHS for value in ("a\0b", "\ud800")),
    *((field, StatusSet(frozenset({256}))) for field in STATUSES),
    *((field, StatusSet(frozenset(), frozenset({0}))) for field in STATUSES),
]
NOT_NUMBERS: list[object] = ["3", b"3", True, [3], 3j, decimal.Decimal(3)]
OF_ANOTHER_TYPE: list[tuple[str, object]] = [
    *((field, value) for field in TIMES + PERIODS + COUNTS for value in NOT_NUMBERS),
    *((field, value) for field in SIGNALS for value in (*NOT_NUMBERS, 15.0, "TERM")),
    *(("oom_score_adj", value) for value in (*NOT_NUMBERS, 1.0)),
    *((field, value) for field in COUNTS for value in (None, 3.0)),
    *((field, None) for field in ("restart_delay", "max_delay", "reset_after")),
    *((field, value) for field in FLAGS for value in (0, 1, None, "yes")),
    *((field, value) for field in TEXTS for value in (None, 1, b"text", False, EMPTY)),
    *((field, value) for field in STATUSES for value in (None, 78, "78", {78}, frozenset({78}))),
    *((field, StatusSet({78})) for field in STATUSES),  # type: ignore[arg-type]
    *((field, StatusSet(frozenset({"78"}))) for field in STATUSES),  # type: ignore[arg-type]
    *(("rewrite", value) for value in (None, (15, 2), [(15, 2)], {15: 2}, ((15,),), ((15, 2, 3),))),
    *(
        ("rewrite", value)
        for value in (([15, 2],), (("TERM", "INT"),), ((15, None),), ((15, False),))
    ),
]


@pytest.mark.parametrize(("field", "value"), OUT_OF_RANGE + OF_ANOTHER_TYPE)
def test_a_value_that_is_not_allowed_is_refused(field: str, value: Any) -> None:
    """The error names the field, what is allowed, and the value."""
    with pytest.raises(ValueError, match=rf"^{field} must be .+, not {re.escape(repr(value))}$"):
        Config(**{field: value})


def test_a_value_is_checked_however_it_is_given() -> None:
    """In order, too."""
    with pytest.raises(ValueError, match=r"^max_restarts must be .+, not '3'$"):
        Config("always", "3")  # type: ignore[arg-type]


EXCLUSIVE: list[tuple[dict[str, Any], str]] = [
    ({"force_restart": "3,4,TERM", "no_restart": "4,TERM,3"}, "no_restart both have 3, 4, SIGTERM"),
    ({"force_restart": "TERM", "success": "0,TERM"}, "success both have SIGTERM"),
    ({"force_restart": "143", "success": "TERM"}, ""),
    ({"force_restart": "TERM", "no_restart": "143"}, ""),
    ({"no_restart": "3", "success": "3"}, ""),
]


@pytest.mark.parametrize(("lists", "conflict"), EXCLUSIVE)
def test_lists_that_overlap_are_refused(lists: dict[str, str], conflict: str) -> None:
    """A name and a number do not: the name is more special."""
    settings: dict[str, Any] = {field: config.parse_statuses(text) for field, text in lists.items()}
    text = f"force_restart and {conflict}" if conflict else ""
    assert config.conflict_in(settings) == text
    if text:
        with pytest.raises(ValueError, match=f"^{text}$"):
            Config(**settings)
    else:
        Config(**settings)


def test_there_is_one_kind_of_health_check() -> None:
    """And any of the three is one."""
    checks: dict[str, Any] = {
        "health_command": "true",
        "health_http": "http://[::1]",
        "health_tcp": "[::1]:80",
    }
    assert all(Config(**{field: value}).checks_health for field, value in checks.items())
    assert not Config().checks_health
    with pytest.raises(ValueError, match=r"^health_command and health_http and health_tcp exclude"):
        Config(**checks)
    text = "--health-cmd and --health-tcp exclude each other"
    checks.pop("health_http")
    assert config.conflict_in(checks, spelling_of) == text


def test_the_defaults_are_allowed() -> None:
    """They are not checked when a Config is made; nor is any field without its rule."""
    given = {name: getattr(Config, name) for name in Config._fields}
    assert Config(**given) == Config()


def test_an_unknown_field_is_refused() -> None:
    """With all that there are, among them the one that was meant."""
    with pytest.raises(TypeError, match=r"^Config has no field 'max_restart' \(.* max_restarts,"):
        Config(max_restart=3)  # type: ignore[call-arg]


def test_each_field_is_documented() -> None:
    """With its type and default, in order, and with a meaning; `help` shows it."""
    text = inspect.getdoc(Config) or ""
    documented = re.findall(r"^(\w+): (.+) = (.+)\n    \S", text, re.MULTILINE)
    assert documented == [
        (name, kind, repr(getattr(Config, name))) for name, kind in Config.__annotations__.items()
    ]
    times = [name for name, kind in Config.__annotations__.items() if "float" in kind]
    assert re.findall(r"^(\w+): .+\n    Seconds\b", text, re.MULTILINE) == times


def test_the_signature_is_the_fields() -> None:
    """As `help` and editors show it."""
    signature = inspect.signature(Config)
    assert [*signature.parameters] == [*Config._fields]
    assert signature.bind(max_restarts=3).arguments == {"max_restarts": 3}
    assert all(
        parameter.default == getattr(Config, name)
        for name, parameter in signature.parameters.items()
    )


IN_RANGE: list[tuple[str, object]] = [
    *((field, value) for field in TIMES for value in (0, 0.001, 1e9, 1e24)),
    *((field, value) for field in COUNTS for value in (1, 999)),
    *((field, 0) for field in ("max_restarts", "burst")),
    *((field, value) for field in PERIODS for value in (1, 0.001, 1e24)),
    *((field, value) for field in SIGNALS for value in (None, 1, 64, signal.SIGTERM)),
    *(("oom_score_adj", value) for value in (None, -1000, 0, 1000)),
    *((field, value) for field in FLAGS for value in (True, False)),
    *((field, value) for field in PATHS for value in ("", "/a b", "\udcff")),
    *(("health_command", value) for value in ("", "a\nb", "\udcff")),
    *((field, parse_statuses("0,255,TERM")) for field in STATUSES),
    ("max_restarts_window", None),
    ("stop_timeout", None),
    ("watchdog", None),
    ("rewrite", ()),
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
