"""What is allowed in each field of `Config`."""

from __future__ import annotations

import decimal
import math
import re
import signal
from typing import Any

import pytest

from rebound.core import rules
from rebound.core.config import Config
from rebound.core.exitstatus import StatusSet
from rebound.core.values import parse_statuses

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
    "max_memory",
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
    *(("max_memory", value) for value in ("0", "-1", "101%", "1GB", "a\0b")),
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
    *(("max_memory", value) for value in ("", "1", "2G", "50%")),
    ("rewrite", ()),
    ("rewrite", ((1, 64), (64, 0))),
    *(("restart", value) for value in ("on-failure", "always", "never")),
    *(("verbosity", value) for value in ("quiet", "normal", "verbose")),
]


@pytest.mark.parametrize(("field", "value"), IN_RANGE)
def test_a_value_in_range_is_taken(field: str, value: Any) -> None:
    """The ends of the range belong to it."""
    assert getattr(Config(**{field: value}), field) == value


def test_each_field_has_its_rule() -> None:
    """Whatever is added to `Config`."""
    assert set(rules._RULES) == set(Config._fields)
