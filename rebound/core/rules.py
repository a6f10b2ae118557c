"""What is allowed in each field of `Config`."""

from __future__ import annotations

from rebound.core import signals, values
from rebound.core.exitstatus import StatusSet
from rebound.core.values import (
    LOG_FORMATS,
    RESTART_CHOICES,
    VERBOSITIES,
    can_mean_stop,
    is_oom_score_adj,
    is_signal,
    is_text,
    is_whole,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Rule = tuple[str, Callable[[Any], bool]]

_LONGEST_TIME = 1e24
"""Seconds: the most that the command line can say.  A float can still add to them, and count
them in microseconds.  A much larger whole number fits in no float."""


def check(field: str, value: object) -> None:
    """Raise `ValueError` for a value that is not allowed; its text says what is."""
    allowed, is_allowed = _RULES[field]
    if not is_allowed(value):
        raise ValueError(f"{field} must be {allowed}, not {value!r}")


def _is_time(value: object) -> bool:
    return (is_whole(value) or isinstance(value, float)) and 0 <= value <= _LONGEST_TIME


def _is_period(value: object) -> bool:
    return _is_time(value) and value != 0


def _are_stop_signals(value: object) -> bool:
    return isinstance(value, frozenset) and all(map(can_mean_stop, value))


def _is_rewrite(value: object) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(pair, tuple)
        and len(pair) == 2
        and is_signal(pair[0])
        and (is_signal(pair[1]) or (is_whole(pair[1]) and pair[1] == 0))
        for pair in value
    )


def _is_status_set(value: object) -> bool:
    return (
        isinstance(value, StatusSet)
        and isinstance(value.codes, frozenset)
        and isinstance(value.signals, frozenset)
        and all(is_whole(code) and 0 <= code <= 255 for code in value.codes)
        and all(is_signal(signo) for signo in value.signals)
    )


def _are_addresses(value: object) -> bool:
    if not isinstance(value, tuple) or not all(map(is_text, value)):
        return False
    return all(_is_read_by(values.parse_listen, text) for text in value)


def _is_address(value: object) -> bool:
    return value == "" or (is_text(value) and _is_read_by(values.parse_http, value))


def _is_memory_size(value: object) -> bool:
    return value == "" or (is_text(value) and _is_read_by(values.parse_memory_size, value))


def _is_shell_command(value: object) -> bool:
    return is_text(value) and (not value or bool(value.strip()))


def _is_health_http(value: object) -> bool:
    return value == "" or (is_text(value) and _is_read_by(values.parse_health_http, value))


def _is_health_tcp(value: object) -> bool:
    return value == "" or (is_text(value) and _is_read_by(values.parse_health_tcp, value))


def _is_read_by(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _choice(choices: tuple[str, ...]) -> Rule:
    return f"one of {', '.join(choices)}", lambda value: value in choices


def _or_none(rule: Rule) -> Rule:
    allowed, is_allowed = rule
    return f"None or {allowed}", lambda value: value is None or is_allowed(value)


_COUNT: Rule = ("a whole number from 0", lambda value: is_whole(value) and value >= 0)
_TIME: Rule = ("a number of seconds from 0 to 1e24", _is_time)
_PERIOD: Rule = ("a number of seconds above 0, up to 1e24", _is_period)
_SIGNAL: Rule = (f"a signal number (1 to {signals.LAST})", is_signal)
_FLAG: Rule = ("True or False", lambda value: isinstance(value, bool))
_PATH: Rule = ("a path without NUL characters, or empty", is_text)
_STATUSES: Rule = (
    f"a StatusSet with frozensets of exit statuses (0 to 255) and signals (1 to {signals.LAST})",
    _is_status_set,
)

_RULES: dict[str, Rule] = {
    "restart": _choice(RESTART_CHOICES),
    "max_restarts": _COUNT,
    "max_restarts_window": _or_none(_TIME),
    "restart_delay": _TIME,
    "burst": _COUNT,
    "max_delay": _TIME,
    "reset_after": _TIME,
    "success": _STATUSES,
    "no_restart": _STATUSES,
    "force_restart": _STATUSES,
    "max_runtime": _or_none(_PERIOD),
    "max_memory": ("a text such as '512M' or '50%', or empty", _is_memory_size),
    "own_group": _FLAG,
    "signal_group": _FLAG,
    "kill_group": _FLAG,
    "fresh": _FLAG,
    "rewrite": (
        f"a tuple of (from, to) pairs of signal numbers (1 to {signals.LAST}; to 0 sends nothing)",
        _is_rewrite,
    ),
    "stop_signals": (
        "a frozenset of signal numbers, without KILL, STOP, CHLD, CONT, TSTP, TTIN and TTOU",
        _are_stop_signals,
    ),
    "drain_signal": _or_none(_SIGNAL),
    "listen": ("a tuple of texts such as '127.0.0.1:80' or 'NAME=/run/api.sock'", _are_addresses),
    "fd_store": _COUNT,
    "stop_timeout": _or_none(_TIME),
    "parent_death_signal": _or_none(_SIGNAL),
    "watchdog": _or_none(_PERIOD),
    "notify": _FLAG,
    "http": ("a text such as '127.0.0.1:80' or '/run/http.sock', or empty", _is_address),
    "health_command": (
        "a shell command without NUL characters, or empty",
        _is_shell_command,
    ),
    "health_http": ("a URL such as 'http://127.0.0.1:8080/healthz', or empty", _is_health_http),
    "health_tcp": ("a HOST:PORT such as '127.0.0.1:8080', or empty", _is_health_tcp),
    "health_interval": _PERIOD,
    "health_timeout": _PERIOD,
    "health_start_period": _TIME,
    "health_retries": (
        "a whole number from 1",
        lambda value: is_whole(value) and value >= 1,
    ),
    "oom_score_adj": _or_none(("a whole number from -1000 to 1000", is_oom_score_adj)),
    "run_directory": _PATH,
    "termination_log": _PATH,
    "log_format": _choice(LOG_FORMATS),
    "log_file": _PATH,
    "log_reopen": _FLAG,
    "verbosity": _choice(VERBOSITIES),
}
"""The allowed values of each field, in words and as a test."""
