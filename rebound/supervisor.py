"""Joins the parts: what the kernel tells becomes events, actions become system calls.

A crash: the pidfd and the signalfd become readable, `_reap` waits for all that ended, the
service answers `Exited` with `Start`, `_start` spawns.  A stop: the signalfd gives SIGTERM,
the service answers `SignalCommand`; the command ends, `AskAdopted` asks what it left behind,
and with the last child (ECHILD) `run` returns.

What an option needs, and what the first start does not, is imported where it is used.
"""

from __future__ import annotations

import os
import time

from rebound.adopted import Adopted
from rebound.core import events, narrate, signals
from rebound.core.config import TERMINATION_LOG, Config, is_text
from rebound.core.dispatch import dispatch
from rebound.core.exitstatus import EXEC_FAILED, UNKNOWN, ExitStatus
from rebound.core.restart import STOP_SIGNALS, RestartPolicy
from rebound.core.service import Service
from rebound.core.states import ENDED
from rebound.kernel import linux, reaper, spawn
from rebound.kernel.log import Log
from rebound.kernel.loop import Loop
from rebound.kernel.terminal import Terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from rebound.control.runsocket import RunSocket
    from rebound.control.server import Control
    from rebound.core.watch import Watch
    from rebound.kernel.loop import Signal
    from rebound.parts.checker import Checker
    from rebound.parts.manager import Manager
    from rebound.parts.notifysocket import NotifySocket
    from rebound.parts.oomkills import OomKills

_JOB_CONTROL_SIGNALS = (signals.SIGTSTP, signals.SIGTTIN, signals.SIGTTOU)
_TERMINAL_SIGNALS = (
    *_JOB_CONTROL_SIGNALS,
    signals.SIGHUP,
    signals.SIGINT,
    signals.SIGQUIT,
    signals.SIGCONT,
    signals.SIGWINCH,
)

_MISTAKES_COUNT = 60.0
"""Seconds for which a mistake of ours makes the next one be waited for longer."""

_REAP_BATCH = 512
"""How many ends are handled before signals are looked at again."""

_GATHERING = 0.001
"""Seconds for which ends of adopted processes may gather when they come faster than that: to
wake up takes longer than to reap, and those that end wait for whoever reaps."""


def supervise(command: Sequence[str], config: Config | None = None) -> int:
    """Run `command` under supervision until it ends for good; return its exit status.

    The status is as a shell shows it: 128 + n after signal n, 127 and 126 if the command
    cannot be executed.  Call it in the main thread of a process without other threads and
    without children.  Meanwhile all signals are blocked and read by rebound, and it reaps
    each child of the process, the orphans that it adopts included, and stops them at the
    end.  The signal mask and the handler of SIGCHLD are then as before; being a subreaper
    and `parent_death_signal` stay (prctl(2)).

    Raises, before anything is started, `RuntimeError` when it is not the main thread that
    calls, or when there is another thread or a child; `ValueError` for a command that cannot
    be one; `TypeError` for a `config` that is none; and `OSError` where the system refuses
    PR_SET_CHILD_SUBREAPER or PR_SET_PDEATHSIG.
    """
    from rebound.kernel import caller

    if config is None:
        config = Config()
    if not isinstance(config, Config):
        raise TypeError(f"config must be a rebound.Config, not {config!r}")
    caller.require_alone()
    before = caller.Signals()
    try:
        inherited = linux.block_signals()
        return Supervisor(command, config, inherited, dict(os.environb)).run()
    finally:
        before.restore()


