"""The supervised service: its states, what can happen to it, and what to do then.

`Service.step` is the whole of rebound's behaviour: it takes an event and the time, changes
the state, and returns the actions to carry out, in order.  It calls nothing of the
system, so each transition, legal or not, can be tested with a clock moved by hand.

    STARTING ──> RUNNING ───────────> STOPPING ──> DRAINING ──> ENDED
     ^    ^       │    │                ^   │       ^   │        ^
     │    │       v    v                │   │       │   v        │
     │    └─ RESTARTING│────────────────┘   └───────│> KILLING ──┘
     │            │    │                            │
     │            v    v                            │
     └──────────  BACKOFF ──────────────────────────┘

RUNNING may also be followed by DRAINING, when the command has ended for good; RESTARTING by
RUNNING, when the command may not be signalled.  With --fresh, CLEARING comes between the end of
a run and what follows it.
"""

from __future__ import annotations

from rebound.core import signals
from rebound.core.config import Config, format_duration
from rebound.core.events import (
    Action,
    AskAdopted,
    BackoffOver,
    Begin,
    CheckTimeoutOver,
    ChildrenReaped,
    DeadlinePassed,
    Event,
    ExecFailed,
    Exited,
    FiltersDue,
    FiltersSpared,
    ForkFailed,
    KillChildren,
    KillDue,
    KillOverdue,
    Log,
    NoChildren,
    NoneAdopted,
    NoneKillable,
    RestartAnswered,
    RestartRequested,
    SignalChildren,
    SignalCommand,
    SignalReceived,
    SignalRefused,
    Start,
    Started,
    StopRequested,
    StopTimeoutOver,
    TellManager,
    WatchdogExpired,
)
from rebound.core.exitstatus import NOT_FOUND, ExitStatus
from rebound.core.restart import HUNG, REQUESTED, STOP_SIGNALS, UNHEALTHY, Decision, RestartPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    State = Literal[
        "STARTING",
        "RUNNING",
        "RESTARTING",
        "CLEARING",
        "BACKOFF",
        "STOPPING",
        "DRAINING",
        "KILLING",
        "ENDED",
    ]
    Handler = Callable[[Any, Any, float], list[Action]]  # (service, event, now)

STARTING: State = "STARTING"  # the command is being spawned
RUNNING: State = "RUNNING"  # it runs
RESTARTING: State = "RESTARTING"  # it was told to end, and is started again then
CLEARING: State = "CLEARING"  # it is gone; what it left is asked to stop before the next start
BACKOFF: State = "BACKOFF"  # it does not run, and is started again when that is over
STOPPING: State = "STOPPING"  # it was told to stop, and still runs
DRAINING: State = "DRAINING"  # it is gone; adopted processes were asked to stop
KILLING: State = "KILLING"  # the stop timeout is over; all that is left is killed
ENDED: State = "ENDED"  # nothing is left

OWN_END_STOP_TIMEOUT = 30.0
"""Seconds that adopted processes get when the command ended by itself: no container
runtime counts then, and one that ignores its signal must not keep a dead service up."""

TERM_PATIENCE = 10.0
"""Seconds from SIGTERM to SIGKILL when the command is unhealthy or to be restarted; what
docker stop gives by default.  As long has what a run left behind, with --fresh."""

KILL_PATIENCE = 10.0
"""Seconds from SIGKILL until what is still there is waited for no longer: it may hang in the
kernel (state D of proc(5)), or be in a frozen cgroup."""

FILTER_PATIENCE = 0.2
"""Seconds that processes of the command's session have to end by themselves before they are asked
to: a filter of its output ends at the end of its input, and has lines to write until then."""

FAILED = 1
"""Our exit status after a run that we had to end, and that then ended with status 0."""

PAUSE = 1.0
"""Seconds.  A timer noticed so late means that rebound itself did not run (docker pause, a
frozen cgroup, a stopped virtual machine), and nor did those whose time it measures."""

RETRY = 1.0
"""Seconds from a mistake of ours in handling a timer to the next attempt."""

_PATIENCE = (StopTimeoutOver, KillDue, KillOverdue, WatchdogExpired, CheckTimeoutOver)
"""Timers that measure what others do; they begin anew after a pause."""

