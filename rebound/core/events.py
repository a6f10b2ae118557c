"""What can happen to the service, and what it may want done: the words of `Service.step`."""

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
    """Whether it is a timer that measures what others do: it begins anew after a pause."""


class Begin(Event):
    """rebound is ready to start the command."""


class Started(Event):
    """The command was spawned and its exec succeeded."""

    pid: int


class ForkFailed(Event):
    """The system had no process, memory or descriptor to spare: worth another try."""

    error: str


class ExecFailed(Event):
    """The command could not be executed; `status` is what a shell would show for it."""

    error: str
    status: ExitStatus


class Exited(Event):
    """A child ended, and has been reaped.  As an event: that child was the command."""

    pid: int
    status: ExitStatus
    max_rss: int = 0
    """The peak of its resident memory, in KiB (getrusage(2); at least rebound's own)."""
    out_of_memory: bool = False
    """Whether it was the kernel's out-of-memory killer."""


class StopRequested(Event):
    """SIGTERM, SIGINT or a terminal's hang-up.  `delivered`: the command has it already."""

    signo: int
    delivered: bool = False


class SignalReceived(Event):
    """Any other signal.  `value` is that of sigqueue(3), None for a plain kill(2)."""

    signo: int
    value: int | None = None


class ChildrenReaped(Event):
    """Adopted processes ended; the processes that they leave behind are adopted now."""


class NoChildren(Event):
    """No child is left, alive or dead: wait(2) said ECHILD."""


class NoneKillable(Event):
    """No child is left but those that rebound may not signal (EPERM)."""


class FiltersSpared(Event):
    """Some adopted processes of the command's session were not asked to stop yet."""


class NoneAdopted(Event):
    """No child is left but those that rebound has started itself."""


class SignalRefused(Event):
    """rebound may not signal the command (EPERM): it runs as another user now."""


class RestartRequested(Event):
    """Somebody with the right to do so asks for a new run; answered by RestartAnswered."""


class DeadlinePassed(Event):
    """The time in `Service.deadline` has come: the first of the timers below is due."""


class BackoffOver(Event):
    """The next start is due."""


class StopTimeoutOver(Event):
    """What is left of the shutdown has had its time."""

    waits_for_others = True


class KillDue(Event):
    """A run that was told to end has had its time."""

    waits_for_others = True


class KillOverdue(Event):
    """What was sent SIGKILL has had its time to be gone."""

    waits_for_others = True


class FiltersDue(Event):
    """What the command's session left behind has had its time to end by itself."""


# --- Actions ------------------------------------------------------------------------


class Action(Record):
    """Something to be done."""


class Start(Action):
    """Spawn the command; answered by Started, ForkFailed or ExecFailed."""

    restarts: int
    last_exit: str = ""
    """How the last run ended, see `End.label`; empty before the first."""


class SignalCommand(Action):
    """Send a signal to the command, or to its group if so configured.

    Answered by SignalRefused if that is not permitted, unless the signal is SIGCONT.
    """

    signo: int
    value: int | None = None


class AskAdopted(Action):
    """Ask each adopted process to stop that has not been asked yet.

    Each is sent the first of `signo`, SIGTERM and SIGHUP that it does not ignore.  Answered by
    NoChildren, NoneAdopted or FiltersSpared where that is so.
    """

    signo: int
    spare_filters: bool = False
    """Whether those in the command's session are not asked."""


class SignalChildren(Action):
    """Pass a further signal on to every child that still runs."""

    signo: int


class KillChildren(Action):
    """SIGKILL every child; the new names among them are logged.

    Answered by NoneKillable if there are some, and none may be killed.
    """

    why: str
    """For the log."""


class TellManager(Action):
    """Send lines to rebound's own service manager (sd_notify(3))."""

    text: str


class RestartAnswered(Action):
    """Tell those who requested a restart that it was made, or why not."""

    error: str = ""


class Say(Action):
    """Tell a fact in the log.

    `words` is a function of `narrate`, `about` its arguments: they are put into words only if
    the line is written.
    """

    words: Callable[..., Line]
    about: tuple[object, ...] = ()


def say(words: Callable[P, Line], *about: P.args, **_named: P.kwargs) -> Say:
    """Return the action that tells a fact, with its arguments checked by type."""
    return Say(words, about)
