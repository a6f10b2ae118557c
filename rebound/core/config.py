"""All settings as one validated value."""

from __future__ import annotations

from rebound.core.exitstatus import StatusSet
from rebound.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

HEALTH_CHECKS = ("health_command", "health_http", "health_tcp")

TERMINATION_LOG = "/dev/termination-log"
"""Kubernetes looks for a message here.  Only the runtime makes this file."""

_ALWAYS_SET = ("run_directory", "termination_log")
"""What the command line sets without an option; a plain start needs no rules for them."""


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
    force_restart: StatusSet = StatusSet(codes=frozenset(), signals=frozenset())
        Ends after which the command is restarted whatever `restart` says.  A signal's name here or
        in `no_restart` or `success` counts more than a number there; they may not overlap.
    max_runtime: float | None = None
        Seconds.  End each run after this time, or up to a tenth sooner, and start anew;
        None = never.
    max_memory: str = ''
        '512M', or '50%' of what the container may take.  End a run whose resident memory, its
        descendants' included, is above that at two looks in a row, a second apart; where cgroups
        can be made, the kernel holds the limit.  Empty = no such limit.
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
        The shell command that finds out whether the command is healthy; empty = no such checks.
    health_http: str = ''
        The http:// URL that finds it out: a status from 200 to 399 passes; empty = no such checks.
    health_tcp: str = ''
        The HOST:PORT that finds it out: a connection passes; empty = no such checks.  At most one
        of the three is set.
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
        'text'; 'timed': text that begins with the time; or 'json': one object a line.
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
    force_restart: StatusSet = StatusSet()
    max_runtime: float | None = None
    max_memory: str = ""
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
    health_http: str = ""
    health_tcp: str = ""
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
                if field not in _ALWAYS_SET or not _is_plain_text(value):
                    from rebound.core import rules

                    rules.check(field, value)
            if conflict := conflict_in(self.__dict__):
                raise ValueError(conflict)

    @property
    def is_plain(self) -> bool:
        """Whether a start needs only its process: no watch, no group, no socket."""
        asks = self.watchdog is not None or self.checks_health or self.notify
        limits = self.max_runtime is not None or self.max_memory
        hands_over = self.listen or self.fd_store
        return not (asks or limits or hands_over or self.in_own_group or self.http)

    @property
    def checks_health(self) -> bool:
        """Whether there are health checks."""
        return bool(self.health_command or self.health_http or self.health_tcp)

    @property
    def in_own_group(self) -> bool:
        """Whether the command gets its own process group."""
        return self.own_group or self.signal_group or self.kill_group


def conflict_in(fields: Mapping[str, Any], name_of: Callable[[str], str] = str) -> str:
    """Return which of some settings exclude each other, and why; empty if none do.

    `name_of` turns a field into what the user knows it by.
    """
    if forced := fields.get("force_restart"):
        for field in ("no_restart", "success"):
            if field in fields and (both := forced.overlap(fields[field])):
                return f"{name_of('force_restart')} and {name_of(field)} both have {both}"
    checks = [name_of(field) for field in HEALTH_CHECKS if fields.get(field)]
    return f"{' and '.join(checks)} exclude each other" if checks[1:] else ""


def _is_plain_text(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and "\0" not in value
