"""The supervised service: its states, what can happen to it, and what to do then.

`Service.step` is the whole of rebound's behaviour: it takes an event and the time, changes
the state, and returns the actions to carry out, in order.  It calls nothing of the
system, so each transition, legal or not, can be tested with a clock moved by hand.

    STARTING ──> RUNNING ──> STOPPING ──> DRAINING ──> ENDED
        ^           │            │          ^  │         ^
        │           v            └──────┐   │  v         │
        └──────  BACKOFF ───────────────┼───┘  KILLING ──┘
                                        └─────────^
"""

from __future__ import annotations

from rebound import signals
from rebound.config import Config, format_duration
from rebound.exitstatus import ExitStatus
from rebound.record import Record
from rebound.restart import Decision, RestartPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

STARTING = "STARTING"  # the command is being spawned
RUNNING = "RUNNING"  # it runs
BACKOFF = "BACKOFF"  # it does not run, and is started again at the deadline
STOPPING = "STOPPING"  # it was told to stop, and still runs
DRAINING = "DRAINING"  # it is gone; adopted processes were asked to stop
KILLING = "KILLING"  # the stop timeout is over; all that is left is killed
ENDED = "ENDED"  # nothing is left

OWN_END_STOP_TIMEOUT = 30.0
"""Seconds that adopted processes get when the command ended by itself: no container
runtime counts then, and one that ignores its signal must not keep a dead service up."""


# --- Events -------------------------------------------------------------------------


class Begin(Record):
    """rebound is ready to start the command."""


class Started(Record):
    """The command was spawned and its exec succeeded."""

    pid: int


class ForkFailed(Record):
    """The system had no process, memory or descriptor to spare: worth another try."""

    error: str


class ExecFailed(Record):
    """The command could not be executed; `status` is what a shell would show for it."""

    error: str
    status: ExitStatus


class Exited(Record):
    """A child ended, and has been reaped.  As an event: that child was the command."""

    pid: int
    status: ExitStatus
    max_rss: int = 0
    """The peak of its resident memory, in KiB (getrusage(2); at least rebound's own)."""


class StopRequested(Record):
    """SIGTERM, SIGINT or a terminal's hang-up.  `delivered`: the command has it already."""

    signo: int
    delivered: bool = False


class SignalReceived(Record):
    """Any other signal.  `value` is that of sigqueue(3), None for a plain kill(2)."""

    signo: int
    value: int | None = None


class ChildrenReaped(Record):
    """Adopted processes ended; the processes that they leave behind are adopted now."""


class NoChildren(Record):
    """No child is left, alive or dead: wait(2) said ECHILD."""


class NoneKillable(Record):
    """No child is left but those that rebound may not signal (EPERM)."""


class DeadlinePassed(Record):
    """The time in `Service.deadline` has come."""


Event = Record

# --- Actions ------------------------------------------------------------------------


class Start(Record):
    """Spawn the command; answered by Started, ForkFailed or ExecFailed."""


class SignalCommand(Record):
    """Send a signal to the command, or to its group if so configured."""

    signo: int
    value: int | None = None


class AskAdopted(Record):
    """Send a signal to each child that has not been asked to stop yet."""

    signo: int


class SignalChildren(Record):
    """Pass a further signal on to every child that still runs."""

    signo: int


class KillChildren(Record):
    """SIGKILL every child; the new names among them are logged."""


class Log(Record):
    """A line for the log, at level `error`, `info` or `debug`."""

    level: str
    text: str


Action = Record


class IllegalTransition(RuntimeError):
    """An event that cannot happen in the present state: a mistake in rebound itself."""


