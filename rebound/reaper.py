"""The only caller of wait: who ended, how, and with how much memory."""

from __future__ import annotations

import os
import resource  # noqa: F401  os.wait4 needs it, and without it loses whom it has just reaped

from rebound.exitstatus import ExitStatus
from rebound.service import Exited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def reap(look: Callable[[int, ExitStatus], None] | None = None) -> Exited | None:
    """Reap one child; None if none has ended yet.

    `look` sees it before, while the zombie still keeps its pid, and the process group of
    that number, from being reused (waitid(2), WNOWAIT).  Raises `ChildProcessError` when
    there is no child at all, alive or dead.
    """
    target = -1
    if look is not None:
        zombie = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if zombie is None:
            return None
        target = zombie.si_pid
        if zombie.si_code == os.CLD_EXITED:
            look(target, ExitStatus(code=zombie.si_status))
        else:
            look(target, ExitStatus(signal=zombie.si_status))
    pid, status, usage = os.wait4(target, os.WNOHANG)
    return Exited(pid, ExitStatus.from_wait(status), usage.ru_maxrss) if pid else None


def stopped_by(pid: int) -> int:
    """Give the signal that stopped child `pid` since the last call; 0 if none did."""
    try:
        stop = os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG)
    except ChildProcessError:
        return 0
    return stop.si_status if stop else 0
