"""What can happen to the service, and what it may want done: the words of `Service.step`."""

from __future__ import annotations

from rebound.exitstatus import ExitStatus
from rebound.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from rebound.notify import Message

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
    out_of_memory: bool = False
    """Whether it was the kernel's out-of-memory killer."""


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


class Notified(Record):
    """The command sent a message to its NOTIFY_SOCKET."""

    message: Message


class NotifiedByStrangers(Record):
    """So many messages came there from others, for whom the kernel does not vouch."""

    count: int


class HealthChecked(Record):
    """The health command ended, and has been reaped."""

    status: ExitStatus


class HealthUnknown(Record):
    """The health command could not be started."""

    error: str


class RestartRequested(Record):
    """Somebody with the right to do so asks for a new run; answered by RestartAnswered."""


class DeadlinePassed(Record):
    """The time in `Service.deadline` has come: the first of the timers below is due."""


class BackoffOver(Record):
    """The next start is due."""


class StopTimeoutOver(Record):
    """What is left of the shutdown has had its time."""


class KillDue(Record):
    """A run that was told to end has had its time."""


class WatchdogExpired(Record):
    """The command has given no sign of life for too long."""


class CheckDue(Record):
    """It is time for the next health check."""


class CheckTimeoutOver(Record):
    """The health check has had its time."""


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


class CheckHealth(Record):
    """Start the health command; answered by HealthChecked or HealthUnknown."""


class KillCheck(Record):
    """SIGKILL the health command, with its group."""


class TellManager(Record):
    """Send lines to rebound's own service manager (sd_notify(3))."""

    text: str


class RestartAnswered(Record):
    """Tell those who requested a restart that it was made, or why not."""

    error: str = ""


class Log(Record):
    """A line for the log, at level `error`, `info` or `debug`.

    `text` is for people; `event` and the fields, for programs, keep their names.
    """

    level: str
    event: str
    text: str
    fields: Mapping[str, object] | None = None


Action = Record
