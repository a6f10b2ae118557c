"""The process of the health check: one at a time, in a group of its own."""

from __future__ import annotations

import os

from rebound.core import events, signals, watchevents
from rebound.core.part import Part
from rebound.kernel import linux, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from rebound.core.events import Exited
    from rebound.core.exitstatus import ExitStatus
    from rebound.kernel.log import Log
    from rebound.kernel.loop import Loop

    class Check(Protocol):
        """How a check is run."""

        def start(self, environment: Mapping[bytes, bytes], output: int, /) -> int:
            """Start it as a child, return its pid; it writes to `output` (-1: nowhere).

            Raises `OSError`.
            """
            ...

        def could_run(self, status: ExitStatus, /) -> bool:
            """Return whether a check with this exit status could find out anything."""
            ...


_LONGEST_OUTPUT = 4096
"""Bytes of the output that are kept, as in Docker; the rest is read and thrown away."""

_PIPE_SIZE = 65536


class ShellCheck:
    """A check by a shell command, in a process group of its own."""

    def __init__(self, command: str, starter: spawn.Starter) -> None:
        self._spawner = spawn.Spawner(["/bin/sh", "-c", command], starter, own_group=True)

    def start(self, environment: Mapping[bytes, bytes], output: int) -> int:
        """Start it.  Raises `OSError`."""
        actions: spawn.FileActions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0)]
        actions = [*actions, *((os.POSIX_SPAWN_DUP2, max(output, 0), fd) for fd in (1, 2))]
        return self._spawner.spawn(environment, file_actions=actions)

    def could_run(self, status: ExitStatus) -> bool:  # noqa: ARG002  as Check has it
        """Return True: in Docker a command that cannot run counts as one that fails, too."""
        return True


class Checker(Part):
    """Starts the health check.  With -v its output is logged, else most goes to /dev/null."""

    needs_waitid = True

    def __init__(
        self,
        check: Check,
        environment: Mapping[bytes, bytes],
        loop: Loop,
        log: Log,
        step: Callable[[events.Event], None],
    ) -> None:
        self._check = check
        self._environment = environment
        self._loop = loop
        self._log = log
        self._step = step
        self._reader = -1
        self._output = b""
        self.pid = 0
        self.actions = {watchevents.CheckHealth: self.start, watchevents.KillCheck: self.kill}

    def start(self, action: watchevents.CheckHealth) -> events.Event | None:
        """Start the health check."""
        is_output_wanted = self._log.is_verbose or action.wants_output
        writer = self._open_pipe() if is_output_wanted else -1
        try:
            self.pid = self._check.start(self._environment, writer)
        except OSError as error:
            self._close_pipe()
            return watchevents.HealthUnknown(error.strerror or str(error))
        finally:
            if writer >= 0:
                linux.close(writer)
        return None

    def kill(self, _action: watchevents.KillCheck | None = None) -> None:
        """Kill the health check, and what is left of its group."""
        if self.pid:
            linux.send(-self.pid, signals.SIGKILL)
            linux.send(self.pid, signals.SIGKILL)

    def dying(self, pid: int, status: ExitStatus) -> None:  # noqa: ARG002  as Part has it
        """Kill what the check left in its group, while no other group can have that number."""
        if pid == self.pid:
            self.kill()

    def reaped(self, ended: Exited) -> bool:
        """Take the result, if it was the check."""
        if ended.pid != self.pid:
            return False
        self._ended(ended.status)
        return True

    def _ended(self, status: ExitStatus) -> None:
        self.pid = 0
        if self._reader >= 0:
            self._read()
            self._close_pipe()
        output, self._output = self._output.decode(errors="replace").strip(), b""
        if output:
            text = f"health check: {output}"
            self._log.write("debug", "health_output", text, {"output": output})
        self._step(watchevents.HealthChecked(status, output, self._check.could_run(status)))

    def _open_pipe(self) -> int:
        try:
            self._reader, writer = os.pipe()
        except OSError:  # EMFILE, ENFILE: the check is more important than its words
            return -1
        try:
            # Only our end gets O_NONBLOCK: the other end stays blocking.
            os.set_blocking(self._reader, False)
            self._loop.watch(self._reader, self._read)
        except OSError:  # ENOMEM, ENOSPC
            linux.close(writer)
            self._close_pipe()
            return -1
        return writer

    def _close_pipe(self) -> None:
        if self._reader >= 0:
            self._loop.close_watched(self._reader)
            self._reader = -1

    def _read(self) -> None:
        try:
            data = os.read(self._reader, _PIPE_SIZE)
        except BlockingIOError:
            return
        except OSError:  # EIO, ENOMEM: the check is more important than its words
            data = b""
        if data:
            self._output = (self._output + data)[:_LONGEST_OUTPUT]
        else:
            self._close_pipe()  # at its end a pipe stays readable
