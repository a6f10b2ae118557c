"""One run after the other: start, end, delay, restart."""

from __future__ import annotations

from rebound.core import narrate, signals
from rebound.core.events import (
    Action,
    BackoffOver,
    Begin,
    Event,
    ExecFailed,
    Exited,
    ForkFailed,
    KillChildren,
    KillDue,
    KillOverdue,
    RestartRequested,
    SignalCommand,
    SignalReceived,
    SignalRefused,
    Started,
    TellManager,
    say,
)
from rebound.core.exitstatus import REQUESTED, End
from rebound.core.record import Record
from rebound.core.restart import RESTART, Decision
from rebound.core.shutdown import KILL_PATIENCE, end
from rebound.core.states import BACKOFF, CLEARING, RUNNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rebound.core.service import Service

TERM_PATIENCE = 10.0
"""Seconds from SIGTERM to SIGKILL for a command that is unhealthy, over its memory or to be
restarted, and with --fresh for what a run left behind.  It is the default of docker stop."""

FAILED = 1
"""Our exit status after a run that we had to end and that then exited with status 0."""


class Run:
    """The facts of one run of the command."""

    __slots__ = ("cause", "pid", "started_at", "status_text")

    def __init__(self, pid: int, now: float) -> None:
        self.pid = pid
        self.started_at = now
        self.cause = ""
        """Why rebound itself told it to end, see `End`; empty if it did not."""
        self.status_text = ""
        """Its latest status text (STATUS of sd_notify(3))."""


class EndRun(Record):
    """How the present run is to end, so that the next one can begin."""

    cause: str
    """HUNG, UNHEALTHY, MEMORY or REQUESTED: see `exitstatus`."""
    signo: int
    """The signal to send it."""
    patience: float
    """Seconds from that signal to SIGKILL."""


# --- Start ------------------------------------------------------------------------------


def begin(service: Service, event: Begin, now: float) -> list[Action]:
    """Start the command for the first time."""
    service.began_at = service.since = now
    return start_now(service, event, now)


def start_now(service: Service, _event: Event, _now: float) -> list[Action]:
    """Start the command when its delay is over."""
    return [say(narrate.starting, service.name, service.restarts), service.start()]


def started(service: Service, event: Started, now: float) -> list[Action]:
    """Take note that a run has begun, and watch it."""
    service.state = RUNNING
    service.run = Run(event.pid, now)
    service.starts += 1
    service.begin_watching(now)
    actions = [say(narrate.started, service.name, event.pid), *service.answer_restart()]
    if service.config.notify:
        actions.append(TellManager(f"STATUS={narrate.running(event.pid)}"))
        actions += service.tell_if_ready()
    return actions


def fork_failed(service: Service, event: ForkFailed, now: float) -> list[Action]:
    """Try again later: the system had no means for a start."""
    decision = service.policy.after_failed_fork()
    _back_off(service, decision.delay, now)
    return [say(narrate.start_failed, service.name, event.error, decision.backoff)]


def exec_failed(service: Service, event: ExecFailed, now: float) -> list[Action]:
    """End if this was the first start; otherwise try again later."""
    is_first = not service.run.pid
    service.last_end = End(event.status, error=event.error)
    actions: list[Action] = [say(narrate.exec_failed, service.name, service.last_end, is_first)]
    actions += service.answer_restart(narrate.exec_error(service.name, service.last_end, is_first))
    if is_first:
        return [*actions, *end(service, event.status, now)]
    decision = service.policy.after_failed_exec(event.status, now)
    if decision.verdict != RESTART:
        return [*actions, *service.give_up(), *end(service, event.status, now)]
    return [*actions, *_restart(service, decision, now)]


# --- End --------------------------------------------------------------------------------


def ended(service: Service, event: Exited, now: float) -> list[Action]:
    """Restart the command, or end with it."""
    status, cause = event.status, service.run.cause
    run_time = now - service.run.started_at
    decision = service.policy.after_run(status, run_time, now, service.cause)
    actions = service.take_end(event, decision.verdict, now)
    if decision.verdict == RESTART:
        return [*actions, *_restart(service, decision, now)]
    actions += end(service, status, now)
    if cause:
        # The run was bad, even if it exited well on our signal; -e does not apply either.
        service.exit_status = status.shell_status or FAILED
    return actions


def _restart(service: Service, decision: Decision, now: float) -> list[Action]:
    actions = service.end_watching()
    if service.config.fresh:
        return [*actions, _clear(service, decision, now)]
    return [*actions, *_start_in(service, decision.delay, decision.backoff, now)]


