"""The shutdown: stop the command, drain adopted processes, kill what does not end."""

from __future__ import annotations

from rebound.core import narrate, signals
from rebound.core.events import (
    Action,
    ChildrenReaped,
    Event,
    Exited,
    FiltersDue,
    FiltersSpared,
    KillChildren,
    KillDue,
    KillOverdue,
    NoneAdopted,
    ReleaseDescriptors,
    RestartAnswered,
    RestartRequested,
    SignalChildren,
    SignalCommand,
    SignalRefused,
    StopRequested,
    StopTimeoutOver,
    TellManager,
    say,
)
from rebound.core.exitstatus import ExitStatus
from rebound.core.restart import MEANT, STOP_SIGNALS
from rebound.core.states import DRAINING, ENDED, KILLING, STOPPING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rebound.core.service import Service

OWN_END_STOP_TIMEOUT = 30.0
"""Seconds that adopted processes get when the command ended by itself.  No container runtime
sets a limit then, and a process that ignores its signal must not keep a dead service up."""

KILL_PATIENCE = 10.0
"""Seconds that rebound waits for a process after SIGKILL.  The process may hang in the kernel
(state D of proc(5)), or be in a frozen cgroup."""

FILTER_PATIENCE = 0.2
"""Seconds that processes in the command's session have to end by themselves before rebound asks
them.  A filter of its output ends at the end of its input, and has lines to write until then."""

_TIMEOUT_OVER = "stop timeout is over"


# --- Stop -------------------------------------------------------------------------------


def stop(service: Service, event: StopRequested, now: float) -> list[Action]:
    """Begin the shutdown while the command runs."""
    service.state = STOPPING
    # This stays the exit status if rebound may not kill the command, and leaves it.
    service.set_exit_status(ExitStatus(signal=event.signo))
    actions = _begin(service, event, now)
    return [*stop_again(service, event, now), *actions]


def stop_again(service: Service, event: StopRequested, _now: float) -> list[Action]:
    """Pass a stop on to the command."""
    # A stopped process acts on no signal but SIGKILL until it is continued.
    resume = SignalCommand(signals.SIGCONT)
    if event.delivered:
        return [say(narrate.stop_received, event.signo, narrate.DELIVERED), resume]
    target = service.rewrite.get(event.signo, event.signo)
    if not target:
        return [say(narrate.stop_received, event.signo, narrate.DROPPED), resume]
    told = say(narrate.stop_received, event.signo, narrate.FORWARDED)
    return [told, SignalCommand(target), resume]


def stop_without_command(service: Service, event: StopRequested, now: float) -> list[Action]:
    """Begin the shutdown between two runs."""
    told = say(narrate.stop_received, event.signo, narrate.SHUTTING_DOWN)
    actions = _begin(service, event, now)
    return [told, *actions, *_drain(service, ExitStatus(signal=event.signo))]


def stopped(service: Service, event: Exited, now: float) -> list[Action]:
    """Drain what the command has left."""
    return [*service.take_end(event, MEANT, now), *_drain(service, event.status)]


def stop_refused(service: Service, _event: SignalRefused, _now: float) -> list[Action]:
    """Do not wait for the command: rebound may not signal it."""
    return _drain_beside(service, narrate.NOT_PERMITTED)


def stop_overdue(service: Service, _event: KillOverdue, _now: float) -> list[Action]:
    """Do not wait for the command: SIGKILL has not ended it."""
    return _drain_beside(service, narrate.NOT_GONE)


def refuse_restart(_service: Service, _event: RestartRequested, _now: float) -> list[Action]:
    """Answer that the shutdown allows no restart."""
    return [RestartAnswered(narrate.SHUTTING_DOWN)]


def _begin(service: Service, event: StopRequested, now: float) -> list[Action]:
    service.stopped_by = event.signo
    # A run that was told to end and does not is still killed.  The adopted processes,
    # which are drained after it, then get the rest of the runtime's grace period.
    service.timers.keep(KillDue, KillOverdue)
    if service.config.stop_timeout is not None:
        service.timers.set(StopTimeoutOver, now, service.config.stop_timeout)
    rewritten = service.rewrite.get(event.signo, event.signo)
    sent = event.signo if event.delivered else rewritten
    if service.config.drain_signal is None and _stops_daemons(sent, event.signo):
        service.drain_signal = sent
    return _leave(service)


def _stops_daemons(sent: int, received: int) -> bool:
    """Return whether the signal that the command got means a stop to others, too.

    To a daemon a hang-up means "read your configuration".  A signal that only --stop-signal
    makes a stop means one to the command alone: to PostgreSQL, SIGQUIT means to crash.
    """
    if sent in (0, signals.SIGHUP):
        return False
    return sent != received or sent in STOP_SIGNALS


