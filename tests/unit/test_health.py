"""The health command: Docker's rules for when failed checks make a run unhealthy, and the checks."""

from __future__ import annotations

from typing import Any

import pytest

from rebound.core import narrate
from rebound.core.config import Config
from rebound.core.events import (
    Action,
    DeadlinePassed,
    Exited,
    RestartRequested,
    SignalCommand,
    Started,
    say,
)
from rebound.core.exitstatus import ExitStatus
from rebound.core.health import HEALTHY, SICK, STARTING, Health
from rebound.core.service import Service
from rebound.core.signals import SIGKILL
from rebound.core.states import RESTARTING, RUNNING
from rebound.core.watchevents import (
    CheckHealth,
    CheckTimeoutOver,
    HealthChecked,
    HealthUnknown,
    KillCheck,
)
from tests.unit.stories import (
    CRASH,
    END,
    FAILED,
    KILLED,
    PASSED,
    PID,
    START,
    TERM,
    TERMINATED,
    facts,
    in_state,
    step,
)

# --- What the checks find -------------------------------------------------------------


def checked(results: str, **settings: Any) -> list[str]:
    """The states after checks that pass (+) or fail (-), one a second from second 0 on."""
    health = Health(Config(health_command="check", **settings))
    health.begin_run(0.0)
    states = []
    for now, result in enumerate(results):
        assert health.begin_check(now)
        assert health.end_check(result == "+")
        states.append(health.state)
    return states


@pytest.mark.parametrize(
    ("results", "settings", "states"),
    [
        ("+", {}, [HEALTHY]),
        ("---", {}, [STARTING, STARTING, SICK]),
        ("-", {"health_retries": 1}, [SICK]),
        ("+--+---", {}, [*[HEALTHY] * 6, SICK]),
        ("-----", {"health_start_period": 2}, [*[STARTING] * 4, SICK]),
        # A check that has passed ends the start period.
        ("+---", {"health_start_period": 99}, [HEALTHY, HEALTHY, HEALTHY, SICK]),
        ("--+-", {"health_retries": 2, "health_start_period": 99}, [STARTING] * 2 + [HEALTHY] * 2),
    ],
)
def test_states(results: str, settings: dict[str, Any], states: list[str]) -> None:
    """Failures in a row count, but not in the start period."""
    assert checked(results, **settings) == states


def test_never_two_at_once() -> None:
    """Also when the first is one of the run before."""
    health = Health(Config(health_command="check"))
    health.begin_run(0)
    assert health.begin_check(1)
    assert not health.begin_check(2)
    health.begin_run(3)
    assert not health.begin_check(4)
    assert not health.end_check(passed=False)  # says nothing of this run
    assert (health.state, health.failures) == (STARTING, 0)
    assert health.begin_check(5)


def test_no_result_is_no_failure() -> None:
    """A check that could not be run."""
    health = Health(Config(health_command="check", health_retries=1))
    health.begin_run(0)
    assert health.begin_check(1)
    assert health.end_check(None)
    assert (health.state, health.failures, health.is_checking) == (STARTING, 0, False)


def test_a_new_run_is_judged_anew() -> None:
    """What the last one failed counts no more."""
    health = Health(Config(health_command="check", health_retries=2))
    for _ in range(3):
        health.begin_run(0)
        health.begin_check(1)
        health.end_check(passed=False)
    assert health.state == STARTING


# --- When they run, and what comes of it ----------------------------------------------


CHECKED: dict[str, Any] = {"health_command": "check", "health_interval": 30, "health_timeout": 5}


def fail_the_next_check(subject: Service, now: float) -> list[Action]:
    """Have it fail; return the facts for the log."""
    [check] = step(subject, DeadlinePassed(), now)
    assert isinstance(check, CheckHealth)
    return facts(subject, FAILED, now)


def test_the_state_of_a_run() -> None:
    """As `--status` shows it; the next run begins anew."""
    subject = in_state(RUNNING, **CHECKED, health_retries=2)
    assert subject.health_state == STARTING
    for now, result, state in ((30, PASSED, HEALTHY), (60, FAILED, HEALTHY), (90, FAILED, SICK)):
        step(subject, DeadlinePassed(), now)
        step(subject, result, now)
        assert subject.health_state == state
    step(subject, TERMINATED, 91)
    step(subject, Started(PID), 91)
    assert subject.health_state == STARTING


def test_checks_come_one_after_the_other() -> None:
    """The interval is from the start, and from the end of a check."""
    subject = in_state(RUNNING, **CHECKED)
    assert subject.deadline == 30
    assert step(subject, DeadlinePassed(), 30) == [CheckHealth(wants_output=True)]
    assert subject.deadline == 35
    assert step(subject, PASSED, 32) == []
    assert subject.deadline == 62


