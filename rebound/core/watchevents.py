"""Events and actions of the watches; the plain supervision has none of them."""

from __future__ import annotations

from rebound.core.events import Action, Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rebound.core.exitstatus import ExitStatus
    from rebound.core.notify import Message


class Notified(Event):
    """The command sent a message to its NOTIFY_SOCKET."""

    message: Message


class NotifiedByStrangers(Event):
    """`count` messages came there from senders that the kernel does not know as the command."""

    count: int


class RuntimeOver(Event):
    """The run has had its time (--max-runtime)."""


class HealthChecked(Event):
    """The health check ended, and has been reaped."""

    status: ExitStatus
    output: str = ""
    """What it wrote, as far as that was read."""
    could_run: bool = True
    """Whether it could find out anything."""


class HealthUnknown(Event):
    """The health check could not be started."""

    error: str


class WatchdogExpired(Event):
    """The command has given no sign of life for too long."""

    waits_for_others = True


class CheckDue(Event):
    """It is time for the next health check."""


class CheckTimeoutOver(Event):
    """The health check has taken too long."""

    waits_for_others = True


class CheckHealth(Action):
    """Start the health check; answered by HealthChecked or HealthUnknown."""

    wants_output: bool = False
    """Whether what it writes is wanted even if the log does not show it."""


class KillCheck(Action):
    """SIGKILL the health check, with its group."""
