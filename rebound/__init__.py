"""Run a command, restart it when it crashes, and end as a container's init should.

    import rebound

    status = rebound.supervise(["my-daemon", "--flag"], rebound.Config(max_restarts=3))

The command line tool `rebound` is described in the README.
"""

from __future__ import annotations

from rebound.core.config import Config
from rebound.core.exitstatus import StatusSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__version__ = "1.1.0"
__all__ = ["Config", "StatusSet", "supervise"]


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
    import os

    from rebound.kernel import caller, linux
    from rebound.supervisor import Supervisor

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