def test_a_check_that_takes_too_long_is_killed_and_has_failed() -> None:
    """It has failed once it is gone."""
    subject = in_state(RUNNING, **CHECKED)
    step(subject, DeadlinePassed(), 30)
    assert step(subject, DeadlinePassed(), 35) == [KillCheck()]
    assert subject.deadline is None
    step(subject, HealthChecked(ExitStatus(signal=SIGKILL)), 36)
    assert subject.deadline == 66
    assert fail_the_next_check(subject, 66) == [say(narrate.health_failed, 2, 3, CRASH)]


def test_unhealthy() -> None:
    """The third failure: TERM, then KILL after 10 s."""
    subject = in_state(RUNNING, **CHECKED)
    for now in (30, 60, 90):
        assert step(subject, DeadlinePassed(), now) == [CheckHealth(wants_output=now == 30)]
        ended = step(subject, FAILED, now)
        assert ended == (END if now == 90 else [])
    assert (subject.state, subject.deadline) == (RESTARTING, 100)
    assert step(subject, DeadlinePassed(), 100) == [SignalCommand(SIGKILL)]
    assert step(subject, KILLED, 101) == [START]
    step(subject, Started(PID), 101)
    assert subject.deadline == 131


@pytest.mark.parametrize("end", [Exited(PID, CRASH), RestartRequested(), TERM], ids=repr)
def test_with_the_run_ends_its_check(end: Any) -> None:
    """And says nothing of the next one, for which it may be in the way for a while."""
    subject = in_state(RUNNING, **CHECKED)
    step(subject, DeadlinePassed(), 30)
    assert KillCheck() in step(subject, end, 31)
    if end == TERM:
        return
    if subject.state == RESTARTING:
        step(subject, TERMINATED, 31)
    step(subject, Started(PID), 31)
    assert step(subject, DeadlinePassed(), 61) == []
    assert subject.deadline == 91
    assert step(subject, FAILED, 62) == []
    assert subject.deadline == 91
    assert fail_the_next_check(subject, 91) == [say(narrate.health_failed, 1, 3, CRASH)]


def test_a_check_that_cannot_be_run_says_nothing() -> None:
    """It is tried again at the next interval."""
    subject = in_state(RUNNING, **CHECKED, health_retries=1)
    step(subject, DeadlinePassed(), 30)
    told = [say(narrate.health_unknown, "no shell")]
    assert facts(subject, HealthUnknown("no shell"), 30) == told
    assert (subject.state, subject.deadline) == (RUNNING, 60)


def test_a_check_that_found_out_nothing_says_nothing() -> None:
    """It ended, but had no socket, say."""
    subject = in_state(RUNNING, health_http="http://[::1]/", health_retries=1)
    step(subject, DeadlinePassed(), 30)
    told = [say(narrate.health_unknown, "no socket")]
    event = HealthChecked(ExitStatus(code=125), "no socket", could_run=False)
    assert facts(subject, event, 30) == told
    assert (subject.state, subject.deadline) == (RUNNING, 60)


def test_a_command_that_is_missing_is_said_at_the_first_check_of_a_run() -> None:
    """With what the shell says; it counts as a failure."""
    subject = in_state(RUNNING, **CHECKED)
    missing = HealthChecked(ExitStatus(code=127), "sh: curl: not found")
    for now in (30, 60):
        step(subject, DeadlinePassed(), now)
        told = [say(narrate.health_missing, missing.status, missing.output)] if now == 30 else []
        failed = say(narrate.health_failed, now // 30, 3, missing.status)
        assert facts(subject, missing, now) == [*told, failed]


def test_a_check_without_a_command_tells_why_it_failed() -> None:
    """Not its exit status, which is ours; 127 means nothing there."""
    subject = in_state(RUNNING, health_tcp="[::1]:80")
    step(subject, DeadlinePassed(), 30)
    failed = HealthChecked(ExitStatus(code=127), "[::1]:80: Connection refused")
    assert facts(subject, failed, 30) == [say(narrate.health_failed, 1, 3, failed.output)]


def test_a_paused_check_gets_its_time_again() -> None:
    """As the command does."""
    subject = in_state(RUNNING, **CHECKED)
    step(subject, DeadlinePassed(), 30)
    assert step(subject, DeadlinePassed(), 4000) == []
    assert subject.deadline == 4005
    assert step(subject, CheckTimeoutOver(), 4005) == [KillCheck()]
