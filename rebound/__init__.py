"""Run a command, restart it when it crashes, and end as a container's init should.

    import rebound

    status = rebound.supervise(["my-daemon", "--flag"], rebound.Config(max_restarts=3))

The command line tool `rebound` is described in the README.
"""

from __future__ import annotations

from rebound.core.config import Config
from rebound.core.exitstatus import StatusSet
from rebound.library import supervise

__version__ = "1.1.0"
__all__ = ["Config", "StatusSet", "supervise"]
