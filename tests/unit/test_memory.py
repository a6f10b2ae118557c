"""The limit of memory: two looks in a row count, and what is not known does not."""

from __future__ import annotations

from typing import Any

from rebound.core import narrate
from rebound.core.events import DeadlinePassed, Started, say
from rebound.core.exitstatus import MEMORY
from rebound.core.memory import INTERVAL
from rebound.core.service import Service
from rebound.core.states import RESTARTING, RUNNING
from rebound.core.watchevents import MemoryRead, ReadMemory
from tests.unit.stories import CRASHED, END, PID, START, TERMINATED, facts, in_state, step

OVER, WITHIN, UNKNOWN = MemoryRead(1001, 1000), MemoryRead(1000, 1000), MemoryRead(None, 1000)


def running(**settings: Any) -> Service:
    """A run with a limit, which began at 0."""
    return in_state(RUNNING, max_memory="1000", **settings)


def test_it_looks_once_a_second_while_the_command_runs() -> None:
    """However a look ends, and whatever comes of it."""
    subject = running()
    for now in (INTERVAL, 2 * INTERVAL, 3 * INTERVAL):
        assert subject.deadline == now
        assert step(subject, DeadlinePassed(), now) == [ReadMemory()]
    step(subject, CRASHED, 5)
    assert subject.deadline is None


def test_two_looks_in_a_row_end_the_run() -> None:
    """As a failure: it is restarted, and the next run is told why."""
    subject = running()
    assert step(subject, OVER, 1) == []
    told = say(narrate.over_memory, PID, 1001, 1000)
    assert subject.step(OVER, 2) == [told, *END]
    assert (subject.state, subject.deadline, subject.cause) == (RESTARTING, 12, MEMORY)
    assert step(subject, TERMINATED, 3) == [START]
    assert (subject.last_exit, subject.restarts) == ("memory", 1)


def test_a_peak_does_not() -> None:
    """Nor one in each of two runs; exactly the limit is allowed."""
    subject = running()
    for look in (OVER, WITHIN, OVER, WITHIN):
        assert subject.step(look, 1) == []
    step(subject, OVER, 2)
    step(subject, CRASHED, 3)
    step(subject, Started(PID), 4)
    assert subject.step(OVER, 5) == []
    assert subject.state == RUNNING


def test_that_nobody_knows_is_said_once() -> None:
    """For all runs; and it is no reason to end one."""
    subject = running()
    assert facts(subject, UNKNOWN) == [say(narrate.memory_unknown)]
    assert subject.step(UNKNOWN, 2) == []
    step(subject, CRASHED, 3)
    step(subject, Started(PID), 4)
    assert subject.step(UNKNOWN, 5) == []
