"""The events that `Service.step` takes, and the actions that it returns."""

from __future__ import annotations

from rebound.core.exitstatus import ExitStatus
from rebound.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec

    from rebound.core.narrate import Line

    P = ParamSpec("P")

# --- Events -------------------------------------------------------------------------


class Event(Record):
    """Something that happened."""

    waits_for_others = False
    """Whether this is a timer that measures other processes: it begins anew after a pause."""


class Begin(Event):
    """rebound is ready to start the command."""


class Started(Event):
    """The command was spawned and its exec succeeded."""

    pid: int


class ForkFailed(Event):
    """The system had no free process, memory or descriptor: another try may succeed."""

    error: str


class ExecFailed(Event):
    """The command could not be executed.  `status` is as a shell would show it."""

    error: str
    status: ExitStatus


class Exited(Event):
    """A child ended, and has been reaped.  As an event it means the command."""

    pid: int
    status: ExitStatus
    max_rss: int = 0
    """The peak of its resident memory, in KiB (getrusage(2); at least rebound's own)."""
    out_of_memory: bool = False
    """Whether the kernel's out-of-memory killer ended it."""


class StopRequested(Event):
    """SIGTERM, SIGINT or a terminal's hang-up.  `delivered`: the command has it already."""

    signo: int
    delivered: bool = False


class SignalReceived(Event):
    """Any other signal.  `value` comes from sigqueue(3); None for a plain kill(2)."""

    signo: int
    value: int | None = None


class ChildrenReaped(Event):
    """Adopted processes ended; rebound has now adopted their children."""


class NoChildren(Event):
    """No child is left, alive or dead: wait(2) said ECHILD."""


class NoneKillable(Event):
    """Only children are left that rebound may not signal (EPERM)."""


class FiltersSpared(Event):
    """Some adopted processes in the command's session have not been asked to stop yet."""


class NoneAdopted(Event):
    """Only children are left that rebound has started itself."""


class SignalRefused(Event):
    """rebound may not signal the command (EPERM): it runs as another user now."""


class RestartRequested(Event):
    """An authorised client asks for a new run; answered by RestartAnswered."""


class DeadlinePassed(Event):
    """The time in `Service.deadline` has come: the first of the timers below is due."""


class BackoffOver(Event):
    """The next start is due."""


class StopTimeoutOver(Event):
    """The shutdown has had its time."""

    waits_for_others = True


class KillDue(Event):
    """A run that was told to end has had its time."""

    waits_for_others = True


class KillOverdue(Event):
    """The processes that were sent SIGKILL have had their time to end."""

    waits_for_others = True


class FiltersDue(Event):
    """The processes left in the command's session have had their time to end by themselves."""


# --- Actions ------------------------------------------------------------------------


class Action(Record):
    """Something to be done."""


class Start(Action):
    """Spawn the command; answered by Started, ForkFailed or ExecFailed."""

    restarts: int
    last_exit: str = ""
    """How the last run ended, see `End.label`; empty before the first end."""


class SignalCommand(Action):
    """Send a signal to the command, or to its group if so configured.

    Answered by SignalRefused if the kernel does not permit it, unless the signal is SIGCONT.
    """

    signo: int
    value: int | None = None


class AskAdopted(Action):
    """Ask each adopted process to stop, unless it has been asked already.

    Each gets the first of `signo`, SIGTERM and SIGHUP that it does not ignore.  Answered by
    NoChildren, NoneAdopted or FiltersSpared if one of them applies.
    """

    signo: int
    spare_filters: bool = False
    """Whether to leave out those in the command's session."""
    everybody: bool = True
    """Whether PID 1 may ask all processes, if nothing lists those that it has adopted."""


class SignalChildren(Action):
    """Pass a further signal on to every child that still runs."""

    signo: int


class KillChildren(Action):
    """SIGKILL every child; log the names that are new.

    Answered by NoneKillable if there are children, and rebound may kill none of them.
    """

    why: str
    """The reason, for the log."""
    everybody: bool = True
    """Whether PID 1 may kill all processes, if nothing lists those that it has adopted."""


class TellManager(Action):
    """Send lines to rebound's own service manager (sd_notify(3))."""

    text: str


class ReleaseDescriptors(Action):
    """Close the sockets and descriptors that are kept for further runs: there will be none."""


class RestartAnswered(Action):
    """Tell the clients that requested a restart that it was made, or why not."""

    error: str = ""


class Say(Action):
    """Log a fact.

    `words` is a function of `narrate`, `about` its arguments: it is called only if the line
    is written.
    """

    words: Callable[..., Line]
    about: tuple[object, ...] = ()


def say(words: Callable[P, Line], *about: P.args, **_named: P.kwargs) -> Say:
    """Return the action that logs a fact; type checkers check the arguments."""
    return Say(words, about)
