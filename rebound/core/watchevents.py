"""Events and actions of the watches, which the plain supervision does not have."""

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
    """So many messages came there from others, for whom the kernel does not vouch."""

    count: int


class HealthChecked(Event):
    """The health command ended, and has been reaped."""

    status: ExitStatus


class HealthUnknown(Event):
    """The health command could not be started."""

    error: str


class WatchdogExpired(Event):
    """The command has given no sign of life for too long."""

    waits_for_others = True


class CheckDue(Event):
    """It is time for the next health check."""


class CheckTimeoutOver(Event):
    """The health check has had its time."""

    waits_for_others = True


class CheckHealth(Action):
    """Start the health command; answered by HealthChecked or HealthUnknown."""


class KillCheck(Action):
    """SIGKILL the health command, with its group."""
