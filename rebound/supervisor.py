"""One turn after the other: turns the kernel's reports into events, carries out actions.

A crash: the pidfd and the signalfd become readable, `Children` reaps and steps `Exited`, the
service answers with `Start`, `Command` spawns.  A stop: the signalfd gives SIGTERM, the
service answers `SignalCommand`; the command ends, `AskAdopted` asks what it left behind,
and with the last child (ECHILD) `run` returns.
"""

from __future__ import annotations

import os
import time

from rebound import command
from rebound.children import Children
from rebound.core import events, narrate, signals
from rebound.core.config import TERMINATION_LOG, Config, is_text
from rebound.core.dispatch import dispatch
from rebound.core.incoming import JOB_CONTROL_SIGNALS, Incoming
from rebound.core.restart import RestartPolicy
from rebound.core.service import Service
from rebound.core.states import ENDED
from rebound.kernel import linux, reaper, spawn
from rebound.kernel.log import Log
from rebound.kernel.loop import Loop
from rebound.kernel.terminal import Terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from rebound import assembly
    from rebound.core.part import Part
    from rebound.core.watch import MakeWatch
    from rebound.kernel.loop import Signal

_MISTAKES_COUNT = 60.0
"""Seconds.  If a mistake of ours follows another one this soon, the pause after it is longer."""


