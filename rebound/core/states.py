"""The states of the service, by the names that `--status` shows."""

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
RESTARTING: State = "RESTARTING"  # it was told to end, and is started again then
CLEARING: State = "CLEARING"  # it is gone; what it left is asked to stop before the next start
BACKOFF: State = "BACKOFF"  # it does not run, and is started again when that is over
STOPPING: State = "STOPPING"  # it was told to stop, and still runs
DRAINING: State = "DRAINING"  # it is gone; adopted processes were asked to stop
KILLING: State = "KILLING"  # the stop timeout is over; all that is left is killed
ENDED: State = "ENDED"  # nothing is left