class Service:
    """One command under supervision.  `name` is what the log calls it."""

    def __init__(self, name: str, config: Config, policy: RestartPolicy) -> None:
        self.state = STARTING
        self.deadline: float | None = None
        """When DeadlinePassed is due, on the caller's monotonic clock; None = never."""
        self.exit_status = 0
        """With what rebound itself ends; final in ENDED."""
        self._name = name
        self._config = config
        self._policy = policy
        self._rewrite = dict(config.rewrite)
        self._has_run = False
        self._started_at = 0.0
        self._drain_signal = config.drain_signal or signals.SIGTERM

    def step(self, event: Event, now: float) -> list[Action]:
        """Take an event, return what to do.  Raises `IllegalTransition`."""
        handler = _TRANSITIONS.get((self.state, type(event)))
        if handler is None:
            raise IllegalTransition(f"{type(event).__name__} in state {self.state}")
        return handler(self, event, now)

    def would_restart(self, status: ExitStatus, now: float) -> bool:
        """Whether the command, were it to end so now, would be started again."""
        return self.state == RUNNING and not self._policy.ending(status, now)

    # --- Starting -------------------------------------------------------------------

    def _start_now(self, _event: Event, _now: float) -> list[Action]:
        return [Log("info", f"starting {self._name}"), self._start()]

    def _start(self) -> Action:
        self.state = STARTING
        self.deadline = None
        return Start()

    def _started(self, event: Started, now: float) -> list[Action]:
        self.state = RUNNING
        self._has_run = True
        self._started_at = now
        return [Log("debug", f"started {self._name} (pid {event.pid})")]

    def _fork_failed(self, event: ForkFailed, now: float) -> list[Action]:
        decision = self._policy.after_failed_fork()
        self._back_off(decision, now)
        wait = format_duration(decision.backoff)
        return [Log("error", f"cannot start {self._name}: {event.error}, retrying in {wait}")]

    def _exec_failed(self, event: ExecFailed, now: float) -> list[Action]:
        failure: Action = Log("error", f"exec {self._name}: {event.error}")
        if not self._has_run:
            return [failure, *self._end(event.status, now)]
        decision = self._policy.after_failed_exec(event.status, now)
        if decision.ending:
            return [failure, Log("error", decision.ending), *self._end(event.status, now)]
        return [failure, *self._restart(decision, now)]

    # --- The end of a run -----------------------------------------------------------

    def _run_ended(self, event: Exited, now: float) -> list[Action]:
        status = event.status
        run_time = now - self._started_at
        decision = self._policy.after_run(status, run_time, now)
        child = f"child (pid {event.pid})"
        if decision.ending:
            return [*self._say_ended(event, decision.ending), *self._end(status, now)]
        usage = ""
        if status.signal:
            usage = f", after {format_duration(run_time)}, max RSS {_megabytes(event.max_rss)}"
        restarting = f"restarting ({self._policy.restarts})"
        return [
            Log("info", f"{child} {status}{usage}, {restarting}"),
            *self._restart(decision, now),
        ]

    def _say_ended(self, event: Exited, ending: str) -> list[Action]:
        child, status = f"child (pid {event.pid})", event.status
        if status.is_zero:
            return [Log("info", f"{child} exited, {ending}")]
        if status.signal in (signals.SIGTERM, signals.SIGINT):
            by = signals.describe(status.signal)
            return [Log("info", f"{child} terminated by {by}, exiting")]
        if ending.startswith("max restarts"):
            return [Log("info", f"{child} {status}"), Log("error", ending)]
        return [Log("info", f"{child} {status}, {ending}")]

    def _restart(self, decision: Decision, now: float) -> list[Action]:
        if not decision.delay:
            return [self._start()]
        self._back_off(decision, now)
        if decision.backoff:
            wait = format_duration(decision.backoff)
            return [Log("info", f"child failing rapidly, delaying restart by {wait}")]
        return [Log("debug", f"restart is due in {format_duration(decision.delay)}")]

    def _back_off(self, decision: Decision, now: float) -> None:
        self.state = BACKOFF
        self.deadline = now + decision.delay

    # --- Shutdown -------------------------------------------------------------------

    def _stop(self, event: StopRequested, now: float) -> list[Action]:
        self.state = STOPPING
        self._begin_shutdown(event, now)
        # What stands if the command may not be killed, and is left.
        self._set_exit_status(ExitStatus(signal=event.signo))
        return self._stop_again(event, now)

    def _stop_again(self, event: StopRequested, _now: float) -> list[Action]:
        received = f"received {signals.describe(event.signo)}"
        # A stopped process acts on no signal but SIGKILL until it is continued.
        resume = SignalCommand(signals.SIGCONT)
        if event.delivered:
            return [Log("info", f"{received}, as did child"), resume]
        target = self._rewrite.get(event.signo, event.signo)
        if not target:
            return [Log("info", f"{received}, not forwarded (--rewrite)"), resume]
        return [Log("info", f"{received}, forwarding to child"), SignalCommand(target), resume]

    def _stop_in_backoff(self, event: StopRequested, now: float) -> list[Action]:
        self._begin_shutdown(event, now)
        received = Log("info", f"received {signals.describe(event.signo)}, exiting")
        return [received, *self._drain(ExitStatus(signal=event.signo))]

    def _stopped(self, event: Exited, _now: float) -> list[Action]:
        return [*self._say_ended(event, "shutting down"), *self._drain(event.status)]

    def _begin_shutdown(self, event: StopRequested, now: float) -> None:
        timeout = self._config.stop_timeout
        self.deadline = None if timeout is None else now + timeout
        sent = event.signo if event.delivered else self._rewrite.get(event.signo, event.signo)
        # To a daemon a hang-up means "read your configuration": it would not stop.
        if self._config.drain_signal is None and sent not in (0, signals.SIGHUP):
            self._drain_signal = sent

    def _end(self, status: ExitStatus, now: float) -> list[Action]:
        timeout = self._config.stop_timeout
        self.deadline = now + (OWN_END_STOP_TIMEOUT if timeout is None else timeout)
        return self._drain(status)

    def _drain(self, status: ExitStatus) -> list[Action]:
        self.state = DRAINING
        self._set_exit_status(status)
        return [AskAdopted(self._drain_signal)]

    def _set_exit_status(self, status: ExitStatus) -> None:
        self.exit_status = 0 if status in self._config.success else status.shell_status

    def _ask_newly_adopted(self, _event: Event, _now: float) -> list[Action]:
        return [AskAdopted(self._drain_signal)]

    def _pass_on(self, event: StopRequested, _now: float) -> list[Action]:
        received = f"received {signals.describe(event.signo)}"
        return [Log("info", f"{received}, passing it on"), SignalChildren(event.signo)]

    def _kill(self, _event: Event, _now: float) -> list[Action]:
        self.state = KILLING
        self.deadline = None
        return [KillChildren()]

    def _killed(self, event: Exited, _now: float) -> list[Action]:
        self._set_exit_status(event.status)
        return [*self._say_ended(event, "shutting down"), KillChildren()]

    def _finish(self, _event: Event, _now: float) -> list[Action]:
        self.state = ENDED
        self.deadline = None
        return []

    # --- Other signals --------------------------------------------------------------

    def _forward(self, event: SignalReceived, _now: float) -> list[Action]:
        received = f"received {signals.describe(event.signo)}"
        target = self._rewrite.get(event.signo, event.signo)
        if not target:
            return [Log("debug", f"{received}, not forwarded (--rewrite)")]
        return [
            Log("debug", f"{received}, forwarding to child"),
            SignalCommand(target, event.value),
        ]

    def _nobody_to_signal(self, event: SignalReceived, _now: float) -> list[Action]:
        return [Log("debug", f"received {signals.describe(event.signo)}, no child to forward to")]

    def _nothing(self, _event: Event, _now: float) -> list[Action]:
        return []


