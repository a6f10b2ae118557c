"""Job control: lends the terminal to the command, which has its own process group."""

from __future__ import annotations

from rebound.core import signals
from rebound.core.incoming import JOB_CONTROL_SIGNALS
from rebound.core.part import Part
from rebound.kernel import linux, reaper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rebound.kernel.terminal import Terminal


class JobControl(Part):
    """Lends the terminal to each run, and stops and continues with it."""

    needs_waitid = True

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._command = 0

    def began(self, pid: int) -> None:
        """Put the run into the foreground, if we are in it."""
        self._command = pid
        self._terminal.lend(pid)

    def gone(self) -> None:
        """Take the terminal back."""
        self._command = 0
        self._terminal.take_back()

    def child_changed(self) -> None:
        """If ^Z stopped the command's group, stop too, so that the shell gets the terminal."""
        if not self._command:
            return
        stopped_by = reaper.stopped_by(self._command)
        if stopped_by not in JOB_CONTROL_SIGNALS:
            return
        if stopped_by != signals.SIGTSTP and self._terminal.is_lent():
            # It used the terminal just before we lent it.
            linux.send(-self._command, signals.SIGCONT)
            return
        self._terminal.take_back()
        linux.suspend(signals.SIGTSTP)
        # After `fg`, or if we never stopped (PID 1), the terminal is ours to lend again.
        # After `bg` it is not; the SIGCONT that comes then resumes the command.
        if self._terminal.is_ours():
            self.continued()

    def continued(self) -> bool:
        """Continue the command's whole group; lend it the terminal if we have it."""
        if not self._command:
            return False
        self._terminal.lend(self._command)
        return linux.send(-self._command, signals.SIGCONT) is None
