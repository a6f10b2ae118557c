"""How a process ended: a value, its shell status, and its words for people."""

from __future__ import annotations

from rebound.core import signals
from rebound.core.record import Record

EXEC_FAILED = 126
"""The command was found but could not be executed (POSIX shells, env(1), docker run)."""

NOT_FOUND = 127
"""The command was not found (POSIX shells, env(1), docker run)."""

OWN_ERROR = 125
"""rebound itself failed, before it could start anything (env(1), timeout(1), docker run)."""


HUNG = "hung"
UNHEALTHY = "unhealthy"
REQUESTED = "requested"
"""Why rebound itself ended a run, so that the status is but the answer to its signal."""

_LABELS = (HUNG, UNHEALTHY)

UNKNOWN = 255
"""Stands for the status of a command that somebody else has waited for: a failure."""


class ExitStatus(Record):
    """Either exited with `code` (0 to 255) or, if `signal` is not 0, killed by that signal."""

    code: int = 0
    signal: int = 0
    core_dumped: bool = False

    @classmethod
    def from_wait(cls, status: int) -> ExitStatus:
        """Decode the status word of wait(2), for a process that has ended."""
        return cls(status >> 8 & 0xFF, status & 0x7F, bool(status & 0x80))

    @property
    def is_zero(self) -> bool:
        """Whether it is exit status 0."""
        return not (self.code or self.signal)

    @property
    def shell_status(self) -> int:
        """What a shell shows as `$?`: the code, or 128 + the signal's number."""
        return 128 + self.signal if self.signal else self.code

    @property
    def label(self) -> str:
        """One word for programs, as in REBOUND_LAST_EXIT: `exit:1` or `signal:SIGSEGV`."""
        return f"signal:{signals.name(self.signal)}" if self.signal else f"exit:{self.code}"

    def __str__(self) -> str:
        if not self.signal:
            return f"exited with status {self.code}"
        core = ", core dumped" if self.core_dumped else ""
        return f"killed by {signals.describe(self.signal)}{core}"


class End(Record):
    """How a run, or the attempt to start one, has ended."""

    status: ExitStatus
    cause: str = ""
    """Why rebound itself has told it to end: HUNG, UNHEALTHY, REQUESTED of `restart`, or empty."""
    out_of_memory: bool = False
    error: str = ""
    """Why it could not be executed; empty if it was."""

    @property
    def label(self) -> str:
        """One word, as in REBOUND_LAST_EXIT: `exit:1`, `signal:SIGSEGV`, `oom`, `hung`."""
        if self.cause in _LABELS:
            return self.cause
        return "oom" if self.out_of_memory else self.status.label


class StatusSet(Record):
    """A list of statuses as in `-n 78,SIGQUIT`.

    A number stands for that shell status, so 143 is both `exit 143` and killed by
    SIGTERM (the meaning of tini's -e); a signal's name only for being killed by it.
    """

    codes: frozenset[int] = frozenset()
    signals: frozenset[int] = frozenset()

    def __contains__(self, status: ExitStatus) -> bool:
        """Whether a process that ended so is in the list."""
        return status.shell_status in self.codes or status.signal in self.signals

    def union(self, other: StatusSet) -> StatusSet:
        """Give the set of what either of the two holds."""
        return StatusSet(self.codes | other.codes, self.signals | other.signals)
