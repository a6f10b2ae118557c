"""The only caller of wait: who ended, how, and with how much memory."""

from __future__ import annotations

import os
import resource  # noqa: F401  os.wait4 needs it, and without it loses whom it has just reaped

from rebound.events import Exited
from rebound.exitstatus import ExitStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def reap(
    pid: int | None = None, look: Callable[[int, ExitStatus], None] | None = None
) -> Exited | None:
    """Reap child `pid`, or whichever has ended; None if that has not.

    `look` sees it before, while the zombie still keeps its pid, and the process group of
    that number, from being reused (waitid(2), WNOWAIT).  Raises `ChildProcessError` when
    there is no such child, alive or dead.
    """
    if look is not None:
        kind = os.P_ALL if pid is None else os.P_PID
        zombie = os.waitid(kind, pid or 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if zombie is None:
            return None
        pid = zombie.si_pid
        exited = zombie.si_code == os.CLD_EXITED
        look(
            pid,
            ExitStatus(code=zombie.si_status) if exited else ExitStatus(signal=zombie.si_status),
        )
    pid, status, usage = os.wait4(-1 if pid is None else pid, os.WNOHANG)
    return Exited(pid, ExitStatus.from_wait(status), usage.ru_maxrss) if pid else None


def stopped_by(pid: int) -> int:
    """Give the signal that stopped child `pid` since the last call; 0 if none did."""
    try:
        stop = os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG)
    except ChildProcessError:
        return 0
    return stop.si_status if stop else 0