_CAUSES = {"": "", HUNG: ", hung", UNHEALTHY: ", unhealthy", REQUESTED: ", restart requested"}


class IllegalTransition(RuntimeError):
    """An event that cannot happen in the present state: a mistake in rebound itself."""


class Run:
    """What is known of one run of the command."""

    __slots__ = ("cause", "pid", "started_at", "status_text")

    def __init__(self, pid: int, now: float) -> None:
        self.pid = pid
        self.started_at = now
        self.cause = ""
        """Why rebound itself has told it to end: HUNG, UNHEALTHY, REQUESTED, or empty."""
        self.status_text = ""
        """What it has last said of itself (STATUS of sd_notify(3))."""


class Service:
    """One command under supervision.  `name` is what the log calls it."""

    TRANSITIONS: dict[tuple[State, type[Event]], Handler]
    """What is done about an event in a state; set below."""

    def __init__(self, name: str, config: Config, policy: RestartPolicy) -> None:
        self.state: State = STARTING
        self.since = 0.0
        """When that state began."""
        self.deadline: float | None = None
        """When DeadlinePassed is due, on the caller's monotonic clock; None = never."""
        self.exit_status = 0
        """With what rebound itself ends; final in ENDED."""
        self.run = Run(0, 0.0)
        """The present run, or the last one; with pid 0 before the first."""
        self._last: Exited | ExecFailed | None = None  # the last end, of the run or its start
        self._last_cause = ""
        # A restart, or a signal, is not to wait for what nobody reads.
        self._has_fields = config.log_format != "text"
        self._is_verbose = config.verbosity == "verbose"
        self._name = name
        self._config = config
        self._policy = policy
        self._rewrite = dict(config.rewrite)
        self._forwarding: dict[int, list[Action]] = {}  # by signal, as once composed
        self._timers: dict[type[Event], tuple[float, float]] = {}  # (when due, after how long)
        self._began_at = 0.0
        self._restart_requested = False
        self._manager_told = False  # of READY=1
        self._ending = ""
        self._drain_signal = config.drain_signal or signals.SIGTERM
        self._spares_filters = False
        self._is_command_left = False  # it still runs, and is not waited for
        self._next_start: tuple[float, Decision] = (0.0, Decision())  # after CLEARING

    @property
    def restarts(self) -> int:
        """How many restarts there were so far."""
        return self._policy.restarts

    @property
    def last_exit(self) -> str:
        """How the last run ended: `exit:1`, `signal:SIGSEGV`, `oom`, `hung`, `unhealthy`."""
        last = self._last
        if last is None:
            return ""
        if self._last_cause in (HUNG, UNHEALTHY):
            return self._last_cause
        return "oom" if isinstance(last, Exited) and last.out_of_memory else last.status.label

    @property
    def last_end(self) -> str:
        """The same for people: `exited with status 1`, `killed by signal 9 (SIGKILL), hung`."""
        last = self._last
        if last is None:
            return "did not start"
        if isinstance(last, ExecFailed):
            return f"could not be executed: {last.error}"
        memory = ", out of memory" if last.out_of_memory else ""
        return f"{last.status}{_CAUSES[self._last_cause]}{memory}"

    @property
    def is_ready(self) -> bool:
        """Whether the command runs and, as far as it can be known, does its work."""
        return self.state == RUNNING

    @property
    def is_draining(self) -> bool:
        """Whether it is waited for what runs have left behind to end."""
        return self.state in (CLEARING, DRAINING, KILLING)

    @property
    def health_state(self) -> str:
        """What the health command finds: `starting`, `healthy`, `unhealthy`; empty without one."""
        return ""

    def time_of(self, timer: type[Event]) -> float | None:
        """Say when a timer is due; None if it is not set."""
        return self._timers[timer][0] if timer in self._timers else None

    def explain_end(self, now: float) -> str:
        """Say in one line how it came to rebound's end."""
        restarts = f"{self.restarts} restart{'' if self.restarts == 1 else 's'}"
        text = f"{self._name} {self.last_end}; {restarts} in "
        text += format_duration(now - self._began_at)
        return f"{text}; {self._ending}" if self._ending else text

    def step(self, event: Event, now: float) -> list[Action]:
        """Take an event, return what to do.  Raises `IllegalTransition`."""
        if type(event) is DeadlinePassed:
            timer = self._take_timer(now)
            if timer is None:
                return []
            try:
                return self._handle(timer, now)
            except IllegalTransition:
                raise
            except Exception:
                # A state that waits for nothing but a timer must not lose it.
                self._set_timer(type(timer), now, RETRY)
                raise
        return self._handle(event, now)

    def _handle(self, event: Event, now: float) -> list[Action]:
        state = self.state
        handler = self.TRANSITIONS.get((state, type(event)))
        if handler is None:
            raise IllegalTransition(f"{type(event).__name__} in state {state}")
        actions = handler(self, event, now)
        if self.state != state:
            self.since = now
        return actions

    def would_restart(self, status: ExitStatus, now: float) -> bool:
        """Whether the command, were it to end so now, would be started again."""
        return self.state in (RUNNING, RESTARTING) and not self._policy.ending(
            status, now, self._cause()
        )

    # --- Timers ---------------------------------------------------------------------

    def _set_timer(self, timer: type[Event], now: float, seconds: float) -> None:
        self._timers[timer] = (now + seconds, seconds)
        self._update_deadline()

    def _cancel_timer(self, timer: type[Event]) -> None:
        self._timers.pop(timer, None)
        self._update_deadline()

    def _keep_timers(self, *kept: type[Event]) -> None:
        if self._timers:
            self._timers = {timer: self._timers[timer] for timer in kept if timer in self._timers}
            self._update_deadline()

    def _update_deadline(self) -> None:
        self.deadline = min(due for due, _ in self._timers.values()) if self._timers else None

    def _take_timer(self, now: float) -> Event | None:
        """Give the event of the first timer; None if it begins anew."""
        if not self._timers:
            raise IllegalTransition(f"{DeadlinePassed.__name__} in state {self.state}")
        timer = min(self._timers, key=lambda timer: self._timers[timer][0])
        due, seconds = self._timers.pop(timer)
        if now - due > PAUSE and timer in _PATIENCE:
            self._set_timer(timer, now, seconds)
            return None
        self._update_deadline()
        return timer()

    # --- Starting -------------------------------------------------------------------

    def _begin(self, event: Begin, now: float) -> list[Action]:
        self._began_at = self.since = now
        return self._start_now(event, now)

    def _start_now(self, _event: Event, _now: float) -> list[Action]:
        fields = {"command": self._name, "restarts": self.restarts}
        return [Log("info", "starting", f"starting {self._name}", fields), self._start()]

    def _start(self) -> Action:
        self.state = STARTING
        self._keep_timers()
        return Start()

    def _started(self, event: Started, now: float) -> list[Action]:
        self.state = RUNNING
        self.run = Run(event.pid, now)
        actions: list[Action] = []
        if self._is_verbose:
            text = f"started {self._name} (pid {event.pid})"
            actions.append(Log("debug", "started", text, {"pid": event.pid}))
        self._begin_watching(now)
        actions += self._answer_restart()
        if self._config.notify:
            actions.append(TellManager(f"STATUS=running (pid {event.pid})"))
            actions += self._tell_if_ready()
        return actions

    def _fork_failed(self, event: ForkFailed, now: float) -> list[Action]:
        decision = self._policy.after_failed_fork()
        self._back_off(decision, now)
        wait = format_duration(decision.backoff)
        text = f"cannot start {self._name}: {event.error}, retrying in {wait}"
        fields = {"command": self._name, "error": event.error, "delay": decision.backoff}
        return [Log("error", "start_failed", text, fields)]

    def _exec_failed(self, event: ExecFailed, now: float) -> list[Action]:
        text = f"exec {self._name}: {event.error}"
        if not self.run.pid and event.status.code == NOT_FOUND and _has_blanks(self._name):
            text += " (one word with blanks: write each word by itself)"
        fields = {"command": self._name, "error": event.error}
        actions: list[Action] = [Log("error", "exec_failed", text, fields)]
        actions += self._answer_restart(text)
        self._last, self._last_cause = event, ""
        if not self.run.pid:
            return [*actions, *self._end(event.status, now)]
        decision = self._policy.after_failed_exec(event.status, now)
        if decision.ending:
            self._ending = decision.ending.removesuffix(", exiting")
            giving_up = Log("error", "giving_up", decision.ending)
            return [*actions, giving_up, *self._end(event.status, now)]
        return [*actions, *self._restart(decision, now)]

    # --- The end of a run -----------------------------------------------------------

    def _run_ended(self, event: Exited, now: float) -> list[Action]:
        status = event.status
        run_time = now - self.run.started_at
        decision = self._policy.after_run(status, run_time, now, self._cause())
        self._take_end(event)
        if decision.ending:
            if "restart" in decision.ending:
                self._ending = decision.ending.removesuffix(", exiting")
            actions = [*self._say_ended(event, decision.ending, now), *self._end(status, now)]
            if self._last_cause:
                # It was no good, however well it has taken our signal; nor does -e apply.
                self.exit_status = status.shell_status or FAILED
            return actions
        usage = ""
        if status.signal:
            after, rss = format_duration(run_time), _megabytes(event.max_rss)
            usage = f", after {after}, max RSS {rss}"
            if event.out_of_memory:
                usage = f", out of memory, max RSS {rss}, after {after}"
        text = f"child (pid {event.pid}) {status}{_CAUSES[self._last_cause]}{usage}"
        text += f", restarting ({self._policy.restarts})"
        fields = self._fields_of_end(event, run_time)
        return [Log("info", "exited", text, fields), *self._restart(decision, now)]

    def _cause(self) -> str:
        """Say why rebound itself ends the run, for the policy; empty if it does not."""
        return REQUESTED if self._restart_requested else self.run.cause

    def _take_end(self, event: Exited) -> None:
        self._last, self._last_cause = event, self.run.cause

    def _fields_of_end(self, event: Exited, run_time: float) -> dict[str, object] | None:
        if not self._has_fields:
            return None
        fields: dict[str, object] = {"pid": event.pid, "reason": self.last_exit}
        if event.status.signal:
            fields["signal"] = signals.name(event.status.signal)
            fields["core_dumped"] = event.status.core_dumped
        else:
            fields["code"] = event.status.code
        fields["run_time"] = round(run_time, 3)
        fields["max_rss"] = event.max_rss * 1024
        fields["restarts"] = self.restarts
        return fields

    def _say_ended(self, event: Exited, ending: str, now: float) -> list[Action]:
        fields = self._fields_of_end(event, now - self.run.started_at)
        child, status = f"child (pid {event.pid})", event.status
        if ending.startswith("max restarts"):
            text = f"{child} {self.last_end}"
            return [Log("info", "exited", text, fields), Log("error", "giving_up", ending)]
        if status.is_zero and not self.run.cause:
            text = f"{child} exited, {ending}"
        elif status.signal in (signals.SIGTERM, signals.SIGINT) and not self.run.cause:
            text = f"{child} terminated by {signals.describe(status.signal)}, exiting"
        else:
            text = f"{child} {self.last_end}, {ending}"
        return [Log("info", "exited", text, fields)]

    def _restart(self, decision: Decision, now: float) -> list[Action]:
        actions = self._end_watching()
        if self._config.fresh:
            return [*actions, self._clear(decision, now)]
        return [*actions, *self._start_in(decision, now)]

    def _start_in(self, decision: Decision, now: float) -> list[Action]:
        if not decision.delay:
            return [self._start()]
        actions: list[Action] = []
        self._back_off(decision, now)
        fields = {"delay": round(decision.delay, 3)}
        wait = format_duration(decision.backoff or decision.delay)
        if self._config.notify:
            actions.append(TellManager(f"STATUS={self.last_end}, next start in {wait}"))
        if decision.backoff:
            text = f"child failing rapidly, delaying restart by {wait}"
            return [*actions, Log("info", "delayed", text, fields, True)]
        text = f"restart is due in {wait}"
        return [*actions, Log("debug", "delayed", text, fields, True)]

    def _back_off(self, decision: Decision, now: float) -> None:
        self.state = BACKOFF
        self._keep_timers()
        self._set_timer(BackoffOver, now, decision.delay)

    def _begin_watching(self, now: float) -> None:
        """Watch the run that has just begun; there is nothing to it here, see `watched`."""

    def _end_watching(self) -> list[Action]:
        """Give up what goes on beside a run."""
        return []

    # --- Clearing away what a run left behind (--fresh) -------------------------------

    def _clear(self, decision: Decision, now: float) -> Action:
        self.state = CLEARING
        self._next_start = (now + decision.delay, decision)
        self._keep_timers()
        self._set_timer(KillDue, now, TERM_PATIENCE)
        self._spares_filters = True
        return self._ask_adopted()

    def _clear_further(self, _event: Event, _now: float) -> list[Action]:
        if KillOverdue in self._timers:
            return [self._kill_left_over()]
        return [self._ask_adopted()]

    def _kill_left_over(self) -> Action:
        return KillChildren(f"{format_duration(TERM_PATIENCE)} after they were asked to stop")

    def _clear_by_force(self, _event: KillDue, now: float) -> list[Action]:
        self._set_timer(KillOverdue, now, KILL_PATIENCE)
        return [self._kill_left_over()]

    def _cleared(self, _event: Event, now: float) -> list[Action]:
        due, decision = self._next_start
        self._keep_timers()
        rest = 0.0 if self._restart_requested else max(due - now, 0.0)
        return self._start_in(Decision("", rest, rest and decision.backoff), now)

    def _not_cleared(self, event: KillOverdue, now: float) -> list[Action]:
        return [_still_there(), *self._cleared(event, now)]

    # --- Ending a run in order to restart it ----------------------------------------

    def _end_run(
        self, cause: str, signo: int, patience: float, now: float, log: Log
    ) -> list[Action]:
        self.state = RESTARTING
        self.run.cause = cause
        self._keep_timers()
        self._set_timer(KillDue, now, patience)
        # A stopped process acts on no signal but SIGKILL until it is continued.
        signalling = [SignalCommand(signo), SignalCommand(signals.SIGCONT)]
        return [*self._end_watching(), log, *signalling]

    def _restart_now(self, _event: RestartRequested, now: float) -> list[Action]:
        self._restart_requested = True
        sending = f"sending {signals.describe(signals.SIGTERM)}"
        text = f"restart requested, {sending} to child (pid {self.run.pid})"
        log = Log("info", "restart_requested", text, {"pid": self.run.pid})
        return self._end_run(REQUESTED, signals.SIGTERM, TERM_PATIENCE, now, log)

    def _restart_soon(self, _event: RestartRequested, _now: float) -> list[Action]:
        self._restart_requested = True  # the run is ending already
        return [Log("info", "restart_requested", "restart requested, one is under way")]

    def _restart_in_backoff(self, event: RestartRequested, now: float) -> list[Action]:
        self._restart_requested = True
        log = Log("info", "restart_requested", "restart requested, not waiting any longer")
        return [log, *self._start_now(event, now)]

    def _refuse_restart(self, _event: RestartRequested, _now: float) -> list[Action]:
        return [RestartAnswered("shutting down")]

    def _answer_restart(self, error: str = "") -> list[Action]:
        if not self._restart_requested:
            return []
        self._restart_requested = False
        return [RestartAnswered(error)]

    def _kill_run(self, _event: KillDue, now: float) -> list[Action]:
        self._set_timer(KillOverdue, now, KILL_PATIENCE)
        text = f"child (pid {self.run.pid}) does not end, killing it"
        log = Log("info", "killing_child", text, {"pid": self.run.pid})
        return [log, SignalCommand(signals.SIGKILL)]

    def _run_not_killed(self, _event: KillOverdue, _now: float) -> list[Action]:
        # There is never more than one run: it has to be waited for.
        text = f"child (pid {self.run.pid}) was killed and is still there, waiting for it"
        log = Log("error", "not_killed", text, {"pid": self.run.pid})
        return [log, *self._answer_restart("the command was killed and is still there")]

    def _restart_refused(self, _event: SignalRefused, now: float) -> list[Action]:
        self.state = RUNNING
        self.run.cause = ""
        self._keep_timers()
        self._begin_watching(now)
        text = f"child (pid {self.run.pid}) may not be signalled, leaving it running"
        log = Log("error", "not_restarted", text, {"pid": self.run.pid})
        return [log, *self._answer_restart("not permitted to signal the command")]

    def _tell_if_ready(self) -> list[Action]:
        if not self._config.notify or self._manager_told or not self.is_ready:
            return []
        self._manager_told = True
        return [TellManager("READY=1")]

    # --- Shutdown -------------------------------------------------------------------

    def _stop(self, event: StopRequested, now: float) -> list[Action]:
        self.state = STOPPING
        # What stands if the command may not be killed, and is left.
        self._set_exit_status(ExitStatus(signal=event.signo))
        actions = self._begin_shutdown(event, now)
        return [*self._stop_again(event, now), *actions]

    def _stop_again(self, event: StopRequested, _now: float) -> list[Action]:
        # A stopped process acts on no signal but SIGKILL until it is continued.
        resume = SignalCommand(signals.SIGCONT)
        if event.delivered:
            return [_received("info", event.signo, ", as did child"), resume]
        target = self._rewrite.get(event.signo, event.signo)
        if not target:
            return [_received("info", event.signo, ", not forwarded (--rewrite)"), resume]
        forwarding = _received("info", event.signo, ", forwarding to child")
        return [forwarding, SignalCommand(target), resume]

    def _stop_in_backoff(self, event: StopRequested, now: float) -> list[Action]:
        actions = self._begin_shutdown(event, now)
        received = _received("info", event.signo, ", exiting")
        return [received, *actions, *self._drain(ExitStatus(signal=event.signo))]

    def _stopped(self, event: Exited, now: float) -> list[Action]:
        self._take_end(event)
        return [*self._say_ended(event, "shutting down", now), *self._drain(event.status)]

    def _stop_refused(self, _event: SignalRefused, _now: float) -> list[Action]:
        return self._drain_beside("may not be signalled")

    def _stop_overdue(self, _event: KillOverdue, _now: float) -> list[Action]:
        return self._drain_beside("was killed and is still there")

    def _drain_beside(self, why: str) -> list[Action]:
        """Do not wait for the command: the others must have time to shut down.

        What stands as exit status is that of the stop, unless the command ends in time.
        """
        self._is_command_left = True
        text = f"child (pid {self.run.pid}) {why}, not waiting for it"
        log = Log("error", "leaving_child", text, {"pid": self.run.pid})
        return [log, *self._begin_drain()]

    def _left_command_ended(self, event: Exited, now: float) -> list[Action]:
        self._is_command_left = False
        self._take_end(event)
        self._set_exit_status(event.status)
        return [*self._say_ended(event, "shutting down", now), self._ask_adopted()]

    def _begin_shutdown(self, event: StopRequested, now: float) -> list[Action]:
        self._ending = f"stopped by {signals.describe(event.signo)}"
        # A run that does not end although it was told to is still killed, so that those
        # who are to be drained after it get the rest of the runtime's grace period.
        self._keep_timers(KillDue, KillOverdue)
        if self._config.stop_timeout is not None:
            self._set_timer(StopTimeoutOver, now, self._config.stop_timeout)
        sent = event.signo if event.delivered else self._rewrite.get(event.signo, event.signo)
        if self._config.drain_signal is None and self._stops_daemons(sent, event.signo):
            self._drain_signal = sent
        return self._leave_service()

    def _stops_daemons(self, sent: int, received: int) -> bool:
        """Whether what the command was sent means a stop to others, too.

        To a daemon a hang-up means "read your configuration".  What only --stop-signal makes a
        stop is so for the command alone: to PostgreSQL, SIGQUIT means to crash.
        """
        if sent in (0, signals.SIGHUP):
            return False
        return sent != received or sent in STOP_SIGNALS

    def _end(self, status: ExitStatus, now: float) -> list[Action]:
        timeout = self._config.stop_timeout
        self._keep_timers()
        self._set_timer(StopTimeoutOver, now, OWN_END_STOP_TIMEOUT if timeout is None else timeout)
        return [*self._leave_service(), *self._drain(status)]

    def _leave_service(self) -> list[Action]:
        """Give up what goes on beside the runs, at the beginning of the end."""
        actions = [*self._end_watching(), *self._answer_restart("shutting down")]
        if self._config.notify:
            actions.append(TellManager("STOPPING=1\nSTATUS=shutting down"))
        return actions

    def _drain(self, status: ExitStatus) -> list[Action]:
        self._set_exit_status(status)
        return self._begin_drain()

    def _begin_drain(self) -> list[Action]:
        self.state = DRAINING
        self._keep_timers(StopTimeoutOver)
        self._spares_filters = True
        return [self._ask_adopted()]

    def _ask_adopted(self) -> Action:
        return AskAdopted(self._drain_signal, self._spares_filters)

    def _set_exit_status(self, status: ExitStatus) -> None:
        self.exit_status = 0 if status in self._config.success else status.shell_status

    def _ask_newly_adopted(self, _event: ChildrenReaped, _now: float) -> list[Action]:
        return [self._ask_adopted()]

    def _wait_for_filters(self, _event: FiltersSpared, now: float) -> list[Action]:
        if FiltersDue not in self._timers:
            self._set_timer(FiltersDue, now, FILTER_PATIENCE)
        return []

    def _ask_filters(self, _event: FiltersDue, _now: float) -> list[Action]:
        self._spares_filters = False
        return [self._ask_adopted()]

    def _none_adopted(self, event: NoneAdopted, now: float) -> list[Action]:
        if self._is_command_left:
            return self._finish(event, now)
        # A health check, which was killed; who knows whether it can be.
        if KillOverdue not in self._timers:
            self._set_timer(KillOverdue, now, KILL_PATIENCE)
        return []

    def _pass_on(self, event: StopRequested, _now: float) -> list[Action]:
        return [_received("info", event.signo, ", passing it on"), SignalChildren(event.signo)]

    def _kill(self, _event: StopTimeoutOver, now: float) -> list[Action]:
        self.state = KILLING
        self._keep_timers()
        self._set_timer(KillOverdue, now, KILL_PATIENCE)
        return [KillChildren("stop timeout is over")]

    def _kill_newly_adopted(self, _event: ChildrenReaped, _now: float) -> list[Action]:
        return [KillChildren("stop timeout is over")]

    def _not_killed(self, event: KillOverdue, now: float) -> list[Action]:
        return [_still_there(), *self._finish(event, now)]

    def _killed(self, event: Exited, now: float) -> list[Action]:
        self._take_end(event)
        self._set_exit_status(event.status)
        killing = KillChildren("stop timeout is over")
        return [*self._say_ended(event, "shutting down", now), killing]

    def _finish(self, _event: Event, _now: float) -> list[Action]:
        self.state = ENDED
        self._keep_timers()
        return []

    # --- Other signals --------------------------------------------------------------

    def _forward(self, event: SignalReceived, _now: float) -> list[Action]:
        if event.value is not None:
            return self._compose_forwarding(event)
        if event.signo not in self._forwarding:
            self._forwarding[event.signo] = self._compose_forwarding(event)
        return self._forwarding[event.signo]

    def _compose_forwarding(self, event: SignalReceived) -> list[Action]:
        target = self._rewrite.get(event.signo, event.signo)
        actions: list[Action] = [SignalCommand(target, event.value)] if target else []
        if self._is_verbose:
            what = ", forwarding to child" if target else ", not forwarded (--rewrite)"
            actions.insert(0, _received("debug", event.signo, what))
        return actions

    def _nobody_to_signal(self, event: SignalReceived, _now: float) -> list[Action]:
        return [_received("debug", event.signo, ", no child to forward to")]

    def _nothing(self, _event: Event, _now: float) -> list[Action]:
        return []


