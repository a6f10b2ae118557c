"""What can be set, as one validated value; and how its parts are written as text."""

from __future__ import annotations

from rebound import signals
from rebound.exitstatus import StatusSet
from rebound.record import Record

RESTART_CHOICES = ("on-failure", "always", "never")
VERBOSITIES = ("quiet", "normal", "verbose")
LOG_FORMATS = ("text", "json")

TERMINATION_LOG = "/dev/termination-log"
"""Where Kubernetes looks for a message; the runtime makes the file, if at all."""

_LOWEST_OOM_SCORE_ADJ, _HIGHEST_OOM_SCORE_ADJ = -1000, 1000  # proc(5)

_CHOICES = (
    ("restart", RESTART_CHOICES),
    ("log_format", LOG_FORMATS),
    ("verbosity", VERBOSITIES),
)

_UNITS = (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0))


class Config(Record):
    """All settings of one supervised command.  Times are in seconds.

    Raises `ValueError` for a value outside its range, with a sentence that says so.
    """

    restart: str = "on-failure"
    """When to restart: `on-failure`, `always` (also after exit status 0) or `never`."""
    max_restarts: int = 0
    """Give up after so many restarts; 0 = never give up."""
    max_restarts_window: float | None = None
    """Count only the restarts within so many seconds; None = all of them."""
    restart_delay: float = 0.0
    """Wait so long before every restart."""
    burst: int = 5
    """The so-manieth rapid failure in a row is the first that is delayed; 0 = none ever is."""
    max_delay: float = 60.0
    """The back-off's upper bound: 1 s at first, doubling up to this."""
    reset_after: float = 10.0
    """A run of at least so long is not a rapid failure, and forgets the earlier ones."""
    success: StatusSet = StatusSet()
    """Ends that count as exit status 0; rebound's own status is then 0 too."""
    no_restart: StatusSet = StatusSet()
    """Ends after which the command is never restarted."""
    own_group: bool = False
    """Give the command its own process group, and the terminal if rebound had it."""
    signal_group: bool = False
    """Forward signals to that whole group; implies `own_group`."""
    kill_group: bool = False
    """SIGKILL what a crashed run left in its group; implies `own_group`."""
    rewrite: tuple[tuple[int, int], ...] = ()
    """(from, to) pairs of signals: send `to` instead of `from`; 0 = send nothing."""
    drain_signal: int | None = None
    """What adopted processes are sent at shutdown; None = what the command was sent."""
    stop_timeout: float | None = None
    """SIGKILL what is left so long after the shutdown began; None = never after a signal,
    and after 30 s when the command ended by itself."""
    parent_death_signal: int | None = None
    """The signal that rebound gets when its own parent dies."""
    watchdog: float | None = None
    """Give each run a NOTIFY_SOCKET, and count it as hung when no keep-alive comes for so
    long (sd_notify(3)); None = no socket, no watchdog."""
    notify: bool = False
    """Tell the service manager at our own NOTIFY_SOCKET when the command is ready."""
    health_command: str = ""
    """What /bin/sh runs to find out whether the command is healthy; empty = nothing."""
    health_interval: float = 30.0
    """From the start, and from the end of each check, to the next one."""
    health_timeout: float = 30.0
    """A check that takes longer is killed, and has failed."""
    health_start_period: float = 0.0
    """Failures of checks begun so soon after the start do not count, until one succeeds."""
    health_retries: int = 3
    """So many failures in a row make the command unhealthy."""
    oom_score_adj: int | None = None
    """How much rather than others the out-of-memory killer takes the command (proc(5))."""
    run_directory: str = ""
    """Where the socket for status and control is made, and with a watchdog the NOTIFY_SOCKET;
    empty = no such socket, and an abstract one for the watchdog."""
    termination_log: str = ""
    """The file that tells why rebound ended with a status other than 0; empty = none."""
    log_format: str = "text"
    """`text`, or `json`: an object a line."""
    verbosity: str = "normal"
    """`quiet` (errors only), `normal` or `verbose`."""

    def __init__(self, *values: object, **named: object) -> None:
        super().__init__(*values, **named)
        for field, choices in _CHOICES:
            _require(getattr(self, field) in choices, field, f"one of {', '.join(choices)}")
        for field in ("max_restarts", "burst", "restart_delay", "max_delay", "reset_after"):
            _require(_is_finite(getattr(self, field)), field, "a finite number from 0")
        for field in ("max_restarts_window", "stop_timeout"):
            value = getattr(self, field)
            _require(value is None or _is_finite(value), field, "None or a finite number from 0")
        _require(_is_finite(self.health_start_period), "health_start_period", "a number from 0")
        for field in ("health_interval", "health_timeout", "health_retries"):
            value = getattr(self, field)
            _require(_is_finite(value) and value > 0, field, "a finite number above 0")
        _require(
            self.watchdog is None or (_is_finite(self.watchdog) and self.watchdog > 0),
            "watchdog",
            "None or a finite number above 0",
        )
        _require("\0" not in self.health_command, "health_command", "without NUL characters")
        _require(
            self.oom_score_adj is None or _is_oom_score_adj(self.oom_score_adj),
            "oom_score_adj",
            "None or -1000 to 1000",
        )
        for field in ("drain_signal", "parent_death_signal"):
            signo = getattr(self, field)
            _require(signo is None or _is_signal(signo), field, "None or a signal's number")
        for source, target in self.rewrite:
            valid = _is_signal(source) and (target == 0 or _is_signal(target))
            _require(valid, "rewrite", "pairs of signal numbers, 0 in second place for none")

    @property
    def in_own_group(self) -> bool:
        """Whether the command gets its own process group."""
        return self.own_group or self.signal_group or self.kill_group


