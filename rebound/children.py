"""All children: the command, adopted processes, and those that a part has started."""

from __future__ import annotations

import time

from rebound.adopted import Adopted
from rebound.core.events import ChildrenReaped, Event, Exited, NoChildren, NoneKillable
from rebound.core.exitstatus import UNKNOWN, ExitStatus
from rebound.kernel import linux, reaper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rebound.command import Command
    from rebound.core.events import AskAdopted, KillChildren, SignalChildren
    from rebound.core.part import Part
    from rebound.kernel.log import Log

_BATCH = 512
"""The most ends that are handled before signals are read again."""

_GATHERING = 0.001
"""Seconds for which ends of adopted processes gather when they come faster than that.  Waking up
takes longer than reaping, and processes that end wait for their reaper."""


class Children:
    """Reaps children, and reports which one has ended."""

    def __init__(
        self,
        command: Command,
        parts: Sequence[Part],
        log: Log,
        step: Callable[[Event], None],
    ) -> None:
        self.is_reaping_due = False
        """Whether some child may have ended."""
        self._command = command
        self._adopted = Adopted(log)
        self._parts = parts
        self._log = log
        self._step = step
        self._looks = False
        self._adopted_ended_at = 0.0

    def look_before_reaping(self) -> None:
        """Show each child that has ended to the parts while no other process can get its pid."""
        self._looks = True

    def known(self) -> list[int]:
        """Return the children that rebound started itself."""
        pids = [self._command.pid or 0, *(part.pid for part in self._parts)]
        return [pid for pid in pids if pid]

    def name_adopted(self) -> tuple[int, str]:
        """Return how many adopted processes there are, and the names of some."""
        return self._adopted.name(self.known())

    # --- Actions ----------------------------------------------------------------------

    def ask_adopted(self, action: AskAdopted) -> Event | None:
        """Ask adopted processes to stop, unless they were asked already."""
        self.is_reaping_due = True  # perhaps they have ended: only wait(2) knows
        spared = self._command.last_pid if action.spare_filters else None
        answer = self._adopted.ask(action, spared, self.known())
        if isinstance(answer, NoChildren):
            self.is_reaping_due = False
        return answer

    def signal(self, action: SignalChildren) -> None:
        """Pass a signal on to every child."""
        self._adopted.pass_on(action.signo)

    def kill(self, action: KillChildren) -> Event | None:
        """Kill every child; return `NoneKillable` if there are some, and it may kill none."""
        self.is_reaping_due = True
        self._command.expect_kill()
        return None if self._adopted.kill(action, self.known()) else NoneKillable()

    # --- Reaping ----------------------------------------------------------------------

    def reap_command(self) -> None:
        """Reap only the command: among many children the kernel takes long to find an ended one."""
        if self._command.pid is None:
            return
        try:
            ended = self._take(self._command.pid)
        except ChildProcessError:
            self._command_lost()
            return
        if ended:
            self._command_ended(ended)
        else:
            # It has ended, but its tracer has to wait for it first (ptrace(2)).  Until then
            # the pidfd would keep the loop busy.  SIGCHLD tells when the tracer has done so.
            self._command.unwatch()

    def reap(self, *, may_pause: bool) -> None:
        """Reap every child that has ended, the command or another one.

        It is due until wait(2) says that no other has ended, whatever raises in between.
        """
        have_ended = False
        for _ in range(_BATCH):
            try:
                ended = self._take(None)
            except ChildProcessError:
                self.is_reaping_due = False
                self._none_left()
                return
            if ended is None:
                self.is_reaping_due = False
                break
            if ended.pid == self._command.pid:
                # Read signals before reaping on: the command may be a new run by now.
                self._command_ended(ended)
                break
            have_ended = True
            self._other_ended(ended)
        if have_ended:
            self._step(ChildrenReaped())
            if may_pause and not self.is_reaping_due:
                self._let_gather()

    def _take(self, pid: int | None) -> Exited | None:
        return reaper.reap(pid, self._look if self._looks else None)

    def _look(self, pid: int, status: ExitStatus) -> None:
        for part in self._parts:
            part.dying(pid, status)

    def _other_ended(self, ended: Exited) -> None:
        self._adopted.forget(ended.pid)
        if any(part.reaped(ended) for part in self._parts):
            return
        if self._log.is_verbose:  # there may be thousands
            text = f"reaped adopted process (pid {ended.pid}), {ended.status}"
            fields = {"pid": ended.pid, "reason": ended.status.label}
            self._log.write("debug", "reaped", text, fields)

    def _let_gather(self) -> None:
        """Pause, so that rebound need not wake up for each of many adopted processes."""
        if time.monotonic() - self._adopted_ended_at < _GATHERING:
            linux.pause(_GATHERING)
        self._adopted_ended_at = time.monotonic()

    def _none_left(self) -> None:
        if self._command.pid is None:
            self._step(NoChildren())
        else:
            self._command_lost()

    # --- The command ------------------------------------------------------------------

    def _command_lost(self) -> None:
        # Other code in this process has waited for it: nobody knows how it ended.
        pid = self._command.pid or 0
        self._log.expect_half_a_line()
        text = f"child (pid {pid}) was reaped by someone else"
        self._log.write("error", "reaped_elsewhere", text, {"pid": pid})
        self._command_ended(Exited(pid, ExitStatus(code=UNKNOWN)))

    def _command_ended(self, ended: Exited) -> None:
        self._adopted.forget(ended.pid)
        self._step(self._command.ended(ended))