def _leave(service: Service) -> list[Action]:
    """Stop what goes on beside the runs, as the shutdown begins."""
    actions = [*service.end_watching(), *service.answer_restart(narrate.SHUTTING_DOWN)]
    if service.holds_descriptors:
        actions.append(ReleaseDescriptors())
    if service.config.notify:
        actions.append(TellManager(f"STOPPING=1\nSTATUS={narrate.SHUTTING_DOWN}"))
    return actions


# --- Drain ------------------------------------------------------------------------------


def end(service: Service, status: ExitStatus, now: float) -> list[Action]:
    """Begin the shutdown because the command has ended for good."""
    timeout = service.config.stop_timeout
    service.timers.keep()
    seconds = OWN_END_STOP_TIMEOUT if timeout is None else timeout
    service.timers.set(StopTimeoutOver, now, seconds)
    return [*_leave(service), *_drain(service, status)]


def _drain(service: Service, status: ExitStatus) -> list[Action]:
    service.set_exit_status(status)
    return _begin_drain(service)


def _drain_beside(service: Service, why: str) -> list[Action]:
    """Do not wait for the command: the others must have time to shut down.

    The exit status is that of the stop, unless the command ends in time.
    """
    service.is_command_left = True
    return [say(narrate.leaving_child, service.run.pid, why), *_begin_drain(service)]


def _begin_drain(service: Service) -> list[Action]:
    service.state = DRAINING
    service.timers.keep(StopTimeoutOver)
    service.spares_filters = True
    return [service.ask_adopted()]


def left_command_ended(service: Service, event: Exited, now: float) -> list[Action]:
    """Take the exit status of the command, although rebound no longer waited for it."""
    service.is_command_left = False
    service.set_exit_status(event.status)
    return [*service.take_end(event, MEANT, now), service.ask_adopted()]


def ask_newly_adopted(service: Service, _event: ChildrenReaped, _now: float) -> list[Action]:
    """Ask the children of those that ended, which are adopted now."""
    # What `none_adopted` gave up on may have left others, and they have all their time.
    service.timers.cancel(KillOverdue)
    return [service.ask_adopted()]


def wait_for_filters(service: Service, _event: FiltersSpared, now: float) -> list[Action]:
    """Give the processes in the command's session time to end by themselves."""
    if FiltersDue not in service.timers:
        service.timers.set(FiltersDue, now, FILTER_PATIENCE)
    return []


def ask_filters(service: Service, _event: FiltersDue, _now: float) -> list[Action]:
    """Ask the processes in the command's session, too."""
    service.spares_filters = False
    return [service.ask_adopted()]


def none_adopted(service: Service, event: NoneAdopted, now: float) -> list[Action]:
    """End if only a command is left that rebound does not wait for."""
    if service.is_command_left:
        return finish(service, event, now)
    # A health check is left: it was killed, but may not be killable.
    if KillOverdue not in service.timers:
        service.timers.set(KillOverdue, now, KILL_PATIENCE)
    return []


def pass_on(_service: Service, event: StopRequested, _now: float) -> list[Action]:
    """Pass a further stop on to every child that is left."""
    told = say(narrate.stop_received, event.signo, narrate.PASSED_ON)
    return [told, SignalChildren(event.signo)]


# --- Kill -------------------------------------------------------------------------------


def kill(service: Service, _event: StopTimeoutOver, now: float) -> list[Action]:
    """Kill every child that is left."""
    service.state = KILLING
    service.timers.keep()
    service.timers.set(KillOverdue, now, KILL_PATIENCE)
    return [KillChildren(_TIMEOUT_OVER)]


def kill_newly_adopted(_service: Service, _event: ChildrenReaped, _now: float) -> list[Action]:
    """Kill the children of those that ended, which are adopted now."""
    return [KillChildren(_TIMEOUT_OVER)]


def killed(service: Service, event: Exited, now: float) -> list[Action]:
    """Take the exit status of the command, which was killed."""
    service.set_exit_status(event.status)
    return [*service.take_end(event, MEANT, now), KillChildren(_TIMEOUT_OVER)]


def not_killed(service: Service, event: KillOverdue, now: float) -> list[Action]:
    """Leave the processes that SIGKILL has not ended."""
    return [say(narrate.not_killed, KILL_PATIENCE), *finish(service, event, now)]


def finish(service: Service, _event: Event, _now: float) -> list[Action]:
    """End: rebound waits for no process any more."""
    service.state = ENDED
    service.timers.keep()
    return []
