"""Run a command, restart it when it crashes, and end as a container's init should.

    import rebound

    status = rebound.supervise(["my-daemon", "--flag"], rebound.Config(max_restarts=3))

docs/options.md describes the command line tool `rebound`.
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
    cannot be executed.  Call this in the main thread of a process without other threads and
    without children.  While it runs, it blocks all signals and reads them itself.  It reaps each
    child of the process, adopted orphans included, and stops them at the end.  Then it restores
    the signal mask and the handler of SIGCHLD.  The process stays a subreaper, and keeps
    `parent_death_signal` (prctl(2)).

    Raises these errors before it starts anything: `RuntimeError` outside of the main thread, or
    if there is another thread or a child; `ValueError` if `command` is not a command;
    `TypeError` if `config` is not a `Config`; `OSError` if the system refuses
    PR_SET_CHILD_SUBREAPER or PR_SET_PDEATHSIG.
    """
    import os

    from rebound.core.values import is_text
    from rebound.kernel import caller, linux
    from rebound.supervisor import Supervisor

    if config is None:
        config = Config()
    if not isinstance(config, Config):
        raise TypeError(f"config must be a rebound.Config, not {config!r}")
    if not command or isinstance(command, str) or not all(map(is_text, command)):
        raise ValueError("the command must be a list of words without NUL characters")
    if not command[0]:
        raise ValueError("the first word of the command must not be empty")
    caller.require_alone()
    before = caller.Signals()
    try:
        inherited = linux.block_signals()
        return Supervisor(command, config, inherited, dict(os.environb)).run()
    finally:
        before.restore()
