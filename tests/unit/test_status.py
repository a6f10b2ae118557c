"""What `--status` tells of a service: the fields in each state."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

import rebound
from rebound.control import status
from rebound.core.events import RestartRequested
from rebound.core.exitstatus import REASONS
from rebound.core.notify import Message
from rebound.core.states import BACKOFF, CLEARING, DRAINING, RUNNING, STARTING
from rebound.core.watchevents import Notified
from tests.unit.stories import CRASHED, PID, STARTED, STORIES, in_state, step

if TYPE_CHECKING:
    from rebound.core.service import Service
    from rebound.core.states import State

NOW, WALL = 100.0, 1_000_000_000.0
"""A monotonic clock, and the clock on the wall: 2001-09-09T01:46:40Z."""


@pytest.fixture(autouse=True)
def clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """They stand still."""
    monkeypatch.setattr(time, "monotonic", lambda: NOW)
    monkeypatch.setattr(time, "time", lambda: WALL)


def described(subject: Service, child_pid: int | None = PID) -> dict[str, Any]:
    """The fields, which are as the client wants them."""
    fields = status.describe(subject, "cmd", 1, child_pid, 3)
    assert status.is_well_formed(fields)
    assert list(fields) == list(status.FIELDS)
    return fields


def test_a_run_that_is_well() -> None:
    """All fields; what there is nothing to say of is None, not empty."""
    assert described(in_state(RUNNING)) == {
        "pid": 1,
        "command": "cmd",
        "state": "RUNNING",
        "ok": True,
        "child_pid": PID,
        "since": "2001-09-09T01:45:00.000Z",
        "seconds": 100,
        "restarts": 0,
        "last_exit": None,
        "last_exit_text": None,
        "next_start": None,
        "next_start_in": None,
        "ending": None,
        "health": None,
        "status": None,
        "adopted": 3,
        "sockets": None,
        "stored": None,
        "version": rebound.__version__,
        "starts": 1,
        "exits": dict.fromkeys(REASONS, 0),
        "run_start_time": WALL - NOW,
        "last_exit_time": None,
        "backoff": 0,
        "resident": None,
        "log_dropped": 0,
        "http": None,
    }


@pytest.mark.parametrize("state", STORIES)
def test_each_state_has_its_name(state: State) -> None:
    fields = described(in_state(state))
    assert (fields["state"], fields["ok"]) == (state, state == RUNNING)


def test_a_back_off() -> None:
    """When the next start is due, and how the last run ended."""
    subject = in_state(RUNNING, restart_delay=60)
    step(subject, CRASHED, 70)
    fields = described(subject, None)
    expected = {
        "state": "BACKOFF",
        "child_pid": None,
        "since": "2001-09-09T01:46:10.000Z",
        "seconds": 30,
        "restarts": 1,
        "last_exit": "exit:1",
        "last_exit_text": "exited with status 1",
        "next_start": "2001-09-09T01:47:10.000Z",
        "next_start_in": 30,
        "starts": 1,
        "exits": {**dict.fromkeys(REASONS, 0), "exit": 1},
        "run_start_time": WALL - NOW,
        "last_exit_time": WALL - NOW + 70,
        "backoff": 60,
    }
    assert expected.items() <= fields.items()


def test_before_the_first_run_there_are_no_times() -> None:
    fields = described(in_state(STARTING), None)
    assert (fields["starts"], fields["run_start_time"], fields["last_exit_time"]) == (0, None, None)


def test_an_earlier_version_lacks_fields() -> None:
    """Those alone, and it may lack each."""
    fields = described(in_state(RUNNING))
    assert status.is_well_formed({n: v for n, v in fields.items() if n not in status.SINCE_1_2})
    for name in fields:
        rest = {other: value for other, value in fields.items() if other != name}
        assert status.is_well_formed(rest) == (name in status.SINCE_1_2)
    for exits in ({"exit": -1}, {"exit": "1"}, {"exit": True}, {"exit": None}, [1]):
        assert not status.is_well_formed({**fields, "exits": exits})


def test_a_start_that_is_overdue_is_due_now() -> None:
    """rebound may have been paused."""
    subject = in_state(BACKOFF)
    assert described(subject, None)["next_start_in"] == 0


def test_what_a_run_has_said_and_why_it_is_ended() -> None:
    """Only while there is one."""
    subject = in_state(RUNNING, watchdog=10)
    step(subject, Notified(Message(status="serving")), 1)
    step(subject, RestartRequested(), 2)
    fields = described(subject)
    assert (fields["status"], fields["ending"]) == ("serving", "requested")
    fields = described(subject, None)
    assert (fields["status"], fields["ending"]) == (None, None)


def test_health() -> None:
    """As far as it is known."""
    assert described(in_state(RUNNING, health_command="check"))["health"] == "starting"


def test_draining_is_told_apart() -> None:
    """What is waited for is no run."""
    for state in STORIES:
        assert in_state(state).is_draining == (state in {CLEARING, DRAINING, "KILLING"})


def test_a_start_begins_anew() -> None:
    """`since` is when the state began."""
    subject = in_state(RUNNING)
    step(subject, CRASHED, 40)
    step(subject, STARTED, 50)
    assert (described(subject)["seconds"], subject.since) == (50, 50)
