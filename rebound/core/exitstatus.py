"""How a process ended: its exit status or signal, as a value and as text."""

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
MEMORY = "memory"
REQUESTED = "requested"
MAX_RUNTIME = "max-runtime"
"""Why rebound itself ended a run: the exit status only answers rebound's signal."""

ON_PURPOSE = (REQUESTED, MAX_RUNTIME)
"""Causes that say nothing against the run: it is no failure, and a new one begins at once."""

_LABELS = (HUNG, UNHEALTHY, MEMORY)

REASONS: tuple[str, ...] = ("exit", "signal", "oom", HUNG, UNHEALTHY, MEMORY, REQUESTED)
"""The kinds of ends that are counted."""

UNKNOWN = 255
"""The exit status assumed for a command that somebody else has waited for: a failure."""


class ExitStatus(Record):
    """Exited with `code` (0 to 255), or, if `signal` is not 0, killed by that signal."""

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
        """The status that a shell shows as `$?`: the code, or 128 + the signal's number."""
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
    """How a run, or the attempt to start one, ended."""

    status: ExitStatus
    cause: str = ""
    """Why rebound itself has told it to end: HUNG, UNHEALTHY, MEMORY or REQUESTED; else empty."""
    out_of_memory: bool = False
    error: str = ""
    """Why it could not be executed; empty if it could."""

    @property
    def label(self) -> str:
        """One word, as in REBOUND_LAST_EXIT: `exit:1`, `signal:SIGSEGV`, `oom`, `memory`."""
        if self.cause in _LABELS:
            return self.cause
        return "oom" if self.out_of_memory else self.status.label

    @property
    def reason(self) -> str:
        """What kind of end it was: one of REASONS.  An end on purpose is a requested one."""
        if self.cause:
            return self.cause if self.cause in REASONS else REQUESTED
        if self.out_of_memory:
            return "oom"
        return "signal" if self.status.signal else "exit"


class StatusSet(Record):
    """A list of statuses as in `-n 78,SIGQUIT`.

    A number stands for that shell status: 143 is both `exit 143` and killed by SIGTERM, as
    with tini's -e.  A signal's name stands only for killed by that signal.
    """

    codes: frozenset[int] = frozenset()
    signals: frozenset[int] = frozenset()

    def __contains__(self, status: ExitStatus) -> bool:
        """Return whether the list holds this status."""
        return status.shell_status in self.codes or status.signal in self.signals

    def rank(self, status: ExitStatus) -> int:
        """Return 2 if the list names this signal, 1 if it has this number, which is less special.

        0 if it does not hold this status.
        """
        return 2 if status.signal in self.signals else int(status.shell_status in self.codes)

    def overlap(self, other: StatusSet) -> str:
        """Return what both lists hold, in words; empty if that is nothing."""
        codes = map(str, sorted(self.codes & other.codes))
        return ", ".join((*codes, *map(signals.name, sorted(self.signals & other.signals))))

    def union(self, other: StatusSet) -> StatusSet:
        """Return the set of all that either of the two holds."""
        return StatusSet(self.codes | other.codes, self.signals | other.signals)
