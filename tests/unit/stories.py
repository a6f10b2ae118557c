"""A service in each state, and what is made to happen to it.

Time is a number: stories begin at 0, and most things happen at 100.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rebound.core.config import Config
from rebound.core.events import (
    Action,
    Begin,
    Event,
    ExecFailed,
    Exited,
    ForkFailed,
    KillChildren,
    NoChildren,
    RestartRequested,
    Say,
    SignalCommand,
    Start,
    Started,
    StopRequested,
    StopTimeoutOver,
)
from rebound.core.exitstatus import ExitStatus
from rebound.core.health import HealthChecks
from rebound.core.maxruntime import MaxRuntime
from rebound.core.notify import Message
from rebound.core.restart import RestartPolicy
from rebound.core.service import Service
from rebound.core.signals import SIGABRT, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM
from rebound.core.states import (
    BACKOFF,
    CLEARING,
    DRAINING,
    ENDED,
    KILLING,
    RESTARTING,
    RUNNING,
    STARTING,
    STOPPING,
)
from rebound.core.watch import Watch
from rebound.core.watchdog import Watchdog
from rebound.core.watchevents import CheckDue, HealthChecked, Notified

if TYPE_CHECKING:
    from rebound.core.states import State

PID = 4711
ZERO = ExitStatus(code=0)
CRASH = ExitStatus(code=1)
STARTED = Started(PID)
CRASHED = Exited(PID, CRASH)
NOT_FOUND = ExecFailed("No such file or directory", ExitStatus(code=127))
NO_FORK = ForkFailed("Resource temporarily unavailable")
TERM, INT, HUP = StopRequested(SIGTERM), StopRequested(SIGINT), StopRequested(SIGHUP)
QUIT = StopRequested(SIGQUIT)
ABORTED = Exited(PID, ExitStatus(signal=SIGABRT))
TERMINATED = Exited(PID, ExitStatus(signal=SIGTERM))
KILLED = Exited(PID, ExitStatus(signal=SIGKILL))
RESUME = SignalCommand(SIGCONT)
ABORT = [SignalCommand(SIGABRT), RESUME]
END = [SignalCommand(SIGTERM), RESUME]
START = Start(0)
KILL = KillChildren("stop timeout is over")
ALIVE, READY = Notified(Message(alive=True)), Notified(Message(ready=True))
STOPPING_NOW = Notified(Message(stopping=True))
PASSED, FAILED = HealthChecked(ZERO), HealthChecked(CRASH)

STORIES: dict[State, list[Event]] = {
    STARTING: [],
    RUNNING: [Begin(), STARTED],
    RESTARTING: [Begin(), STARTED, RestartRequested()],
    CLEARING: [Begin(), STARTED, CRASHED],
    BACKOFF: [Begin(), NO_FORK],
    STOPPING: [Begin(), STARTED, TERM],
    DRAINING: [Begin(), STARTED, Exited(PID, ExitStatus(signal=SIGTERM))],
    KILLING: [Begin(), STARTED, TERM, StopTimeoutOver()],
    ENDED: [Begin(), STARTED, Exited(PID, ZERO), NoChildren()],
}
"""How each state is reached."""


def watches_of(config: Config) -> list[type[Watch]]:
    """Those that its options ask for."""
    watches: list[type[Watch]] = []
    if config.watchdog or config.fd_store:
        watches.append(Watchdog)
    if config.checks_health:
        watches.append(HealthChecks)
    if config.max_runtime:
        watches.append(MaxRuntime)
    return watches


def in_state(state: State, **settings: Any) -> Service:
    """A service that was brought to `state` at time 0."""
    config = Config(**{"fresh": state == CLEARING, **settings})
    subject = Service("cmd", config, RestartPolicy(config), watches_of(config))
    subject.holds_descriptors = bool(config.listen)
    for event in STORIES[state]:
        subject.step(event, 0.0)
    assert subject.state == state
    return subject


def step(subject: Service, event: Event, now: float = 100.0) -> list[Action]:
    """What an event leads to, without the facts for the log; of a start, not what it says."""
    actions = (action for action in subject.step(event, now) if not isinstance(action, Say))
    return [START if isinstance(action, Start) else action for action in actions]


def facts(subject: Service, event: Event, now: float = 100.0) -> list[Action]:
    """The facts for the log that an event leads to."""
    return [action for action in subject.step(event, now) if isinstance(action, Say)]


WATCHED: dict[str, Any] = {"watchdog": 10, "health_command": "check", "health_retries": 1}


def hang(subject: Service) -> None:
    """Make it hang."""
    step(subject, Notified(Message(trigger=True)), 20)


def fall_ill(subject: Service) -> None:
    """Make it unhealthy."""
    step(subject, CheckDue(), 20)
    step(subject, FAILED, 20)


def request(subject: Service) -> None:
    """Request a restart."""
    step(subject, RestartRequested(), 20)
