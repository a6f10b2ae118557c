"""`--max-memory`: the kernel holds the limit where it can be had, else rebound looks."""

from __future__ import annotations

import errno

from rebound.core import watchevents
from rebound.core.part import Part
from rebound.kernel import cgroup, memory
from rebound.kernel.leaves import Leaves

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rebound.core.size import MemorySize
    from rebound.kernel.log import Log
    from rebound.kernel.spawn import Spawner

_PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR)
"""Errors of a lack that may soon be over: the next look tries again."""


class MemoryLimit(Part):
    """Looks at the run's memory when asked to; or has the command start in a cgroup of its own."""

    def __init__(self, size: MemorySize, spawner: Spawner, log: Log) -> None:
        self._size = size
        self._spawner = spawner
        self._run = 0  # the pid of the run; 0 for none
        self._log = log
        self._limit = 0  # bytes; 0 before the first run
        self._leaves: Leaves | None = None
        self.actions = {watchevents.ReadMemory: self.look}

    def prepare(self, environment: dict[bytes, bytes]) -> None:  # noqa: ARG002  as Part has it
        """Make the cgroups, once; read anew what a percentage is of."""
        before = self._limit
        if not before or self._size.percent:
            self._limit = self._size.of(cgroup.memory_limit())
        if not before:
            self._divide()
        elif self._limit != before:
            self._try(lambda leaves: leaves.set_limit(self._limit))

    def _divide(self) -> None:
        try:
            self._leaves = Leaves(self._limit)
        except OSError as error:
            self._fall_back(error)
            return
        self._spawner.join(self._leaves.procs, self._fall_back)
        text = f"the kernel holds the command to {self._limit} bytes in {self._leaves.command}"
        self._log.write("debug", "memory_limit", text, {"limit": self._limit, "by": "kernel"})

    def look(self, _action: watchevents.ReadMemory) -> watchevents.MemoryRead | None:
        """Read the memory of the run, or move those whom it has left to us out of its cgroup."""
        pid = self._run
        if not pid:
            return None
        if self._leaves:
            self._try(lambda leaves: leaves.move_adopted(pid))
            return None
        return watchevents.MemoryRead(memory.resident(pid), self._limit)

    def began(self, pid: int) -> None:
        """Take note of the run."""
        self._run = pid

    def gone(self) -> None:
        """Move out those that the run has left behind, before the next one begins."""
        self._run = 0
        self._try(lambda leaves: leaves.move_left_over())

    def close(self) -> None:
        """Put the cgroups back as they were."""
        if self._leaves:
            self._leaves.close()
            self._leaves = None

    def _try(self, call: Callable[[Leaves], None]) -> None:
        if not self._leaves:
            return
        try:
            call(self._leaves)
        except OSError as error:
            if error.errno not in _PASSING:
                self._fall_back(error)

    def _fall_back(self, error: OSError) -> None:
        """Go on by looking: the kernel cannot hold the limit, or not any more."""
        self.close()
        self._spawner.join(-1)
        why = error.strerror or str(error)
        text = f"--max-memory: looking once a second, as the command gets no cgroup: {why}"
        self._log.write("info", "memory_limit", text, {"limit": self._limit, "by": "looks"})
