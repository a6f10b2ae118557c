"""All settings as one validated value, and the parsers of their text."""

from __future__ import annotations

from rebound.core import signals
from rebound.core.exitstatus import StatusSet
from rebound.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeGuard

    Rule = tuple[str, Callable[[Any], bool]]

RESTART_CHOICES = ("on-failure", "always", "never")
VERBOSITIES = ("quiet", "normal", "verbose")
LOG_FORMATS = ("text", "json")

TERMINATION_LOG = "/dev/termination-log"
"""Kubernetes looks for a message here.  Only the runtime makes this file."""

_LOWEST_OOM_SCORE_ADJ, _HIGHEST_OOM_SCORE_ADJ = -1000, 1000  # proc(5)

_LONGEST_TIME = 1e24
"""Seconds: the most that the command line can say.  A float can still add to them, and count
them in microseconds.  A much larger whole number fits in no float."""

_NEVER_A_STOP = (
    signals.SIGKILL,
    signals.SIGSTOP,
    signals.SIGCHLD,
    signals.SIGCONT,
    signals.SIGTSTP,
    signals.SIGTTIN,
    signals.SIGTTOU,
)

_UNITS = (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0))


class Config(Record):
    """All settings of one supervised command.  Times are in seconds.

    Raises `ValueError` for a value that is not allowed; its text names the field, the value
    and the allowed values.  Raises `TypeError` for an unknown field.

    restart: str = 'on-failure'
        When to restart: 'on-failure', 'always' (also after exit status 0) or 'never'.
    max_restarts: int = 0
        Give up after this many restarts; 0 = never give up.
    max_restarts_window: float | None = None
        Seconds.  Count only the restarts within this time; None = all of them.
    restart_delay: float = 0.0
        Seconds.  Wait this long before every restart.
    burst: int = 5
        Delay restarts from this many rapid failures in a row on; 0 = never.
    max_delay: float = 60.0
        Seconds.  The back-off's upper bound: 1 s at first, doubling up to this.
    reset_after: float = 10.0
        Seconds.  A run of at least this time is not a rapid failure, and resets their count.
    success: StatusSet = StatusSet(codes=frozenset(), signals=frozenset())
        Ends that count as exit status 0; rebound's own status is then 0 too.
    no_restart: StatusSet = StatusSet(codes=frozenset(), signals=frozenset())
        Ends after which the command is never restarted.
    own_group: bool = False
        Give the command its own process group, and the terminal if rebound had it.
    signal_group: bool = False
        Forward signals to that whole group; implies own_group.
    kill_group: bool = False
        SIGKILL what a crashed run left in its group; implies own_group.
    fresh: bool = False
        Before each restart, ask what the last run left behind to stop, and SIGKILL it after 10 s.
    rewrite: tuple[tuple[int, int], ...] = ()
        (from, to) pairs of signal numbers: send `to` instead of `from`; 0 = send nothing.
    stop_signals: frozenset[int] = frozenset()
        The numbers of the signals that begin the shutdown besides SIGTERM and SIGINT.
    drain_signal: int | None = None
        The number of the signal that adopted processes get at shutdown.  None = the signal that
        the command got, but SIGTERM instead of a hang-up, or of a signal that only stop_signals
        makes a stop.
    listen: tuple[str, ...] = ()
        '[NAME=]ADDRESS' of sockets that are bound once, and handed to each run (sd_listen_fds(3)).
    fd_store: int = 0
        Keep at most this many descriptors that a run sends (FDSTORE=1 of sd_notify(3)), and hand
        them to the next run.
    stop_timeout: float | None = None
        Seconds.  SIGKILL what is left this long after the shutdown began.  None = never after a
        signal, and after 30 s when the command ended by itself.
    parent_death_signal: int | None = None
        The number of the signal that rebound gets when its own parent dies; None = no signal.
    watchdog: float | None = None
        Seconds.  Give each run a NOTIFY_SOCKET, and count the run as hung when no keep-alive
        comes for this long (sd_notify(3)); None = no socket, no watchdog.
    notify: bool = False
        Tell the service manager at our own NOTIFY_SOCKET when the command is ready.
    http: str = ''
        The address of the server for probes and metrics, as for listen, but without a name and
        'udp:'; empty = no server.
    health_command: str = ''
        The shell command that finds out whether the command is healthy; empty = no checks.
    health_interval: float = 30.0
        Seconds from the start, and from the end of each check, to the next one.
    health_timeout: float = 30.0
        Seconds.  A check that takes longer is killed, and counts as failed.
    health_start_period: float = 0.0
        Seconds from the start.  Failures of checks that began within this time do not count,
        until a check succeeds.
    health_retries: int = 3
        This many failures in a row make the command unhealthy.
    oom_score_adj: int | None = None
        From -1000 to 1000: the higher, the sooner the out-of-memory killer takes the command
        (proc(5)); None = as rebound itself.
    run_directory: str = ''
        The directory for the socket for status and control, and with a watchdog for the
        NOTIFY_SOCKET.  Empty = no such socket, and an abstract one for the watchdog.
    termination_log: str = ''
        The file for the reason why rebound ended with a status other than 0; empty = none.
    log_format: str = 'text'
        'text', or 'json': one object a line.
    log_file: str = ''
        The file that the log is appended to; empty = stderr.
    log_reopen: bool = False
        Open log_file again at each SIGHUP.  The command still gets the signal.
    verbosity: str = 'normal'
        'quiet' (errors only), 'normal' or 'verbose'.
    """

    # For help(rebound.Config) each field is described above; a test compares.
    restart: str = "on-failure"
    max_restarts: int = 0
    max_restarts_window: float | None = None
    restart_delay: float = 0.0
    burst: int = 5
    max_delay: float = 60.0
    reset_after: float = 10.0
    success: StatusSet = StatusSet()
    no_restart: StatusSet = StatusSet()
    own_group: bool = False
    signal_group: bool = False
    kill_group: bool = False
    fresh: bool = False
    rewrite: tuple[tuple[int, int], ...] = ()
    stop_signals: frozenset[int] = frozenset()
    drain_signal: int | None = None
    listen: tuple[str, ...] = ()
    fd_store: int = 0
    stop_timeout: float | None = None
    parent_death_signal: int | None = None
    watchdog: float | None = None
    notify: bool = False
    http: str = ""
    health_command: str = ""
    health_interval: float = 30.0
    health_timeout: float = 30.0
    health_start_period: float = 0.0
    health_retries: int = 3
    oom_score_adj: int | None = None
    run_directory: str = ""
    termination_log: str = ""
    log_format: str = "text"
    log_file: str = ""
    log_reopen: bool = False
    verbosity: str = "normal"

    if not TYPE_CHECKING:  # see Record

        def __init__(self, *values: object, **named: object) -> None:
            super().__init__(*values, **named)
            for field, value in self.__dict__.items():
                _check(field, value)

    @property
    def is_plain(self) -> bool:
        """Whether a start takes nothing but the process: no watch, group, socket, descriptor."""
        asks = self.watchdog is not None or self.health_command or self.notify
        hands_over = self.listen or self.fd_store
        return not (asks or hands_over or self.in_own_group or self.http)

    @property
    def in_own_group(self) -> bool:
        """Whether the command gets its own process group."""
        return self.own_group or self.signal_group or self.kill_group


