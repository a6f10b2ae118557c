"""The command: one run after the other, its pid and pidfd, its environment, its signals."""

from __future__ import annotations

from rebound.core import signals
from rebound.core.events import Event, ExecFailed, Exited, ForkFailed, SignalRefused, Started
from rebound.core.exitstatus import EXEC_FAILED, ExitStatus
from rebound.kernel import linux, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rebound.core.activation import Descriptor
    from rebound.core.config import Config
    from rebound.core.events import SignalCommand, Start
    from rebound.core.part import Part
    from rebound.kernel.log import Log
    from rebound.kernel.loop import Loop


class Command:
    """At most one run at a time.  `environment` is that of the next one, and changes.

    The loop calls `exited` when the pidfd tells that the run can be reaped.  `guard` makes a
    call whose failure must not stop us.
    """

    def __init__(
        self,
        spawner: spawn.Spawner,
        environment: dict[bytes, bytes],
        log: Log,
        loop: Loop,
        parts: Sequence[Part],
    ) -> None:
        self.pid: int | None = None
        """The pid of the run; None as soon as it is reaped."""
        self.last_pid = 0
        """The pid of the last run; 0 before the first."""
        self.signal_group = False
        """Whether signals go to its whole process group."""
        self.exited: Callable[[], None] = lambda: None
        self.guard: Callable[[Callable[[], None]], None] = lambda call: call()
        self.spawner = spawner
        """What starts each run."""
        self._environment = environment
        self._log = log
        self._loop = loop
        self._parts = parts
        self._pidfd: int | None = None
        self._is_pidfd_refused = False
        self._is_kill_sent = False
        self._first_unseen = 0  # the first descriptor that no handed one has replaced so far

    # --- A run ------------------------------------------------------------------------

    def start(self, action: Start) -> Event:
        """Begin a run.  Each start returns an event, whatever fails."""
        try:
            self._environment[b"REBOUND_RESTARTS"] = b"%d" % action.restarts
            if action.last_exit:
                self._environment[b"REBOUND_LAST_EXIT"] = action.last_exit.encode()
            handed: list[Descriptor] = []
            for part in self._parts:
                part.prepare(self._environment)
                handed += part.descriptors()
            if handed:
                self._say_what_is_in_the_way(handed)
            pid = self.spawner.spawn(self._environment, handed)
        except Exception as error:
            self._tell_gone()
            return _failure(error)
        self.pid = self.last_pid = pid
        self._is_kill_sent = False
        # The run has begun, whatever else fails.
        self.guard(self._attend)
        return Started(pid)

    def _say_what_is_in_the_way(self, handed: Sequence[Descriptor]) -> None:
        """Log each inherited descriptor whose number a handed one takes, once."""
        from rebound.core.activation import FIRST
        from rebound.kernel.descriptors import is_inherited

        end = FIRST + len(handed)
        for fd in range(self._first_unseen or FIRST, end):
            if is_inherited(fd):
                text = f"descriptor {fd} is not passed on: a socket takes its number"
                self._log.write("error", "in_the_way", text, {"fd": fd})
        self._first_unseen = max(self._first_unseen, end)

    def _attend(self) -> None:
        pid = self.last_pid
        for part in self._parts:
            part.began(pid)
        # vfork(2) has woken us in the middle of the command's exec, often on the same CPU.
        # Let the command go on first: the rest of our work can wait.
        linux.yield_cpu()
        self._watch(pid)
        for part in self._parts:
            part.settled()

    def _watch(self, pid: int) -> None:
        try:
            pidfd = linux.open_pidfd(pid)
        except OSError as error:
            if not self._is_pidfd_refused:
                text = f"pidfd_open: {error.strerror}, going on with SIGCHLD alone"
                self._log.write("info", "no_pidfd", text)
                self._is_pidfd_refused = True
            return
        try:
            self._loop.watch(pidfd, self.exited)
        except OSError:  # ENOMEM, ENOSPC (max_user_watches): SIGCHLD is enough
            linux.close(pidfd)
            return
        self._pidfd = pidfd

    def unwatch(self) -> None:
        """Close the pidfd: once the process has ended, it stays readable."""
        if self._pidfd is not None:
            self._loop.close_watched(self._pidfd)
            self._pidfd = None

    def ended(self, exited: Exited) -> Exited:
        """Take note that the run was reaped; return its end, with what the parts know of it."""
        self.pid = None
        # The run has ended, whatever else fails.
        self.guard(self._leave)
        if exited.status.signal == signals.SIGKILL and not self._is_kill_sent:
            for part in self._parts:
                exited = part.killed(exited)
        return exited

    def _leave(self) -> None:
        self._log.expect_half_a_line()
        self.unwatch()
        self._tell_gone()

    def _tell_gone(self) -> None:
        for part in self._parts:
            self.guard(part.gone)

    # --- Signals ----------------------------------------------------------------------

    def signal(self, action: SignalCommand) -> Event | None:
        """Send a signal to the command if it runs; return `SignalRefused` after EPERM."""
        pid, signo = self.pid, action.signo
        if pid is None:
            return None
        self._is_kill_sent |= signo == signals.SIGKILL
        error = self._send(pid, signo, action.value)
        if error is None:
            return None
        text = f"cannot send {signals.describe(signo)} to child (pid {pid}): {error.strerror}"
        fields = {"signal": signals.name(signo), "pid": pid, "error": error.strerror}
        self._log.write("error", "signal_failed", text, fields)
        # SIGCONT follows another signal, whose answer counts.
        refused = isinstance(error, PermissionError) and signo != signals.SIGCONT
        return SignalRefused() if refused else None

    def _send(self, pid: int, signo: int, value: int | None) -> OSError | None:
        if self.signal_group:
            # A command that has left its group must get the signal, too.
            return linux.send(-pid, signo) and linux.send(pid, signo)
        if value is not None:
            return linux.queue(pid, signo, value)
        return linux.send(pid, signo)

    def got_from_terminal(self, signo: int) -> bool:
        """Return whether the command, too, got a signal that a terminal has sent us."""
        if self.pid is None or not linux.shares_our_group(self.pid):
            return False
        return signo != signals.SIGHUP or not linux.is_session_leader()

    def expect_kill(self) -> None:
        """Take note that the command is killed with all others."""
        self._is_kill_sent = True


def _failure(error: Exception) -> Event:
    """Return the event for a failed start: the system had no means, or the exec failed."""
    if isinstance(error, ValueError):  # a word that no exec takes
        return ExecFailed(str(error), ExitStatus(code=EXEC_FAILED))
    if isinstance(error, OSError) and not spawn.is_out_of_means(error):
        return ExecFailed(error.strerror or str(error), spawn.exec_failure(error))
    return ForkFailed(getattr(error, "strerror", None) or repr(error))  # also a MemoryError


def make_spawner(
    words: Sequence[str], starter: spawn.Starter, config: Config, say: Callable[[str], None]
) -> spawn.Spawner:
    """Return what starts the command as its options say."""
    own_group, score = config.in_own_group, config.oom_score_adj
    if score is None:
        return spawn.Spawner(words, starter, own_group=own_group)
    from rebound.kernel.score import ScoredSpawner

    return ScoredSpawner(words, starter, own_group=own_group, oom_score_adj=score, say=say)


def variables_of(environment: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the variables for the command; what only rebound itself sets comes with each run."""
    variables = dict(environment)
    variables.pop(b"REBOUND_LAST_EXIT", None)
    variables.pop(b"", None)  # Python can read "=value", but not pass it on
    return variables
