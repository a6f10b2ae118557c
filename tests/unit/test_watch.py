"""What the service makes of a watch, by one that only repeats what it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rebound.core.config import Config
from rebound.core.events import (
    BackoffOver,
    Begin,
    DeadlinePassed,
    Event,
    Exited,
    SignalCommand,
    SignalReceived,
    SignalRefused,
    Started,
)
from rebound.core.exitstatus import ExitStatus
from rebound.core.restart import RestartPolicy
from rebound.core.runs import EndRun, Run
from rebound.core.service import TABLE, IllegalTransition, Service
from rebound.core.signals import SIGCONT, SIGHUP, SIGQUIT
from rebound.core.states import RESTARTING, RUNNING
from rebound.core.timers import Timers
from rebound.core.watch import Watch
from rebound.core.watchevents import KillCheck, WatchdogExpired

if TYPE_CHECKING:
    from rebound.core.states import State
    from rebound.core.watch import Taken

END = EndRun("bored", SIGQUIT, 3.0)


class Bored(Watch):
    """Ends a run after 10 s, unless a signal comes."""

    pairs = ((RUNNING, WatchdogExpired), (RUNNING, SignalReceived), (RESTARTING, SignalReceived))

    def begin(self, run: Run, now: float) -> None:
        """Wait for a signal."""
        self.begun = (run.pid, now)
        self._timers.set(WatchdogExpired, now, 10)

    def take(self, event: Event, state: State, now: float) -> Taken:
        """Take it, or the end of the time."""
        if isinstance(event, WatchdogExpired):
            return [SignalCommand(SIGHUP)], END
        if state == RUNNING:
            self._timers.set(WatchdogExpired, now, 10)
        return [], None


class Busy(Watch):
    """Has something beside the run, and knows of its health."""

    is_ready = False
    health_state = "busy"

    def begin(self, run: Run, now: float) -> None:
        """Do nothing."""

    def end(self) -> list[KillCheck]:  # type: ignore[override]
        """Give it up."""
        return [KillCheck()]


def running(*watches: type[Watch]) -> Service:
    """A service with a run that began at 0."""
    config = Config()
    service = Service("cmd", config, RestartPolicy(config), watches)
    service.step(Begin(), 0)
    service.step(Started(7), 0)
    return service


def test_what_a_watch_is_without_more() -> None:
    """Ready, without health, with nothing beside the run; it must say what it does itself."""
    watch = Watch(Config(), Timers())
    assert (watch.is_ready, watch.health_state, watch.end(), watch.pairs) == (True, "", [], ())
    with pytest.raises(NotImplementedError):
        watch.begin(Run(7, 0.0), 0.0)
    with pytest.raises(NotImplementedError):
        watch.take(BackoffOver(), RUNNING, 0.0)


def test_its_pairs_become_part_of_the_table_of_its_service_alone() -> None:
    """Instead of what would be done otherwise."""
    before = dict(TABLE)
    service = running(Bored)
    assert service.step(SignalReceived(SIGHUP), 4) == []
    assert service.deadline == 14
    assert before == TABLE
    with pytest.raises(IllegalTransition):
        running().step(WatchdogExpired(), 10)


def test_it_may_end_the_run() -> None:
    """What it wants done comes first; what goes on beside the run is given up."""
    service = running(Bored, Busy)
    actions = [SignalCommand(SIGHUP), KillCheck(), SignalCommand(SIGQUIT), SignalCommand(SIGCONT)]
    assert service.step(DeadlinePassed(), 10) == actions
    assert (service.state, service.deadline, service.run.cause) == (RESTARTING, 13, "bored")


def test_it_begins_anew_with_each_run_and_one_that_may_not_be_ended() -> None:
    service = running(Bored)
    [watch] = service.watches
    assert isinstance(watch, Bored)
    assert watch.begun == (7, 0)
    service.step(DeadlinePassed(), 10)
    service.step(SignalRefused(), 11)
    assert (service.state, watch.begun) == (RUNNING, (7, 11))
    service.step(Exited(7, ExitStatus(code=1)), 12)
    service.step(Started(8), 13)
    assert (watch.begun, service.deadline) == ((8, 13), 23)


def test_ready_is_what_is_so_for_all_of_them() -> None:
    assert running(Bored).is_ready
    assert not running(Bored, Busy).is_ready
    assert running(Bored).health_state == ""
    assert running(Bored, Busy).health_state == "busy"