# --- What is allowed in each field ------------------------------------------------------


def _check(field: str, value: object) -> None:
    allowed, is_allowed = _RULES[field]
    if not is_allowed(value):
        raise ValueError(f"{field} must be {allowed}, not {value!r}")


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_time(value: object) -> bool:
    return (_is_whole(value) or isinstance(value, float)) and 0 <= value <= _LONGEST_TIME


def _is_period(value: object) -> bool:
    return _is_time(value) and value != 0


def _is_oom_score_adj(value: object) -> bool:
    return _is_whole(value) and _LOWEST_OOM_SCORE_ADJ <= value <= _HIGHEST_OOM_SCORE_ADJ


def _is_signal(value: object) -> bool:
    return _is_whole(value) and 1 <= value <= signals.LAST


def can_mean_stop(value: object) -> bool:
    """Return whether this is a signal that may begin the shutdown.

    KILL and STOP cannot be caught, CHLD tells of children, the others belong to job control.
    """
    return _is_signal(value) and value not in _NEVER_A_STOP


def _are_stop_signals(value: object) -> bool:
    return isinstance(value, frozenset) and all(map(can_mean_stop, value))


def _is_rewrite(value: object) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(pair, tuple)
        and len(pair) == 2
        and _is_signal(pair[0])
        and (_is_signal(pair[1]) or (_is_whole(pair[1]) and pair[1] == 0))
        for pair in value
    )


def _is_status_set(value: object) -> bool:
    return (
        isinstance(value, StatusSet)
        and isinstance(value.codes, frozenset)
        and isinstance(value.signals, frozenset)
        and all(_is_whole(code) and 0 <= code <= 255 for code in value.codes)
        and all(_is_signal(signo) for signo in value.signals)
    )


def is_text(value: object) -> TypeGuard[str]:
    """Return whether the system can take this text: no NUL, and only what can be encoded."""
    if not isinstance(value, str):
        return False
    try:
        return b"\0" not in value.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False


def _are_addresses(value: object) -> bool:
    if not isinstance(value, tuple) or not all(map(is_text, value)):
        return False
    if value:
        from rebound.core import address

        try:
            for text in value:
                address.parse(text)
        except ValueError:
            return False
    return True


def _is_address(value: object) -> bool:
    if not is_text(value):
        return False
    if value:
        from rebound.core import address

        try:
            address.parse_unnamed(value)
        except ValueError:
            return False
    return True


def _is_shell_command(value: object) -> bool:
    return is_text(value) and (not value or bool(value.strip()))


def _choice(choices: tuple[str, ...]) -> Rule:
    return f"one of {', '.join(choices)}", lambda value: value in choices


def _or_none(rule: Rule) -> Rule:
    allowed, is_allowed = rule
    return f"None or {allowed}", lambda value: value is None or is_allowed(value)


_COUNT: Rule = ("a whole number from 0", lambda value: _is_whole(value) and value >= 0)
_TIME: Rule = ("a number of seconds from 0 to 1e24", _is_time)
_PERIOD: Rule = ("a number of seconds above 0, up to 1e24", _is_period)
_SIGNAL: Rule = (f"a signal number (1 to {signals.LAST})", _is_signal)
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
    "health_interval": _PERIOD,
    "health_timeout": _PERIOD,
    "health_start_period": _TIME,
    "health_retries": (
        "a whole number from 1",
        lambda value: _is_whole(value) and value >= 1,
    ),
    "oom_score_adj": _or_none(("a whole number from -1000 to 1000", _is_oom_score_adj)),
    "run_directory": _PATH,
    "termination_log": _PATH,
    "log_format": _choice(LOG_FORMATS),
    "log_file": _PATH,
    "log_reopen": _FLAG,
    "verbosity": _choice(VERBOSITIES),
}
"""The allowed values of each field, in words and as a test."""


# --- How values are written as text -----------------------------------------------------


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


def parse_oom_score_adj(text: str) -> int:
    """Read a whole number from -1000 to 1000."""
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) <= 4:
        value = int(text)
        if _is_oom_score_adj(value):
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
