"""What every part is: what one option needs beside the plain supervision."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from rebound.core.events import Action, Event, Exited
    from rebound.core.exitstatus import ExitStatus

    Carry = Callable[[Any], "Event | None"]
    """Carries out an action; returns what it has led to at once, if anything."""


class Part:
    """Base of the parts.  By itself a part does nothing.

    What happens later it reports as an event, to the `step` that it was made with.
    """

    actions: Mapping[type[Action], Carry] = {}
    """The actions that it carries out."""

    pid = 0
    """A child of its own, not the command; 0 for none."""

    needs_waitid = False
    """Whether `dying` or `child_changed` does anything: only who needs it pays for the call."""

    def prepare(self, environment: dict[bytes, bytes]) -> None:
        """Prepare the next run, and its environment.  Raises `NoProcess`."""

    def began(self, pid: int) -> None:
        """Take note that the run has begun, as process `pid`."""

    def settled(self) -> None:
        """Do what can wait until the run has had a moment of its own."""

    def started(self) -> None:
        """Do what can wait until the first run has begun, or could not."""

    def child_changed(self) -> None:
        """Take note that some child has stopped or ended."""

    def continued(self) -> bool:
        """Take SIGCONT; whether there is no more to do about it."""
        return False

    def dying(self, pid: int, status: ExitStatus) -> None:
        """Look at any child that has ended, before it is reaped."""

    def reaped(self, ended: Exited) -> bool:  # noqa: ARG002  for those that derive from it
        """Take note of a child that is not the command; whether it was this part's own."""
        return False

    def killed(self, ended: Exited) -> Exited:
        """Return, of a command that somebody else has killed, what more is known."""
        return ended

    def gone(self) -> None:
        """Take note that the run has ended, or that it could not be started."""

    def close(self) -> None:
        """Let go of everything, at rebound's end."""
