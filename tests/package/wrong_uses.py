"""Uses of the library that a type checker must refuse where marked, and nowhere else.

It is never run: see `test_typing.py`, and the session `types`, for two type checkers.
"""

from __future__ import annotations

import signal

import rebound
from rebound.core import narrate
from rebound.core.config import Config
from rebound.core.events import Begin, Exited, Start, Started, say
from rebound.core.exitstatus import ExitStatus
from rebound.core.restart import RestartPolicy
from rebound.core.service import TABLE, Service
from rebound.core.states import RUNNING

# --- What users call ------------------------------------------------------------------

config = rebound.Config(
    restart="always",
    max_restarts=3,
    max_restarts_window=60,
    stop_timeout=None,
    drain_signal=signal.SIGINT,
    rewrite=((signal.SIGTERM, signal.SIGINT), (1, 0)),
    success=rebound.StatusSet(frozenset({143})),
    max_memory="50%",
)
status: int = rebound.supervise(["true"], config)
rebound.supervise(("true", "x"))

rebound.Config(max_restart=3)  # type: ignore[call-arg]
rebound.Config(max_restarts="3")  # type: ignore[arg-type]
rebound.Config(max_restarts=None)  # type: ignore[arg-type]
rebound.Config(3)  # type: ignore[arg-type]
rebound.Config(restart_delay="5s")  # type: ignore[arg-type]
rebound.Config(own_group="yes")  # type: ignore[arg-type]
rebound.Config(success={78})  # type: ignore[arg-type]
rebound.Config(max_memory=512)  # type: ignore[arg-type]
rebound.Config(rewrite=[(15, 2)])  # type: ignore[arg-type]
rebound.Config(rewrite=((15, 2, 3),))  # type: ignore[arg-type]
rebound.StatusSet([78])  # type: ignore[arg-type]
rebound.StatusSet(statuses=frozenset({78}))  # type: ignore[call-arg]
rebound.supervise("true", max_restarts=3)  # type: ignore[call-arg]
rebound.supervise(["true"], {"max_restarts": 3})  # type: ignore[arg-type]
rebound.supervise([1])  # type: ignore[list-item]
config.max_restarts = 4  # type: ignore[misc]
config.max_restart  # type: ignore[attr-defined]  # noqa: B018

# --- What rebound's own parts call ----------------------------------------------------

service = Service("true", config, RestartPolicy(config))
service.step(Begin(), 0.0)
service.step(Exited(7, ExitStatus(code=1), max_rss=1000), 0.0)
service.state = RUNNING

service.step(Config(), 0.0)  # type: ignore[arg-type]
service.step(Start(0), 0.0)  # type: ignore[arg-type]
service.step(Started, 0.0)  # type: ignore[arg-type]
service.state = "SLEEPING"  # type: ignore[assignment]
TABLE[("SLEEPING", Begin)]  # type: ignore[index]
TABLE[(RUNNING, Start)]  # type: ignore[index]
TABLE[(RUNNING, Started)] = 7  # type: ignore[assignment]
Started()  # type: ignore[call-arg]
Started("7")  # type: ignore[arg-type]
say(narrate.started, "true", "7")  # type: ignore[arg-type]
say(narrate.started, "true")  # type: ignore[call-arg]
ExitStatus(1, 2, False, 4)  # type: ignore[call-arg]
ExitStatus(status=1)  # type: ignore[call-arg]