def _require(condition: bool, field: str, allowed: str) -> None:
    if not condition:
        raise ValueError(f"{field} must be {allowed}")


def _is_finite(value: float) -> bool:
    return 0 <= value < float("inf")


def _is_oom_score_adj(value: int) -> bool:
    return _LOWEST_OOM_SCORE_ADJ <= value <= _HIGHEST_OOM_SCORE_ADJ


def _is_signal(value: int) -> bool:
    return 1 <= value <= signals.LAST


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
    # Nor is anything gained by numbers so long that they become infinite.
    return text.isascii() and len(text) <= 20 and text.replace(".", "", 1).isdecimal()


def format_duration(seconds: float) -> str:
    """Write a duration for people, two units at most: `4ms`, `0.3s`, `2s`, `3m12s`, `8d3h`."""
    if 0 < seconds < 0.1:
        return f"{max(1, round(seconds * 1000))}ms"
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    whole = round(seconds)
    for unit, size, smaller, smaller_size in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "m", 60),
        ("m", 60, "s", 1),
    ):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size}{unit}" + (f"{rest}{smaller}" if rest else "")
    return f"{whole}s"


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


def parse_oom_score_adj(text: str) -> int:
    """Read a whole number from -1000 to 1000."""
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) <= 4:
        value = int(text)
        if _is_oom_score_adj(value):
            return value
    raise ValueError(f"{text!r} is not a whole number from -1000 to 1000")


def parse_rate(text: str) -> tuple[int, float | None]:
    """Read `N` or `N/TIME`, a number in all or within the last TIME."""
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


def parse_rewrite(text: str) -> tuple[int, int]:
    """Read `FROM:TO`, two signals; TO may be 0."""
    source, colon, target = text.partition(":")
    if not colon:
        raise ValueError(f"{text!r} is not FROM:TO (two signals, e.g. TERM:INT; TO 0 drops FROM)")
    try:
        return signals.parse(source), 0 if target == "0" else signals.parse(target)
    except ValueError as error:
        raise ValueError(f"{error}; TO may be 0, for none") from None


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
