"""Whose end is waited for: the command, what it left behind, and what a part has started."""

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
"""How many ends are handled before signals are looked at again."""

_GATHERING = 0.001
"""Seconds for which ends of adopted processes may gather when they come faster than that: to
wake up takes longer than to reap, and those that end wait for whoever reaps."""


class Children:
    """Reaps them, and says whose end it was."""

    def __init__(
        self,
        command: Command,
        parts: Sequence[Part],
        log: Log,
        step: Callable[[Event], None],
    ) -> None:
        self.is_reaping_due = False
        """Whether some may have ended."""
        self._command = command
        self._adopted = Adopted(log)
        self._parts = parts
        self._log = log
        self._step = step
        self._looks = False
        self._adopted_ended_at = 0.0

    def look_before_reaping(self) -> None:
        """Show each child that has ended to the parts while nobody else can get its pid."""
        self._looks = True

    def known(self) -> list[int]:
        """List the children that were started here, not adopted."""
        pids = [self._command.pid or 0, *(part.pid for part in self._parts)]
        return [pid for pid in pids if pid]

    def name_adopted(self) -> tuple[int, str]:
        """Count those that were adopted, and name some of them."""
        return self._adopted.name(self.known())

    # --- Actions ----------------------------------------------------------------------

    def ask_adopted(self, action: AskAdopted) -> Event | None:
        """Ask those to stop that were not asked yet."""
        self.is_reaping_due = True  # perhaps they have ended: only wait(2) knows
        spared = self._command.last_pid if action.spare_filters else None
        answer = self._adopted.ask(action.signo, spared, self.known())
        if isinstance(answer, NoChildren):
            self.is_reaping_due = False
        return answer

    def signal(self, action: SignalChildren) -> None:
        """Pass a signal on to all."""
        self._adopted.pass_on(action.signo)

    def kill(self, action: KillChildren) -> Event | None:
        """Kill all; `NoneKillable` if there are some, and none may be killed."""
        self.is_reaping_due = True
        self._command.expect_kill()
        return None if self._adopted.kill(self.known(), action.why) else NoneKillable()

    # --- Reaping ----------------------------------------------------------------------

    def reap_command(self) -> None:
        """Reap the command alone: with many children, to ask for any takes the kernel long."""
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
            # It has ended, but whoever traces it is to wait for it first (ptrace(2)); so long
            # the pidfd would keep the loop busy.  SIGCHLD tells when that is done.
            self._command.unwatch()

    def reap(self, *, may_pause: bool) -> None:
        """Reap all that has ended, the command or whatever was adopted."""
        self.is_reaping_due = False
        have_ended = False
        for _ in range(_BATCH):
            try:
                ended = self._take(None)
            except ChildProcessError:
                self._none_left()
                return
            if ended is None:
                break
            if ended.pid == self._command.pid:
                # Signals are looked at before what it may have become is waited for.
                self.is_reaping_due = True
                self._command_ended(ended)
                break
            have_ended = True
            self._other_ended(ended)
        else:
            self.is_reaping_due = True
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
        """When many adopted processes end, do not wake up for each."""
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
        # Another part of the process has waited for it: how it ended is not known.
        pid = self._command.pid or 0
        self._log.expect_half_a_line()
        text = f"child (pid {pid}) was reaped by someone else"
        self._log.write("error", "reaped_elsewhere", text, {"pid": pid})
        self._command_ended(Exited(pid, ExitStatus(code=UNKNOWN)))

    def _command_ended(self, ended: Exited) -> None:
        self._adopted.forget(ended.pid)
        self._step(self._command.ended(ended))
