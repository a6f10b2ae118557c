"""Joins the parts: what the kernel tells becomes events, actions become system calls.

A crash: the pidfd and the signalfd become readable, `_reap` waits for all that ended, the
service answers `Exited` with `Start`, `_start` spawns.  A stop: the signalfd gives SIGTERM,
the service answers `SignalCommand`; the command ends, `AskAdopted` asks what it left behind,
and with the last child (ECHILD) `run` returns.
"""

from __future__ import annotations

import os
import time

from rebound import linux, reaper, service, signals, spawn
from rebound.config import Config
from rebound.exitstatus import UNKNOWN, ExitStatus
from rebound.log import Log
from rebound.loop import Loop
from rebound.restart import RestartPolicy
from rebound.service import Service
from rebound.terminal import Terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rebound.loop import Signal

_SHUTDOWN_SIGNALS = (signals.SIGTERM, signals.SIGINT)
_STOP_SIGNALS = (signals.SIGTSTP, signals.SIGTTIN, signals.SIGTTOU)
_TERMINAL_SIGNALS = (
    *_STOP_SIGNALS,
    signals.SIGHUP,
    signals.SIGINT,
    signals.SIGQUIT,
    signals.SIGCONT,
    signals.SIGWINCH,
)

_REAP_BATCH = 512
"""How many ends are handled before signals are looked at again."""

_MOST_NAMES = 10
"""How many processes one line of the log names."""


def supervise(command: Sequence[str], config: Config | None = None) -> int:
    """Run `command` under supervision until it ends for good; return its exit status.

    The status is as a shell shows it: 128 + n after signal n, 127 and 126 if the command
    cannot be executed.  Meanwhile all signals of the calling thread are blocked and read
    by rebound, and each child of the process is reaped by it: call it in the main thread
    of a process without other threads or children.  Being a subreaper stays (prctl(2)).

    Raises `ValueError` for a command that cannot be one, and `OSError` where the system
    refuses PR_SET_CHILD_SUBREAPER or PR_SET_PDEATHSIG.
    """
    inherited = linux.block_signals()
    try:
        return Supervisor(command, config or Config(), inherited, dict(os.environb)).run()
    finally:
        linux.restore_signals(inherited)


