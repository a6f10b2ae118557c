"""How the values of options are written as text, and read."""

from __future__ import annotations

from rebound.core import signals
from rebound.core.exitstatus import StatusSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeGuard

RESTART_CHOICES = ("on-failure", "always", "never")
VERBOSITIES = ("quiet", "normal", "verbose")
LOG_FORMATS = ("text", "json", "timed")

_UNITS = (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0))

_LOWEST_OOM_SCORE_ADJ, _HIGHEST_OOM_SCORE_ADJ = -1000, 1000  # proc(5)

_NEVER_A_STOP = (
    signals.SIGKILL,
    signals.SIGSTOP,
    signals.SIGCHLD,
    signals.SIGCONT,
    signals.SIGTSTP,
    signals.SIGTTIN,
    signals.SIGTTOU,
)


def is_text(value: object) -> TypeGuard[str]:
    """Return whether the system can take this text: no NUL, and only what can be encoded."""
    if not isinstance(value, str):
        return False
    try:
        return b"\0" not in value.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether this is a whole number, and no bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_oom_score_adj(value: object) -> bool:
    """Return whether this is an adjustment of the out-of-memory score (proc(5))."""
    return is_whole(value) and _LOWEST_OOM_SCORE_ADJ <= value <= _HIGHEST_OOM_SCORE_ADJ


def is_signal(value: object) -> bool:
    """Return whether this is the number of a signal."""
    return is_whole(value) and 1 <= value <= signals.LAST


def can_mean_stop(value: object) -> bool:
    """Return whether this is a signal that may begin the shutdown.

    KILL and STOP cannot be caught, CHLD tells of children, the others belong to job control.
    """
    return is_signal(value) and value not in _NEVER_A_STOP


def parse_duration(text: str) -> float:
    """Read seconds: `2`, `0.5`, `500ms`, `10s`, `5m`, `1h`."""
    for unit, factor in _UNITS:
        number = text.removesuffix(unit)
        if number != text and _is_decimal(number):
            return float(number) * factor
    if _is_decimal(text):
        return float(text)
    raise ValueError(f"{text!r} is not a time (seconds such as 2 or 0.5, or 500ms, 10s, 5m, 1h)")


def parse_period(text: str) -> float:
    """Read seconds, as `parse_duration` does, but more than 0."""
    seconds = parse_duration(text)
    if not seconds:
        raise ValueError(f"{text!r} is too short (it must be more than 0)")
    return seconds


def _is_decimal(text: str) -> bool:
    # float() alone also takes "nan", "1e9", "1_0" and "-1".
    # A longer number could become infinite.
    return text.isascii() and len(text) <= 20 and text.replace(".", "", 1).isdecimal()


def parse_count(text: str) -> int:
    """Read a whole number from 0."""
    return _parse_whole_number(text, 0)


def parse_positive_count(text: str) -> int:
    """Read a whole number from 1."""
    return _parse_whole_number(text, 1)


def _parse_whole_number(text: str, least: int) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) >= least:
        return int(text)
    raise ValueError(f"{text!r} is not a whole number from {least}")


def parse_command(text: str) -> str:
    """Read a shell command: any text but an empty one."""
    if not text.strip():
        raise ValueError(f"{text!r} is not a shell command")
    return text


def parse_health_http(text: str) -> str:
    """Read the URL of a health check."""
    from rebound.core import target

    target.parse_url(text)
    return text


def parse_health_tcp(text: str) -> str:
    """Read the HOST:PORT of a health check."""
    from rebound.core import target

    target.parse_host_port(text)
    return text


def parse_oom_score_adj(text: str) -> int:
    """Read a whole number from -1000 to 1000."""
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) <= 4:
        value = int(text)
        if is_oom_score_adj(value):
            return value
    raise ValueError(f"{text!r} is not a whole number from -1000 to 1000")


def parse_rate(text: str) -> tuple[int, float | None]:
    """Read `N` or `N/TIME`: a number in all, or within the last TIME."""
    count, slash, window = text.partition("/")
    return parse_count(count), parse_duration(window) if slash else None


def parse_statuses(text: str) -> StatusSet:
    """Read a comma-separated list of exit statuses (0 to 255) and signal names."""
    codes, signos = set(), set()
    for word in text.split(","):
        if word.isascii() and word.isdecimal():
            if len(word) > 3 or int(word) > 255:
                raise ValueError(f"{word!r} is not an exit status (0 to 255)")
            codes.add(int(word))
        else:
            try:
                signos.add(signals.parse(word))
            except ValueError:
                raise ValueError(
                    f"{word!r} is neither an exit status (0 to 255) nor a signal's name"
                ) from None
    return StatusSet(frozenset(codes), frozenset(signos))


def parse_stop_signals(text: str) -> frozenset[int]:
    """Read a comma-separated list of signals that can mean a stop."""
    signos = frozenset(signals.parse(word) for word in text.split(","))
    for signo in signos:
        if not can_mean_stop(signo):
            name = signals.name(signo)
            raise ValueError(f"{name} cannot mean a stop (QUIT, USR1, WINCH, RTMIN+3 … can)")
    return signos


def parse_rewrite(text: str) -> tuple[int, int]:
    """Read `FROM:TO`, two signals; TO may be 0."""
    source, colon, target = text.partition(":")
    if not colon:
        raise ValueError(f"{text!r} is not FROM:TO (two signals, e.g. TERM:INT; TO 0 drops FROM)")
    try:
        return signals.parse(source), 0 if target == "0" else signals.parse(target)
    except ValueError as error:
        raise ValueError(f"{error}; TO may also be 0, which sends nothing") from None


def parse_restart(text: str) -> str:
    """Read a restart policy."""
    return _parse_choice(text, RESTART_CHOICES)


def parse_log_format(text: str) -> str:
    """Read a log format."""
    return _parse_choice(text, LOG_FORMATS)


def _parse_choice(text: str, choices: tuple[str, ...]) -> str:
    if text in choices:
        return text
    raise ValueError(f"{text!r} is not one of {', '.join(choices)}")


def parse_text(text: str) -> str:
    """Take any text."""
    return text


def parse_memory_size(text: str) -> str:
    """Read an amount of memory."""
    from rebound.core import size

    size.parse_size(text)
    return text


def parse_listen(text: str) -> str:
    """Read `[NAME=]ADDRESS`."""
    from rebound.core import address

    address.parse(text)
    return text


def parse_http(text: str) -> str:
    """Read an address without a name, for connections."""
    from rebound.core import address

    address.parse_unnamed(text)
    return text


_PARSERS: dict[str, Callable[[str], object]] = {
    "duration": parse_duration,
    "period": parse_period,
    "count": parse_count,
    "positive_count": parse_positive_count,
    "command": parse_command,
    "health_http": parse_health_http,
    "health_tcp": parse_health_tcp,
    "oom_score_adj": parse_oom_score_adj,
    "rate": parse_rate,
    "statuses": parse_statuses,
    "stop_signals": parse_stop_signals,
    "rewrite": parse_rewrite,
    "restart": parse_restart,
    "log_format": parse_log_format,
    "text": parse_text,
    "memory_size": parse_memory_size,
    "listen": parse_listen,
    "http": parse_http,
    "signal": signals.parse,
}


def read(kind: str, text: str) -> object:
    """Read a value of this kind.  Raises `ValueError`; its text says what is allowed."""
    return _PARSERS[kind](text)