def _start_in(service: Service, delay: float, backoff: float, now: float) -> list[Action]:
    """Start in `delay` seconds.  `backoff` is the nominal one, 0 if the delay is no back-off."""
    if not delay:
        return [service.start()]
    _back_off(service, delay, now)
    actions: list[Action] = []
    if service.config.notify:
        text = narrate.waiting(service.last_end, backoff or delay)
        actions.append(TellManager(f"STATUS={text}"))
    if backoff:
        return [*actions, say(narrate.held_back, delay, backoff)]
    return [*actions, say(narrate.restart_due, delay)]


def _back_off(service: Service, delay: float, now: float) -> None:
    service.state = BACKOFF
    service.timers.keep()
    service.timers.set(BackoffOver, now, delay)


# --- Clearing away what a run left behind (--fresh) -------------------------------------


def _clear(service: Service, decision: Decision, now: float) -> Action:
    service.state = CLEARING
    service.next_start = (now + decision.delay, decision.backoff)
    service.timers.keep()
    service.timers.set(KillDue, now, TERM_PATIENCE)
    service.spares_filters = True
    return service.ask_adopted()


def clear_further(service: Service, _event: Event, _now: float) -> list[Action]:
    """Ask the newly adopted processes to stop; once their time is over, kill them."""
    return [_kill_left_over() if KillOverdue in service.timers else service.ask_adopted()]


def clear_by_force(service: Service, _event: KillDue, now: float) -> list[Action]:
    """Kill the processes that have not ended in time."""
    service.timers.set(KillOverdue, now, KILL_PATIENCE)
    return [_kill_left_over()]


def _kill_left_over() -> Action:
    why = f"{narrate.duration(TERM_PATIENCE)} after they were asked to stop"
    return KillChildren(why, everybody=False)


def cleared(service: Service, _event: Event, now: float) -> list[Action]:
    """Go on to the next start after the rest of the delay."""
    due, backoff = service.next_start
    service.timers.keep()
    rest = 0.0 if service.is_restart_requested else max(due - now, 0.0)
    return _start_in(service, rest, backoff, now)


def not_cleared(service: Service, event: KillOverdue, now: float) -> list[Action]:
    """Go on although processes are left."""
    return [say(narrate.not_killed, KILL_PATIENCE), *cleared(service, event, now)]


# --- Restart on request, and the end of a run that has to end ---------------------------


def restart_now(service: Service, _event: RestartRequested, now: float) -> list[Action]:
    """End the run, so that the next one begins."""
    service.is_restart_requested = True
    told = say(narrate.restart_requested, service.run.pid)
    return [told, *service.end_run(EndRun(REQUESTED, signals.SIGTERM, TERM_PATIENCE), now)]


def restart_soon(service: Service, _event: RestartRequested, _now: float) -> list[Action]:
    """Wait for the run to end, which was told to already."""
    service.is_restart_requested = True
    return [say(narrate.restart_under_way)]


def restart_in_backoff(service: Service, event: RestartRequested, now: float) -> list[Action]:
    """Cut the delay short."""
    service.is_restart_requested = True
    return [say(narrate.restart_brought_forward), *start_now(service, event, now)]


def kill(service: Service, _event: KillDue, now: float) -> list[Action]:
    """Kill a run that does not end."""
    service.timers.set(KillOverdue, now, KILL_PATIENCE)
    return [say(narrate.killing_child, service.run.pid), SignalCommand(signals.SIGKILL)]


def not_killed(service: Service, _event: KillOverdue, _now: float) -> list[Action]:
    """Go on waiting, as runs never overlap; but answer the clients that wait."""
    told = say(narrate.child_not_killed, service.run.pid)
    return [told, *service.answer_restart(f"the command {narrate.NOT_GONE}")]


def go_on(service: Service, _event: SignalRefused, now: float) -> list[Action]:
    """Let the run go on: rebound may not signal it."""
    service.state = RUNNING
    service.run.cause = ""
    service.timers.keep()
    service.begin_watching(now)
    told = say(narrate.not_restarted, service.run.pid)
    return [told, *service.answer_restart(f"the command {narrate.NOT_PERMITTED}")]


# --- Other signals ----------------------------------------------------------------------


def forward(service: Service, event: SignalReceived, _now: float) -> list[Action]:
    """Forward a signal to the command, as it is or as --rewrite says."""
    target = service.rewrite.get(event.signo, event.signo)
    if not target:
        return [say(narrate.signal_received, event.signo, narrate.DROPPED)]
    told = say(narrate.signal_received, event.signo, narrate.FORWARDED)
    return [told, SignalCommand(target, event.value)]


def nobody_to_signal(_service: Service, event: SignalReceived, _now: float) -> list[Action]:
    """Only log the signal: no command runs."""
    return [say(narrate.signal_received, event.signo, narrate.NO_CHILD)]