class Supervisor:
    """Joins the service with the command, the adopted processes, and the parts."""

    def __init__(
        self,
        words: Sequence[str],
        config: Config,
        inherited: linux.Inherited,
        environment: Mapping[bytes, bytes],
    ) -> None:
        if not words or isinstance(words, str) or not all(map(is_text, words)):
            raise ValueError("the command must be a list of words without NUL characters")
        if not words[0]:
            raise ValueError("the first word of the command must not be empty")
        self._config = config
        self._log = Log(config.verbosity, config.log_format, config.log_file)
        self._shown = narrate.words_at(self._log.shows)
        self._loop = Loop(self._say_error)
        self._terminal = Terminal()
        self._incoming = Incoming(config.stop_signals, inherited.ignored)
        self._own_pid = os.getpid()
        self._mistakes = 0
        self._last_mistake = 0.0
        self._must_pause = False

        # LISTEN_PID: perhaps somebody has handed us sockets.
        is_plain = config.is_plain and b"LISTEN_PID" not in environment
        watches: list[MakeWatch] = []
        if not is_plain:
            from rebound import assembly

            watches = assembly.watches(config)
        policy = RestartPolicy(config, linux.chance)
        self._service = Service(words[0], config, policy, watches)
        self._parts: list[Part] = []
        starter = spawn.Starter(inherited, self._say_no_posix_spawn)
        spawner = command.make_spawner(words, starter, config, self._say_error)
        variables = command.variables_of(environment)
        self._command = command.Command(spawner, variables, self._log, self._loop, self._parts)
        self._command.signal_group = config.signal_group
        self._children = Children(self._command, self._parts, self._log, self._step)
        self._command.exited = self._children.reap_command
        self._command.guard = self._guard

        self._actions: dict[type[events.Action], Callable[[Any], events.Event | None]] = {
            events.Say: self._say,
            events.Start: self._command.start,
            events.SignalCommand: self._command.signal,
            events.AskAdopted: self._children.ask_adopted,
            events.SignalChildren: self._children.signal,
            events.KillChildren: self._children.kill,
            events.ReleaseDescriptors: self._release_descriptors,
            events.TellManager: lambda _action: None,  # unless there is one
        }
        self._starter = starter
        self._variables = variables
        if not is_plain:
            from rebound import assembly

            try:
                self._add(assembly.before_the_first_start(self._context()))
            except BaseException:
                self._close()
                raise
            self._look_before_reaping()

    def _context(self) -> assembly.Context:
        from rebound import assembly

        return assembly.Context(
            self._config,
            self._variables,
            self._log,
            self._loop,
            self._starter,
            self._terminal,
            self._service,
            self._command,
            self._children,
            self._parts,
            self._step,
        )

    def _add(self, parts: Iterable[Part]) -> None:
        for part in parts:
            self._parts.append(part)
            self._actions.update(part.actions)

    def _look_before_reaping(self) -> None:
        if not any(part.needs_waitid for part in self._parts):
            return
        if reaper.can_look():
            self._children.look_before_reaping()
        else:
            text = "waitid is refused: what a run leaves in its group is not killed, ^Z not seen"
            self._say_error(text)

    # --- Turns --------------------------------------------------------------------------

    def run(self) -> int:
        """Supervise until nothing is left; return the exit status.  All signals must be blocked."""
        turn = self._first_turn
        try:
            self._prepare()
            while self._service.state != ENDED:
                self._guard(turn)
                turn = self._turn
                if self._must_pause:
                    self._must_pause = False
                    linux.pause(min(self._mistakes / 100, 1.0))
            if self._service.exit_status:
                self._guard(self._leave_message)
        finally:
            self._close()
        return self._service.exit_status

    def _prepare(self) -> None:
        reaper.check()
        linux.become_subreaper()
        linux.stop_ignoring_children()
        if self._config.parent_death_signal:
            linux.set_parent_death_signal(self._config.parent_death_signal)

    def _first_turn(self) -> None:
        self._step(events.Begin())
        # The rest can wait until the command has started.
        try:
            from rebound import assembly
        except (ImportError, OSError) as error:  # even loading it takes a free descriptor
            self._log.write("debug", "no_control", f"no socket for --status: {error}")
            return
        self._add(assembly.after_the_first_start(self._context()))
        for part in self._parts:
            self._guard(part.started)

    def _turn(self) -> None:
        """Wait once, and handle everything that has happened."""
        deadline = self._service.deadline
        if self._children.is_reaping_due:
            timeout: float | None = 0.0
        else:
            timeout = None if deadline is None else deadline - time.monotonic()
        received, ready = self._loop.wait(timeout)
        # Signals first: a stop that came together with a crash prevents the restart.
        for signal in received:
            self._guard(self._take_signal, signal)
        for handler in ready:
            self._guard(handler)
        if self._children.is_reaping_due:
            self._guard(self._reap)
        # Ends before deadlines: a process that ended in time is not killed as late.
        deadline = self._service.deadline
        if deadline is not None and time.monotonic() >= deadline:
            self._step(events.DeadlinePassed())

    def _reap(self) -> None:
        # No pause in the drain: only a faster reaper stops a process that forks on and on.
        self._children.reap(may_pause=not self._service.is_draining)

    def _guard(self, call: Callable[..., None], *args: object) -> None:
        """Call it; whatever it raises, the rest of this turn goes on."""
        try:
            call(*args)
        except Exception as error:
            self._survive(error)

    def _survive(self, error: Exception) -> None:
        """Go on after a mistake of ours: it must not end PID 1.

        A mistake that comes again and again must not keep a CPU busy: so the turn ends with a
        pause.
        """
        now = time.monotonic()
        self._mistakes = self._mistakes + 1 if now - self._last_mistake < _MISTAKES_COUNT else 1
        self._last_mistake = now
        self._must_pause = True
        try:
            self._log.write("error", "internal_error", f"internal error, going on: {error!r}")
        except Exception:  # noqa: S110  MemoryError: a log line takes memory, too
            pass

    def _leave_message(self) -> None:
        path = self._config.termination_log
        if path and (path != TERMINATION_LOG or os.path.exists(path)):  # mostly it does not exist
            from rebound import assembly

            assembly.leave_message(path, self._service.explain_end(time.monotonic()), self._log)

    def _close(self) -> None:
        for part in self._parts:
            self._guard(part.close)
        self._loop.close()
        self._terminal.close()
        self._log.close()

    # --- Signals become events ------------------------------------------------------------

    def _take_signal(self, signal: Signal) -> None:
        signo = signal.signo
        if signo == signals.SIGCHLD and signal.code > 0:  # CLD_*: from the kernel (sigaction(2))
            # Only a hint, as the kernel merges pending SIGCHLDs: ask for every child that ended.
            self._children.is_reaping_due = True
            for part in self._parts:
                part.child_changed()
            return
        if signo in (signals.SIGPIPE, signals.SIGXFSZ) and signal.pid == self._own_pid:
            return  # our own log line found no reader or no room; as it is blocked, it came here
        if signo == signals.SIGCONT and any(part.continued() for part in self._parts):
            return
        by_terminal = signal.code == linux.SI_KERNEL and self._incoming.may_be_of_terminal(signo)
        if signo == signals.SIGHUP and self._config.log_reopen and not by_terminal:
            self._log.reopen()
        event = self._incoming.event_of(
            signo,
            signal.value,
            by_terminal=by_terminal,
            # After a hang-up a shell passes SIGHUP on by kill(2); then the terminal is gone.
            hung_up=signo == signals.SIGHUP and (by_terminal or self._terminal.is_gone()),
            delivered=by_terminal and self._command.got_from_terminal(signo),
        )
        if event:
            self._step(event)
        if by_terminal and signo in JOB_CONTROL_SIGNALS:
            linux.suspend(signo)

    # --- Events become actions, actions are carried out -----------------------------------

    def _step(self, event: events.Event) -> None:
        dispatch(event, self._decide, self._act, self._survive)

    def _decide(self, event: events.Event) -> list[events.Action]:
        return self._service.step(event, time.monotonic())

    def _act(self, action: events.Action) -> events.Event | None:
        """Carry out one action; return its answer if that is known at once."""
        return self._actions[type(action)](action)

    def _say(self, action: events.Say) -> None:
        if action.words not in self._shown:
            return
        level, event = narrate.KINDS[action.words]
        text, fields = action.words(*action.about)
        if action.words in narrate.WITH_ADOPTED:
            count, names = self._children.name_adopted()
            if count:
                text = f"{text}; still running: {names}"
                fields = {**fields, "count": count, "processes": names}
        self._log.write(level, event, text, fields)

    def _release_descriptors(self, _action: events.ReleaseDescriptors) -> None:
        for part in self._parts:
            self._guard(part.stopping)

    def _say_error(self, text: str) -> None:
        self._log.write("error", "error", text)

    def _say_no_posix_spawn(self, text: str) -> None:
        self._log.write("info", "no_posix_spawn", text)