def _received(level: str, signo: int, what: str) -> Log:
    text = f"received {signals.describe(signo)}{what}"
    return Log(level, "signal", text, {"signal": signals.name(signo)})


def _still_there() -> Log:
    after = format_duration(KILL_PATIENCE)
    text = f"still there {after} after SIGKILL, not waiting any longer"
    return Log("error", "not_killed", text, None, True)


def _has_blanks(word: str) -> bool:
    return any(char.isspace() for char in word)


def _megabytes(kib: int) -> str:
    return f"{max(1, round(kib / 1024))} MB"


Service.TRANSITIONS = {
    # It lasts from Start to its answer, within one dispatch: nothing else can come.
    (STARTING, Begin): Service._begin,
    (STARTING, Started): Service._started,
    (STARTING, ForkFailed): Service._fork_failed,
    (STARTING, ExecFailed): Service._exec_failed,
    (RUNNING, Exited): Service._run_ended,
    (RUNNING, StopRequested): Service._stop,
    (RUNNING, SignalReceived): Service._forward,
    (RUNNING, SignalRefused): Service._nothing,
    (RUNNING, ChildrenReaped): Service._nothing,
    (RUNNING, RestartRequested): Service._restart_now,
    (RESTARTING, Exited): Service._run_ended,
    (RESTARTING, StopRequested): Service._stop,
    (RESTARTING, SignalReceived): Service._forward,
    (RESTARTING, SignalRefused): Service._restart_refused,
    (RESTARTING, ChildrenReaped): Service._nothing,
    (RESTARTING, KillDue): Service._kill_run,
    (RESTARTING, KillOverdue): Service._run_not_killed,
    (RESTARTING, RestartRequested): Service._restart_soon,
    (CLEARING, StopRequested): Service._stop_in_backoff,
    (CLEARING, SignalReceived): Service._nobody_to_signal,
    (CLEARING, ChildrenReaped): Service._clear_further,
    (CLEARING, FiltersSpared): Service._wait_for_filters,
    (CLEARING, FiltersDue): Service._ask_filters,
    (CLEARING, NoneAdopted): Service._cleared,
    (CLEARING, NoChildren): Service._cleared,
    (CLEARING, KillDue): Service._clear_by_force,
    (CLEARING, NoneKillable): Service._cleared,
    (CLEARING, KillOverdue): Service._not_cleared,
    (CLEARING, RestartRequested): Service._restart_soon,
    (BACKOFF, BackoffOver): Service._start_now,
    (BACKOFF, StopRequested): Service._stop_in_backoff,
    (BACKOFF, SignalReceived): Service._nobody_to_signal,
    (BACKOFF, ChildrenReaped): Service._nothing,
    (BACKOFF, NoChildren): Service._nothing,
    (BACKOFF, RestartRequested): Service._restart_in_backoff,
    (STOPPING, Exited): Service._stopped,
    (STOPPING, StopRequested): Service._stop_again,
    (STOPPING, SignalReceived): Service._forward,
    (STOPPING, SignalRefused): Service._stop_refused,
    (STOPPING, ChildrenReaped): Service._nothing,
    (STOPPING, KillDue): Service._kill_run,
    (STOPPING, KillOverdue): Service._stop_overdue,
    (STOPPING, StopTimeoutOver): Service._kill,
    (STOPPING, RestartRequested): Service._refuse_restart,
    # With a command that may not be signalled, and was left.
    (DRAINING, Exited): Service._left_command_ended,
    (DRAINING, SignalRefused): Service._nothing,
    (DRAINING, StopRequested): Service._pass_on,
    (DRAINING, SignalReceived): Service._nobody_to_signal,
    (DRAINING, ChildrenReaped): Service._ask_newly_adopted,
    (DRAINING, FiltersSpared): Service._wait_for_filters,
    (DRAINING, FiltersDue): Service._ask_filters,
    (DRAINING, NoneAdopted): Service._none_adopted,
    (DRAINING, NoChildren): Service._finish,
    (DRAINING, StopTimeoutOver): Service._kill,
    (DRAINING, KillOverdue): Service._not_killed,
    (DRAINING, RestartRequested): Service._refuse_restart,
    (KILLING, Exited): Service._killed,
    (KILLING, StopRequested): Service._nothing,
    (KILLING, SignalReceived): Service._nothing,
    (KILLING, ChildrenReaped): Service._kill_newly_adopted,
    (KILLING, NoChildren): Service._finish,
    (KILLING, NoneKillable): Service._finish,
    (KILLING, KillOverdue): Service._not_killed,
    (KILLING, RestartRequested): Service._refuse_restart,
    # What came in the turn that also brought the end.
    (ENDED, Exited): Service._nothing,
    (ENDED, StopRequested): Service._nothing,
    (ENDED, SignalReceived): Service._nothing,
    (ENDED, ChildrenReaped): Service._nothing,
    (ENDED, NoChildren): Service._nothing,
    (ENDED, RestartRequested): Service._refuse_restart,
}