class Supervisor:
    """One command, its process, and the processes that rebound adopts meanwhile."""

    def __init__(
        self,
        command: Sequence[str],
        config: Config,
        inherited: linux.Inherited,
        environment: Mapping[bytes, bytes],
    ) -> None:
        if not command or isinstance(command, str) or any("\0" in word for word in command):
            raise ValueError("the command must be a list of words without NUL characters")
        self._config = config
        self._log = Log(config.verbosity)
        self._service = Service(command[0], config, RestartPolicy(config, _chance))
        self._spawner = spawn.Spawner(command, environment, inherited, config.in_own_group)
        ignored = inherited.ignored - {signals.SIGCHLD}  # see linux.stop_ignoring_children
        self._loop = Loop(ignored, lambda text: self._log.write("error", text))
        self._terminal = Terminal()
        self._job_control = config.in_own_group and self._terminal.exists
        self._own_pid = os.getpid()
        self._pid: int | None = None  # the command; None as soon as it is reaped
        self._pidfd: int | None = None
        self._pidfd_refused = False
        self._reap_due = False
        # Only what needs it pays for the second system call.
        self._look = self._before_reaping if config.kill_group else None
        self._asked: set[int] = set()
        self._killed: set[int] = set()
        self._mistakes = 0

    def run(self) -> int:
        """Supervise until nothing is left; all signals must be blocked.  Returns the status."""
        linux.become_subreaper()
        linux.stop_ignoring_children()
        if self._config.parent_death_signal:
            linux.set_parent_death_signal(self._config.parent_death_signal)
        turn = self._first_turn
        try:
            while self._service.state != service.ENDED:
                try:
                    turn()
                except Exception as error:
                    self._survive(error)
                turn = self._turn
        finally:
            self._loop.close()
            self._terminal.close()
            self._log.close()
        return self._service.exit_status

    def _first_turn(self) -> None:
        self._step(service.Begin())

    def _turn(self) -> None:
        """Wait once, and handle all that has happened."""
        deadline = self._service.deadline
        if self._reap_due:
            timeout: float | None = 0.0
        else:
            timeout = None if deadline is None else deadline - time.monotonic()
        received, ended = self._loop.wait(timeout)
        # Signals first: a stop that came together with a crash prevents the restart.
        for signal in received:
            self._take_signal(signal)
        if ended:
            self._reap_command()
        if self._reap_due:
            self._reap()
        # Ends before deadlines: what has ended in time is not killed for being late.
        deadline = self._service.deadline
        if deadline is not None and time.monotonic() >= deadline:
            self._step(service.DeadlinePassed())

    def _survive(self, error: Exception) -> None:
        """Go on after a mistake of ours: it must neither end PID 1 nor keep a CPU busy."""
        self._mistakes += 1
        self._log.write("error", f"internal error, going on: {error!r}")
        time.sleep(min(self._mistakes / 100, 1.0))

    # --- From the kernel to events --------------------------------------------------

    def _take_signal(self, signal: Signal) -> None:
        signo = signal.signo
        if signo == signals.SIGCHLD and signal.code > 0:  # CLD_*: from the kernel (sigaction(2))
            # Only a hint, since pending SIGCHLDs are merged: `_reap` asks for all that ended.
            self._reap_due = True
            if self._job_control:
                self._look_for_stop()
            return
        if signo in (signals.SIGPIPE, signals.SIGXFSZ) and signal.pid == self._own_pid:
            return  # our own log line found no reader or no room; blocked signals are queued
        by_terminal = signal.code == linux.SI_KERNEL and signo in _TERMINAL_SIGNALS
        delivered = by_terminal and self._command_got(signo)
        if signo == signals.SIGCONT and self._resume():
            return
        # A shell that is hung up passes SIGHUP on by kill(2); then the terminal is gone.
        hung_up = signo == signals.SIGHUP and (by_terminal or self._terminal.is_gone())
        if signo in _SHUTDOWN_SIGNALS or hung_up:
            self._step(service.StopRequested(signo, delivered))
        elif not delivered:
            self._step(service.SignalReceived(signo, signal.value))
        if by_terminal and signo in _STOP_SIGNALS:
            linux.suspend(signo)

    def _command_got(self, signo: int) -> bool:
        """Whether the command, too, was sent this signal by the terminal."""
        if self._pid is None or not linux.shares_our_group(self._pid):
            return False
        return signo != signals.SIGHUP or not linux.is_session_leader()

    def _reap_command(self) -> None:
        """Reap the command alone: with many children, to ask for any takes the kernel long."""
        if self._pid is None:
            return
        try:
            ended = reaper.reap(self._pid, self._look)
        except ChildProcessError:
            self._command_lost()
        else:
            if ended:
                self._command_ended(ended)

    def _reap(self) -> None:
        """Reap all that has ended, the command or whatever was adopted."""
        self._reap_due = False
        adopted_ended = none_left = False
        for _ in range(_REAP_BATCH):
            try:
                ended = reaper.reap(None, self._look)
            except ChildProcessError:
                none_left = True
                break
            if ended is None:
                break
            # The pid may be given to a new process now.
            self._asked.discard(ended.pid)
            self._killed.discard(ended.pid)
            if ended.pid == self._pid:
                # Signals are looked at before what it may have become is waited for.
                self._reap_due = True
                self._command_ended(ended)
                break
            adopted_ended = True
            self._log.write("debug", f"reaped adopted process (pid {ended.pid}), {ended.status}")
        else:
            self._reap_due = True
        if none_left:
            self._no_children()
        elif adopted_ended:
            self._step(service.ChildrenReaped())

    def _no_children(self) -> None:
        state = self._service.state
        if state in (service.DRAINING, service.KILLING):
            self._step(service.NoChildren())
        elif state in (service.RUNNING, service.STOPPING):
            self._command_lost()

    def _command_lost(self) -> None:
        # Another part of the process has waited for it: how it ended is not known.
        self._log.write("error", f"child (pid {self._pid}) was reaped by someone else")
        self._command_ended(service.Exited(self._pid or 0, ExitStatus(code=UNKNOWN)))

    def _before_reaping(self, pid: int, status: ExitStatus) -> None:
        if pid == self._pid and self._service.would_restart(status, time.monotonic()):
            linux.send(-pid, signals.SIGKILL)

    def _command_ended(self, ended: service.Exited) -> None:
        self._pid = None
        self._killed.discard(ended.pid)
        if self._pidfd is not None:
            # A pidfd stays readable after its process was reaped: the loop would spin.
            self._loop.close_watched(self._pidfd)
            self._pidfd = None
        self._terminal.take_back()
        self._step(ended)

    # --- From actions to the kernel -------------------------------------------------

    def _step(self, event: service.Event) -> None:
        next_event: service.Event | None = event
        while next_event is not None:
            actions = self._service.step(next_event, time.monotonic())
            next_event = None
            for action in actions:
                next_event = self._act(action) or next_event

    def _act(self, action: service.Action) -> service.Event | None:
        """Carry out one action; return the event that it led to at once, if any."""
        if isinstance(action, service.Log):
            self._log.write(action.level, action.text)
        elif isinstance(action, service.Start):
            return self._start()
        elif isinstance(action, service.SignalCommand):
            self._signal_command(action.signo, action.value)
        elif isinstance(action, service.AskAdopted):
            self._ask_adopted(action.signo)
        elif isinstance(action, service.SignalChildren):
            for pid in linux.children():
                self._send(pid, action.signo)
        elif isinstance(action, service.KillChildren):
            return self._kill_children()
        return None

    def _start(self) -> service.Event:
        try:
            pid = self._spawner.spawn()
        except OSError as error:
            text = error.strerror or str(error)
            if spawn.is_out_of_means(error):
                return service.ForkFailed(text)
            return service.ExecFailed(text, spawn.exec_failure(error))
        except Exception as error:  # MemoryError: each start must lead to an event
            return service.ForkFailed(repr(error))
        self._pid = pid
        if self._job_control:
            self._terminal.lend(pid)
        # vfork(2) has woken us in the middle of the command's exec, often on the same CPU.
        # Let it go on first: all that is left to do here can wait.
        os.sched_yield()
        self._watch(pid)
        return service.Started(pid)

    def _watch(self, pid: int) -> None:
        try:
            pidfd = linux.open_pidfd(pid)
        except OSError as error:
            if not self._pidfd_refused:
                self._log.write(
                    "info", f"pidfd_open: {error.strerror}, going on with SIGCHLD alone"
                )
                self._pidfd_refused = True
            return
        try:
            self._loop.watch(pidfd)
        except OSError:  # ENOMEM, ENOSPC (max_user_watches): SIGCHLD does
            os.close(pidfd)
            return
        self._pidfd = pidfd

    def _signal_command(self, signo: int, value: int | None) -> None:
        pid = self._pid
        if pid is None:
            return
        if self._config.signal_group:
            # A command that has left its group is still to be told.
            error = linux.send(-pid, signo) and linux.send(pid, signo)
        elif value is not None:
            error = linux.queue(pid, signo, value)
        else:
            error = linux.send(pid, signo)
        if error:
            self._log.write(
                "error",
                f"cannot send {signals.describe(signo)} to child (pid {pid}): {error.strerror}",
            )

    def _ask_adopted(self, signo: int) -> None:
        self._reap_due = True  # perhaps nothing is left: only wait(2) knows
        if not linux.has_proc():
            self._log.write("debug", "no /proc here, finding adopted processes by wait(2) alone")
        asked = linux.children(self._asked)
        for pid in asked:
            self._asked.add(pid)
            self._send(pid, signo)
        if asked:
            self._log.write(
                "info",
                f"asking adopted processes to stop with {signals.describe(signo)}: {_names(asked)}",
            )

    def _kill_children(self) -> service.Event | None:
        self._reap_due = True
        children = linux.children()
        refused = [pid for pid in children if linux.send(pid, signals.SIGKILL)]
        killed = [pid for pid in children if pid not in self._killed and pid not in refused]
        self._killed.update(killed)
        if killed:
            self._log.write("error", f"stop timeout is over, killing {_names(killed)}")
        if children and len(refused) == len(children):
            self._log.write("error", f"not permitted to kill, leaving {_names(refused)}")
            return service.NoneKillable()
        return None

    def _send(self, pid: int, signo: int) -> None:
        error = linux.send(pid, signo)
        # A stopped process acts on no signal but SIGKILL until it is continued.
        linux.send(pid, signals.SIGCONT)
        if error:
            self._log.write(
                "error",
                f"cannot send {signals.describe(signo)} to {linux.process_name(pid)}: "
                f"{error.strerror}",
            )

    # --- Job control, with the command in a group of its own ------------------------

    def _look_for_stop(self) -> None:
        """If ^Z stopped the command's group, stop too, and give the shell its terminal."""
        if self._pid is None:
            return
        stopped_by = reaper.stopped_by(self._pid)
        if stopped_by not in _STOP_SIGNALS:
            return
        if stopped_by != signals.SIGTSTP and self._terminal.is_lent():
            # It used the terminal in the moment before it was lent.
            linux.send(-self._pid, signals.SIGCONT)
            return
        self._terminal.take_back()
        linux.suspend(signals.SIGTSTP)
        # Continued by `fg`, or never stopped, as PID 1: the terminal is ours to lend again.
        # After `bg` it is not, and the SIGCONT that comes with it resumes the command.
        if self._terminal.is_ours():
            self._resume()

    def _resume(self) -> bool:
        """Continue the command's whole group, with the terminal if we have it."""
        if self._pid is None or not self._job_control:
            return False
        self._terminal.lend(self._pid)
        return linux.send(-self._pid, signals.SIGCONT) is None


def _chance() -> float:
    return os.urandom(1)[0] / 255


def _names(pids: list[int]) -> str:
    names = [linux.process_name(pid) for pid in pids[:_MOST_NAMES]]
    if len(pids) > _MOST_NAMES:
        names.append(f"and {len(pids) - _MOST_NAMES} more")
    return ", ".join(names)
