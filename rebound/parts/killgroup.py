"""`--kill-group`: kills what a crashed run left in its process group."""

from __future__ import annotations

from rebound.core import signals
from rebound.core.part import Part
from rebound.kernel import linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rebound.core.exitstatus import ExitStatus


class KillGroup(Part):
    """Kills the group while the command's zombie still keeps its number from being reused."""

    needs_waitid = True

    def __init__(self, would_restart: Callable[[ExitStatus], bool]) -> None:
        self._would_restart = would_restart
        self._command = 0

    def began(self, pid: int) -> None:
        """Remember the run's group."""
        self._command = pid

    def dying(self, pid: int, status: ExitStatus) -> None:
        """Kill the group if the command has ended and another run follows."""
        if pid == self._command and self._would_restart(status):
            linux.send(-pid, signals.SIGKILL)

    def gone(self) -> None:
        """Forget the group: another one may get that number."""
        self._command = 0