def _megabytes(kib: int) -> str:
    return f"{max(1, round(kib / 1024))} MB"


_TRANSITIONS: dict[tuple[str, type[Event]], Callable[[Service, Any, float], list[Action]]] = {
    (STARTING, Begin): Service._start_now,
    (STARTING, Started): Service._started,
    (STARTING, ForkFailed): Service._fork_failed,
    (STARTING, ExecFailed): Service._exec_failed,
    (RUNNING, Exited): Service._run_ended,
    (RUNNING, StopRequested): Service._stop,
    (RUNNING, SignalReceived): Service._forward,
    (RUNNING, ChildrenReaped): Service._nothing,
    (BACKOFF, DeadlinePassed): Service._start_now,
    (BACKOFF, StopRequested): Service._stop_in_backoff,
    (BACKOFF, SignalReceived): Service._nobody_to_signal,
    (BACKOFF, ChildrenReaped): Service._nothing,
    (BACKOFF, NoChildren): Service._nothing,
    (STOPPING, Exited): Service._stopped,
    (STOPPING, StopRequested): Service._stop_again,
    (STOPPING, SignalReceived): Service._forward,
    (STOPPING, ChildrenReaped): Service._nothing,
    (STOPPING, DeadlinePassed): Service._kill,
    (DRAINING, StopRequested): Service._pass_on,
    (DRAINING, SignalReceived): Service._nobody_to_signal,
    (DRAINING, ChildrenReaped): Service._ask_newly_adopted,
    (DRAINING, NoChildren): Service._finish,
    (DRAINING, DeadlinePassed): Service._kill,
    (KILLING, Exited): Service._killed,
    (KILLING, StopRequested): Service._nothing,
    (KILLING, SignalReceived): Service._nothing,
    (KILLING, ChildrenReaped): Service._kill,
    (KILLING, NoChildren): Service._finish,
    (KILLING, NoneKillable): Service._finish,
    (ENDED, ChildrenReaped): Service._nothing,
}