class Supervisor:
    """One command, its process, and the processes that rebound adopts meanwhile."""

    def __init__(
        self,
        command: Sequence[str],
        config: Config,
        inherited: linux.Inherited,
        environment: Mapping[bytes, bytes],
    ) -> None:
        if not command or isinstance(command, str) or not all(map(is_text, command)):
            raise ValueError("the command must be a list of words without NUL characters")
        if not command[0]:
            raise ValueError("the first word of the command must not be empty")
        self._config = config
        self._name = command[0]
        self._log = Log(config.verbosity, config.log_format, config.log_file)
        self._service = self._make_service()
        self._starter = spawn.Starter(inherited, self._say_no_posix_spawn)
        self._spawner = self._make_spawner(command)
        self._environment = dict(environment)  # changes with each run
        self._environment.pop(b"REBOUND_LAST_EXIT", None)
        self._environment.pop(b"", None)  # Python can read "=value", but not pass it on
        self._loop = Loop(self._say_error)
        # Ignored is what a shell sets for a job with &, or nohup: nobody's wish.  The command
        # gets it all the same, and goes on ignoring it unless it has a handler.
        unwanted = inherited.ignored - config.stop_signals
        self._stop_signals = (config.stop_signals | STOP_SIGNALS) - unwanted
        self._is_hang_up_heeded = signals.SIGHUP not in unwanted
        self._terminal = Terminal()
        self._job_control = config.in_own_group and self._terminal.exists
        self._adopted = Adopted(self._log)
        self._own_pid = os.getpid()
        self._pid: int | None = None  # the command; None as soon as it is reaped
        self._last_pid = 0  # the same, of the last run
        self._pidfd: int | None = None
        self._pidfd_refused = False
        self._kill_sent = False  # to the present run
        self._reap_due = False
        self._adopted_ended_at = 0.0
        # Only what needs it pays for the second system call.
        needs_look = config.kill_group or config.health_command
        self._look = self._before_reaping if needs_look else None
        if (needs_look or self._job_control) and not reaper.can_look():
            text = "waitid is refused: what a run leaves in its group is not killed, ^Z not seen"
            self._say_error(text)
            self._look = None
        self._mistakes = 0
        self._last_mistake = 0.0
        self._must_pause = False

        self._oom_kills: OomKills | None = None
        self._run_socket: RunSocket | None = None
        self._control: Control | None = None  # once somebody asks
        self._manager: Manager | None = None
        self._notify_socket: NotifySocket | None = None
        self._checker: Checker | None = None
        self._actions: dict[type[events.Action], Callable[[Any], events.Event | None]] = {
            events.Say: self._say,
            events.Start: self._start,
            events.SignalCommand: self._signal_command,
            events.AskAdopted: self._ask_adopted,
            events.SignalChildren: self._signal_children,
            events.KillChildren: self._kill_children,
        }
        self._add_options()

    def _make_service(self) -> Service:
        policy = RestartPolicy(self._config, _chance)
        watches: list[type[Watch]] = []
        if self._config.watchdog is not None:
            from rebound.core.watchdog import Watchdog

            watches.append(Watchdog)
        if self._config.health_command:
            from rebound.core.health import HealthChecks

            watches.append(HealthChecks)
        return Service(self._name, self._config, policy, watches)

    def _make_spawner(self, command: Sequence[str]) -> spawn.Spawner:
        own_group, score = self._config.in_own_group, self._config.oom_score_adj
        if score is None:
            return spawn.Spawner(command, self._starter, own_group=own_group)
        return spawn.ScoredSpawner(
            command, self._starter, own_group=own_group, oom_score_adj=score, say=self._say_error
        )

    def _add_options(self) -> None:
        """Load and add what was asked for beyond the plain supervision."""
        config = self._config
        if config.watchdog is not None:
            from rebound.parts.notifysocket import NotifySocket

            self._notify_socket = NotifySocket(
                config.run_directory, self._loop, self._log, self._step
            )
        if config.health_command:
            from rebound.parts.checker import Checker

            health_command = ["/bin/sh", "-c", config.health_command]
            spawner = spawn.Spawner(health_command, self._starter, own_group=True)
            self._checker = Checker(spawner, self._environment, self._loop, self._log, self._step)
            self._actions[events.CheckHealth] = self._checker.start
            self._actions[events.KillCheck] = self._checker.kill
        if config.notify:
            self._actions[events.TellManager] = self._tell_nobody
            self._find_manager()

    def run(self) -> int:
        """Supervise until nothing is left; all signals must be blocked.  Returns the status."""
        reaper.check()
        linux.become_subreaper()
        linux.stop_ignoring_children()
        if self._config.parent_death_signal:
            linux.set_parent_death_signal(self._config.parent_death_signal)
        turn = self._first_turn
        try:
            while self._service.state != ENDED:
                self._guard(turn)
                turn = self._turn
                if self._must_pause:
                    self._must_pause = False
                    linux.pause(min(self._mistakes / 100, 1.0))
            if self._service.exit_status and self._config.termination_log:
                self._leave_message()
        finally:
            self._close()
        return self._service.exit_status

    def _first_turn(self) -> None:
        self._step(events.Begin())
        # What follows can wait until the command has started.
        self._look_at_oom_kills()
        if self._config.run_directory:
            self._open_run_socket()
        if self._notify_socket:
            self._notify_socket.remove_leftovers()

    def _turn(self) -> None:
        """Wait once, and handle all that has happened."""
        deadline = self._service.deadline
        if self._reap_due:
            timeout: float | None = 0.0
        else:
            timeout = None if deadline is None else deadline - time.monotonic()
        received, ready = self._loop.wait(timeout)
        # Signals first: a stop that came together with a crash prevents the restart.
        for signal in received:
            self._guard(self._take_signal, signal)
        for handler in ready:
            self._guard(handler)
        if self._reap_due:
            self._guard(self._reap)
        # Ends before deadlines: what has ended in time is not killed for being late.
        deadline = self._service.deadline
        if deadline is not None and time.monotonic() >= deadline:
            self._step(events.DeadlinePassed())

    def _guard(self, call: Callable[..., None], *args: object) -> None:
        """Call it; what else is to be done in this turn is done whatever it raises."""
        try:
            call(*args)
        except Exception as error:
            self._survive(error)

    def _survive(self, error: Exception) -> None:
        """Go on after a mistake of ours: it must not end PID 1.

        The pause at the end of the turn is for one that comes again and again: it must not
        keep a CPU busy.
        """
        now = time.monotonic()
        self._mistakes = self._mistakes + 1 if now - self._last_mistake < _MISTAKES_COUNT else 1
        self._last_mistake = now
        self._must_pause = True
        try:
            self._log.write("error", "internal_error", f"internal error, going on: {error!r}")
        except Exception:  # noqa: S110  MemoryError: also to say so takes memory
            pass

    def _close(self) -> None:
        self._close_run_socket()
        if self._oom_kills:
            self._oom_kills.close()
        self._close_notify_socket()
        if self._manager:
            self._manager.close()
        self._loop.close()
        self._terminal.close()
        self._log.close()

    def _say_error(self, text: str) -> None:
        self._log.write("error", "error", text)

    def _say_no_posix_spawn(self, text: str) -> None:
        self._log.write("info", "no_posix_spawn", text)

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
        if signo == signals.SIGHUP and self._config.log_reopen and not by_terminal:
            self._log.reopen()
        if self._asks_to_stop(signo, by_terminal=by_terminal):
            self._step(events.StopRequested(signo, delivered))
        elif not delivered:
            self._step(events.SignalReceived(signo, signal.value))
        if by_terminal and signo in _JOB_CONTROL_SIGNALS:
            linux.suspend(signo)

    def _asks_to_stop(self, signo: int, *, by_terminal: bool) -> bool:
        # A shell that is hung up passes SIGHUP on by kill(2); then the terminal is gone.
        hung_up = signo == signals.SIGHUP and (by_terminal or self._terminal.is_gone())
        if hung_up and self._is_hang_up_heeded:
            return True
        if signo == signals.SIGWINCH and by_terminal:
            return False  # somebody has resized the window
        return signo in self._stop_signals

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
            elif self._pidfd is not None:
                # It has ended, but whoever traces it is to wait for it first (ptrace(2)); so
                # long the pidfd would keep the loop busy.  SIGCHLD tells when that is done.
                self._loop.close_watched(self._pidfd)
                self._pidfd = None

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
            self._adopted.forget(ended.pid)
            if ended.pid == self._pid:
                # Signals are looked at before what it may have become is waited for.
                self._reap_due = True
                self._command_ended(ended)
                break
            adopted_ended = True
            if self._checker and ended.pid == self._checker.pid:
                self._checker.ended(ended.status)
                continue
            if ended.status.signal == signals.SIGKILL and self._oom_kills:
                self._oom_kills.claim()
            if self._log.is_verbose:  # there may be thousands
                text = f"reaped adopted process (pid {ended.pid}), {ended.status}"
                fields = {"pid": ended.pid, "reason": ended.status.label}
                self._log.write("debug", "reaped", text, fields)
        else:
            self._reap_due = True
        if none_left:
            self._no_children()
        elif adopted_ended:
            self._step(events.ChildrenReaped())
            self._let_gather()

    def _let_gather(self) -> None:
        """When many adopted processes end, do not wake up for each."""
        if self._reap_due or self._service.is_draining:
            return  # who forks on and on is only stopped by whoever is faster
        if time.monotonic() - self._adopted_ended_at < _GATHERING:
            linux.pause(_GATHERING)
        self._adopted_ended_at = time.monotonic()

    def _no_children(self) -> None:
        if self._pid is None:
            self._step(events.NoChildren())
        else:
            self._command_lost()

    def _command_lost(self) -> None:
        # Another part of the process has waited for it: how it ended is not known.
        self._log.expect_half_a_line()
        text = f"child (pid {self._pid}) was reaped by someone else"
        self._log.write("error", "reaped_elsewhere", text, {"pid": self._pid})
        self._command_ended(events.Exited(self._pid or 0, ExitStatus(code=UNKNOWN)))

    def _before_reaping(self, pid: int, status: ExitStatus) -> None:
        if self._checker and pid == self._checker.pid:
            self._checker.kill()  # what it left in its group
        elif (
            pid == self._pid
            and self._config.kill_group
            and self._service.would_restart(status, time.monotonic())
        ):
            linux.send(-pid, signals.SIGKILL)

    def _command_ended(self, ended: events.Exited) -> None:
        self._pid = None
        self._adopted.forget(ended.pid)
        # The run has ended, whatever else fails.
        self._guard(self._leave_run)
        killed_by_others = ended.status.signal == signals.SIGKILL and not self._kill_sent
        if killed_by_others and self._oom_kills and self._oom_kills.have_grown():
            ended = events.Exited(ended.pid, ended.status, ended.max_rss, True)
        self._step(ended)

    def _leave_run(self) -> None:
        """Undo what `_attend` did."""
        self._log.expect_half_a_line()
        if self._pidfd is not None:
            # A pidfd stays readable after its process was reaped: the loop would spin.
            self._loop.close_watched(self._pidfd)
            self._pidfd = None
        self._close_notify_socket()
        self._terminal.take_back()

    def _look_at_oom_kills(self) -> None:
        try:
            from rebound.parts.oomkills import OomKills
        except (ImportError, OSError):  # even to load it takes a free descriptor
            return
        self._oom_kills = OomKills()

    # --- From actions to the kernel -------------------------------------------------

    def _step(self, event: events.Event) -> None:
        dispatch(event, self._decide, self._act, self._survive)

    def _decide(self, event: events.Event) -> list[events.Action]:
        return self._service.step(event, time.monotonic())

    def _act(self, action: events.Action) -> events.Event | None:
        """Carry out one action; return the event that it led to at once, if any."""
        return self._actions[type(action)](action)

    def _say(self, action: events.Say) -> None:
        level, event = narrate.KINDS[action.words]
        if not self._log.shows(level):
            return
        text, fields = action.words(*action.about)
        if action.words in narrate.WITH_ADOPTED:
            count, names = self._adopted.name(self._known_children())
            if count:
                text = f"{text}; still running: {names}"
                fields = {**fields, "count": count, "processes": names}
        self._log.write(level, event, text, fields)

    def _start(self, action: events.Start) -> events.Event:
        try:
            if self._notify_socket and self._config.watchdog:
                self._notify_socket.open(self._environment, self._config.watchdog)
        except Exception as error:
            # EMFILE, ENFILE, ENOMEM; a seccomp profile's EACCES; MemoryError.
            self._close_notify_socket()
            why = getattr(error, "strerror", None) or repr(error)
            return events.ForkFailed(f"no NOTIFY_SOCKET: {why}")
        event = self._spawn(action)
        if not isinstance(event, events.Started):
            # Without a run nobody reads it, and the loop would spin.
            self._close_notify_socket()
        return event

    def _spawn(self, action: events.Start) -> events.Event:
        try:
            self._environment[b"REBOUND_RESTARTS"] = b"%d" % action.restarts
            if action.last_exit:
                self._environment[b"REBOUND_LAST_EXIT"] = action.last_exit.encode()
            pid = self._spawner.spawn(self._environment)
        except OSError as error:
            text = error.strerror or str(error)
            if spawn.is_out_of_means(error):
                return events.ForkFailed(text)
            return events.ExecFailed(text, spawn.exec_failure(error))
        except ValueError as error:  # Python itself refuses a word or a variable, each time
            return events.ExecFailed(str(error), ExitStatus(code=EXEC_FAILED))
        except Exception as error:  # MemoryError: each start must lead to an event
            return events.ForkFailed(repr(error))
        self._pid = self._last_pid = pid
        self._kill_sent = False
        # The run has begun, whatever else fails.
        self._guard(self._attend, pid)
        return events.Started(pid)

    def _attend(self, pid: int) -> None:
        """Do all that a run needs besides its process."""
        if self._notify_socket:
            self._notify_socket.begin(pid)
        if self._job_control:
            self._terminal.lend(pid)
        # vfork(2) has woken us in the middle of the command's exec, often on the same CPU.
        # Let it go on first: all that is left to do here can wait.
        linux.yield_cpu()
        self._watch_command(pid)
        if self._oom_kills:
            self._oom_kills.mark()

    def _watch_command(self, pid: int) -> None:
        try:
            pidfd = linux.open_pidfd(pid)
        except OSError as error:
            if not self._pidfd_refused:
                text = f"pidfd_open: {error.strerror}, going on with SIGCHLD alone"
                self._log.write("info", "no_pidfd", text)
                self._pidfd_refused = True
            return
        try:
            self._loop.watch(pidfd, self._reap_command)
        except OSError:  # ENOMEM, ENOSPC (max_user_watches): SIGCHLD does
            linux.close(pidfd)
            return
        self._pidfd = pidfd

    def _signal_command(self, action: events.SignalCommand) -> events.Event | None:
        pid, signo = self._pid, action.signo
        if pid is None:
            return None
        self._kill_sent |= signo == signals.SIGKILL
        if self._config.signal_group:
            # A command that has left its group is still to be told.
            error = linux.send(-pid, signo) and linux.send(pid, signo)
        elif action.value is not None:
            error = linux.queue(pid, signo, action.value)
        else:
            error = linux.send(pid, signo)
        if error:
            text = f"cannot send {signals.describe(signo)} to child (pid {pid}): {error.strerror}"
            fields = {"signal": signals.name(signo), "pid": pid, "error": error.strerror}
            self._log.write("error", "signal_failed", text, fields)
            # SIGCONT follows another one, which is what counts.
            if isinstance(error, PermissionError) and signo != signals.SIGCONT:
                return events.SignalRefused()
        return None

    def _ask_adopted(self, action: events.AskAdopted) -> events.Event | None:
        self._reap_due = True  # perhaps those that are left have ended: only wait(2) knows
        spares = action.spare_filters and linux.has_proc()  # without, to ask again takes long
        spared = linux.sessions_of_command(self._last_pid) if spares else ()
        answer = self._adopted.ask(action.signo, spared, self._known_children())
        if isinstance(answer, events.NoChildren):
            self._reap_due = False
        return answer

    def _signal_children(self, action: events.SignalChildren) -> None:
        self._adopted.pass_on(action.signo)

    def _kill_children(self, action: events.KillChildren) -> events.Event | None:
        self._reap_due = self._kill_sent = True
        killed = self._adopted.kill(self._known_children(), action.why)
        return None if killed else events.NoneKillable()

    def _known_children(self) -> list[int]:
        """List the children that were started here, not adopted."""
        checking = self._checker.pid if self._checker else 0
        return [pid for pid in (self._pid, checking) if pid]

    # --- Job control, with the command in a group of its own ------------------------

    def _look_for_stop(self) -> None:
        """If ^Z stopped the command's group, stop too, and give the shell its terminal."""
        if self._pid is None:
            return
        stopped_by = reaper.stopped_by(self._pid)
        if stopped_by not in _JOB_CONTROL_SIGNALS:
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

    def _close_notify_socket(self) -> None:
        if self._notify_socket:
            self._notify_socket.close()

    # --- Status and control ---------------------------------------------------------

    def _open_run_socket(self) -> None:
        directory = self._config.run_directory
        try:
            from rebound.control.runsocket import RunSocket

            self._run_socket = RunSocket(directory)
            self._loop.watch(self._run_socket.fd, self._serve)
        except (ImportError, OSError) as error:
            # A read-only root, another user's directory, no descriptor left.
            why = getattr(error, "strerror", None) or error
            text = f"no socket for --status in {directory}: {why}"
            self._log.write("debug", "no_control", text)

    def _serve(self) -> None:
        """Take the clients that wait at the socket, or close it: the loop must not spin."""
        if not self._run_socket:
            return
        try:
            if self._control is None:
                from rebound.control import status  # noqa: F401  while there is a descriptor for it
                from rebound.control.server import Control

                fd = self._run_socket.fd
                self._control = Control(fd, self._loop, self._describe, self._step)
                self._actions[events.RestartAnswered] = self._control.answer_restart
            served = self._control.accept()
        except (ImportError, OSError):  # not even a descriptor to load it
            served = False
        if not served:
            self._log.write("error", "no_control", "no descriptor left, --status ends here")
            self._close_run_socket()

    def _close_run_socket(self) -> None:
        if self._control:
            self._control.close()
            self._control = None
        if self._run_socket:
            # The spare descriptor of `control` is one of the same socket.
            self._loop.ignore(self._run_socket.fd)
            self._run_socket.close()
            self._run_socket = None

    def _describe(self) -> dict[str, object]:
        from rebound.control import status

        adopted = len(linux.children(self._known_children()))
        return status.describe(self._service, self._name, self._own_pid, self._pid, adopted)

    def _leave_message(self) -> None:
        path = self._config.termination_log
        if path == TERMINATION_LOG and not os.path.exists(path):
            return  # as mostly, outside of Kubernetes: what would write need not be loaded
        try:
            from rebound.parts import termination

            termination.write_message(path, self._service.explain_end(time.monotonic()))
        except (ImportError, OSError) as error:
            why = getattr(error, "strerror", None) or error
            text = f"no termination message in {path}: {why}"
            self._log.write("debug", "no_termination_message", text)

    def _find_manager(self) -> None:
        from rebound.parts.manager import Manager

        address = self._environment.get(b"NOTIFY_SOCKET")
        if not address:
            return  # as for sd_notify(3), that is no error: nobody wants to know
        try:
            self._manager = Manager(address, self._loop, self._log)
        except OSError as error:
            self._say_error(f"no service manager at $NOTIFY_SOCKET: {error.strerror or error}")
        else:
            self._actions[events.TellManager] = self._manager.tell

    def _tell_nobody(self, _action: events.TellManager) -> None:
        pass


def _chance() -> float:
    try:
        return os.urandom(1)[0] / 255
    except (OSError, NotImplementedError):  # neither getrandom(2) nor /dev/urandom
        return 0.0
