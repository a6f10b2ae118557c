"""The states of the service, under the names that `--status` shows."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    State = Literal[
        "STARTING",
        "RUNNING",
        "RESTARTING",
        "CLEARING",
        "BACKOFF",
        "STOPPING",
        "DRAINING",
        "KILLING",
        "ENDED",
    ]

STARTING: State = "STARTING"  # the command is being spawned
RUNNING: State = "RUNNING"  # it runs
RESTARTING: State = "RESTARTING"  # it was told to end; the next start follows
CLEARING: State = "CLEARING"  # it has ended; what it left is asked to stop before the next start
BACKOFF: State = "BACKOFF"  # it has ended; the next start comes after a delay
STOPPING: State = "STOPPING"  # it was told to stop, and still runs
DRAINING: State = "DRAINING"  # it has ended; adopted processes were asked to stop
KILLING: State = "KILLING"  # the stop timeout is over; every child that is left is killed
ENDED: State = "ENDED"  # nothing is left
