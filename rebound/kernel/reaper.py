"""The only caller of wait: which child ended, how, and with how much memory."""

from __future__ import annotations

import errno
import os
import resource  # noqa: F401  without it os.wait4 loses the child that it has just reaped

from rebound.core import signals
from rebound.core.events import Exited
from rebound.core.exitstatus import ExitStatus
from rebound.kernel import linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_REFUSED = (errno.EPERM, errno.EACCES, errno.ENOSYS)
"""The errors of a seccomp profile; wait itself returns none of them."""


def check() -> None:
    """Raise `OSError` if a seccomp profile refuses both wait4(2) and waitid(2)."""
    try:
        os.wait4(1, os.WNOHANG)  # PID 1 is nobody's child: this reaps none
    except ChildProcessError:
        pass
    except OSError as error:
        if not can_look():
            text = f"cannot wait for processes: {error.strerror}"
            raise OSError(error.errno, text) from None


def can_look() -> bool:
    """Return whether we can look at a zombie before we reap it: a seccomp profile may refuse."""
    try:
        os.waitid(os.P_PID, 1, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        pass
    except OSError:
        return False
    return True


def reap(
    pid: int | None = None, look: Callable[[int, ExitStatus], None] | None = None
) -> Exited | None:
    """Reap child `pid`, or any that has ended; return None if none has.

    `look` sees it before, while the zombie still keeps its pid, and the process group of
    that number, from being reused (waitid(2), WNOWAIT).  Raises `ChildProcessError` if
    there is no such child, alive or dead.
    """
    while True:
        found = _look(pid, look) if look else pid
        if found == 0:
            return None
        try:
            ended, status, usage = os.wait4(-1 if found is None else found, os.WNOHANG)
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
            return _reap_by_waitid(found)
        if not ended:
            return None
        if not os.WIFSTOPPED(status):
            return Exited(ended, ExitStatus.from_wait(status), usage.ru_maxrss)
        _let_go(ended, os.WSTOPSIG(status))


def _reap_by_waitid(pid: int | None) -> Exited | None:
    """Reap without wait4(2), which is refused; the memory that the child took is then unknown."""
    kind = os.P_ALL if pid is None else os.P_PID
    while found := os.waitid(kind, pid or 0, os.WEXITED | os.WNOHANG):
        if found.si_code == os.CLD_TRAPPED:
            _let_go(found.si_pid, found.si_status)
        elif found.si_code == os.CLD_EXITED:
            return Exited(found.si_pid, ExitStatus(code=found.si_status))
        else:
            dumped = found.si_code == os.CLD_DUMPED
            return Exited(found.si_pid, ExitStatus(0, found.si_status, dumped))
    return None


def _look(pid: int | None, look: Callable[[int, ExitStatus], None]) -> int:
    """Show `look` a zombie; return the pid to wait for, or 0."""
    kind = os.P_ALL if pid is None else os.P_PID
    found = os.waitid(kind, pid or 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if found is None:
        return 0
    status = found.si_status
    if found.si_code == os.CLD_EXITED:
        look(found.si_pid, ExitStatus(code=status))
    elif found.si_code != os.CLD_TRAPPED:
        look(found.si_pid, ExitStatus(signal=status))
    return found.si_pid


def _let_go(pid: int, signo: int) -> None:
    """Let go of a child that asked its parent to trace it (PTRACE_TRACEME of ptrace(2)).

    Each signal would stop it until its tracer lets it go on; and wait(2) reports that even
    unasked.  An exec stops it with SIGTRAP: passed on, that would kill it.
    """
    from rebound.kernel import libc

    libc.stop_tracing(pid, 0 if signo == signals.SIGTRAP else signo)


def discard(pid: int) -> None:
    """Kill a child and wait for it; nothing reports its end."""
    linux.send(pid, signals.SIGKILL)
    try:
        os.waitpid(pid, 0)
    except OSError:  # ECHILD; a seccomp profile refuses: if it is a zombie, `reap` finds it
        pass


def stopped_by(pid: int) -> int:
    """Return the signal that stopped child `pid` since the last call; 0 if none did."""
    try:
        stop = os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG)
    except OSError:  # ECHILD; a seccomp profile refuses
        return 0
    if stop and stop.si_code == os.CLD_TRAPPED:
        _let_go(stop.si_pid, stop.si_status)
        return 0
    return stop.si_status if stop else 0
