"""The meaning of a signal that rebound itself receives."""

from __future__ import annotations

from rebound.core import signals
from rebound.core.events import Event, SignalReceived, StopRequested
from rebound.core.restart import STOP_SIGNALS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

JOB_CONTROL_SIGNALS = (signals.SIGTSTP, signals.SIGTTIN, signals.SIGTTOU)
"""Signals that by default stop a process."""

_OF_TERMINALS = (
    *JOB_CONTROL_SIGNALS,
    signals.SIGHUP,
    signals.SIGINT,
    signals.SIGQUIT,
    signals.SIGCONT,
    signals.SIGWINCH,
)


class Incoming:
    """Tells stops from other signals.

    A signal that was ignored at the start is no stop, unless --stop-signal names it.  A shell
    ignores some for a job with &, and so does nohup, without anybody's wish.  Such a signal is
    forwarded, and the command goes on ignoring it unless it has a handler.
    """

    def __init__(self, named: AbstractSet[int], ignored: AbstractSet[int]) -> None:
        unwanted = ignored - named
        self._stops = (named | STOP_SIGNALS) - unwanted
        self._is_hang_up_heeded = signals.SIGHUP not in unwanted

    @staticmethod
    def may_be_of_terminal(signo: int) -> bool:
        """Return whether a signal that the kernel sent may come from a terminal."""
        return signo in _OF_TERMINALS

    def event_of(
        self, signo: int, value: int | None, *, by_terminal: bool, hung_up: bool, delivered: bool
    ) -> Event | None:
        """Return the event for a signal; None if the command has it already.

        `value` comes from sigqueue(3).  `by_terminal`: a key, or a change of the terminal, sent it.
        `hung_up`: the terminal is gone.  `delivered`: the terminal has sent it to the command, too.
        """
        # The size of a window changes with SIGWINCH, too.
        if signo in self._stops and not (by_terminal and signo == signals.SIGWINCH):
            return StopRequested(signo, delivered)
        if hung_up and self._is_hang_up_heeded:
            return StopRequested(signo, delivered)
        return None if delivered else SignalReceived(signo, value)
