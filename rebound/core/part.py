"""The base of the parts: each adds what one option needs to the plain supervision."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from rebound.core.activation import Descriptor
    from rebound.core.events import Action, Event, Exited
    from rebound.core.exitstatus import ExitStatus

    Carry = Callable[[Any], "Event | None"]
    """Carries out an action; returns its answer if that is known at once."""


class Part:
    """Base of the parts.  By itself a part does nothing.

    It reports later results as events, to the `step` that it was made with.
    """

    actions: Mapping[type[Action], Carry] = {}
    """The actions that it carries out."""

    pid = 0
    """A child of its own, not the command; 0 for none."""

    needs_waitid = False
    """Whether `dying` or `child_changed` does anything; if not, the system call is left out."""

    def prepare(self, environment: dict[bytes, bytes]) -> None:
        """Prepare the next run, and its environment.  Raises `NoProcess`."""

    def descriptors(self) -> Sequence[Descriptor]:
        """Return the descriptors that the next run is handed, in order."""
        return ()

    def began(self, pid: int) -> None:
        """Take note that the run has begun, as process `pid`."""

    def settled(self) -> None:
        """Do what can wait until the run has had a moment of its own."""

    def started(self) -> None:
        """Do what can wait until the first run has begun, or could not."""

    def child_changed(self) -> None:
        """Take note that some child has stopped or ended."""

    def continued(self) -> bool:
        """Take SIGCONT; return whether that was all to do about it."""
        return False

    def dying(self, pid: int, status: ExitStatus) -> None:
        """Look at any child that has ended, before it is reaped."""

    def reaped(self, ended: Exited) -> bool:  # noqa: ARG002  for derived classes
        """Take note of a child that is not the command; return whether it was this part's own."""
        return False

    def killed(self, ended: Exited) -> Exited:
        """Return the end of a command that somebody else has killed, with what more is known."""
        return ended

    def gone(self) -> None:
        """Take note that the run has ended, or could not be started."""

    def stopping(self) -> None:
        """Let go of what is kept for further runs: the shutdown begins."""

    def describe(self) -> Mapping[str, object]:
        """Return its fields of the status."""
        return {}

    def close(self) -> None:
        """Let go of everything, at rebound's end."""
