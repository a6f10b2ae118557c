"""The table of states and events, whole; and what the service knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebound.core import events, narrate, service, states
from rebound.core.events import (
    Action,
    AskAdopted,
    BackoffOver,
    Begin,
    ChildrenReaped,
    DeadlinePassed,
    Event,
    ExecFailed,
    Exited,
    FiltersDue,
    FiltersSpared,
    ForkFailed,
    KillChildren,
    KillDue,
    KillOverdue,
    NoChildren,
    NoneAdopted,
    NoneKillable,
    ReleaseDescriptors,
    RestartAnswered,
    RestartRequested,
    Say,
    SignalChildren,
    SignalCommand,
    SignalReceived,
    SignalRefused,
    Start,
    Started,
    StopRequested,
    StopTimeoutOver,
    TellManager,
)
from rebound.core.exitstatus import HUNG, End, ExitStatus
from rebound.core.notify import Message
from rebound.core.restart import GAVE_UP, REFUSED
from rebound.core.service import IllegalTransition
from rebound.core.signals import SIGHUP, SIGTERM
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
from rebound.core.watchevents import (
    CheckDue,
    CheckHealth,
    CheckTimeoutOver,
    HealthChecked,
    HealthUnknown,
    KillCheck,
    Notified,
    NotifiedByStrangers,
    RuntimeOver,
    WatchdogExpired,
)
from tests.unit.stories import (
    ABORTED,
    CRASH,
    CRASHED,
    KILLED,
    NO_FORK,
    NOT_FOUND,
    PASSED,
    PID,
    READY,
    START,
    STARTED,
    STORIES,
    TERM,
    TERMINATED,
    ZERO,
    in_state,
    step,
)

if TYPE_CHECKING:
    from rebound.core.states import State

# --- The whole matrix -----------------------------------------------------------------


EVENTS: list[Event] = [
    Begin(),
    STARTED,
    NO_FORK,
    NOT_FOUND,
    CRASHED,
    TERM,
    SignalReceived(SIGHUP),
    ChildrenReaped(),
    NoChildren(),
    NoneKillable(),
    FiltersSpared(),
    NoneAdopted(),
    SignalRefused(),
    Notified(Message(status="fine")),
    NotifiedByStrangers(7),
    HealthChecked(ZERO),
    HealthUnknown("No such file or directory"),
    RestartRequested(),
    BackoffOver(),
    StopTimeoutOver(),
    KillDue(),
    KillOverdue(),
    FiltersDue(),
    WatchdogExpired(),
    CheckDue(),
    CheckTimeoutOver(),
    RuntimeOver(),
]
DECISIONS: set[type[Action]] = {Start, SignalCommand, AskAdopted, SignalChildren, KillChildren, Say}
DECISIONS |= {CheckHealth, KillCheck, ReleaseDescriptors, RestartAnswered, TellManager}
EVERYWHERE = [StopRequested, SignalReceived, ChildrenReaped]
FROM_THE_COMMAND = [Exited, Notified, NotifiedByStrangers]
WITH_A_COMMAND = [*EVERYWHERE, *FROM_THE_COMMAND, SignalRefused]
AFTER_THE_START = [HealthChecked, RestartRequested]
TIMERS_OF_A_RUN = [WatchdogExpired, CheckDue, CheckTimeoutOver, RuntimeOver]
WHILE_ASKING = [FiltersSpared, FiltersDue, NoneAdopted, NoChildren, KillOverdue]
LEGAL: dict[State, list[type[Event]]] = {
    STARTING: [Begin, Started, ForkFailed, ExecFailed],
    RUNNING: [*WITH_A_COMMAND, *AFTER_THE_START, HealthUnknown, *TIMERS_OF_A_RUN],
    RESTARTING: [*WITH_A_COMMAND, *AFTER_THE_START, KillDue, KillOverdue],
    CLEARING: [*EVERYWHERE, *AFTER_THE_START, *WHILE_ASKING, KillDue, NoneKillable],
    BACKOFF: [*EVERYWHERE, *AFTER_THE_START, NoChildren, BackoffOver],
    STOPPING: [*WITH_A_COMMAND, *AFTER_THE_START, StopTimeoutOver, KillDue, KillOverdue],
    DRAINING: [*WITH_A_COMMAND, *AFTER_THE_START, *WHILE_ASKING, StopTimeoutOver],
    KILLING: [
        *EVERYWHERE,
        *AFTER_THE_START,
        *FROM_THE_COMMAND,
        NoChildren,
        NoneKillable,
        KillOverdue,
    ],
    ENDED: [*EVERYWHERE, *AFTER_THE_START, *FROM_THE_COMMAND, NoChildren],
}
WATCHED_ONLY = {Notified, NotifiedByStrangers, HealthChecked, HealthUnknown, *TIMERS_OF_A_RUN}
"""Illegal without the watch that they belong to."""
EVERYTHING: dict[str, Any] = {"health_command": "check", "watchdog": 10.0, "notify": True}
EVERYTHING |= {"listen": ("@api",), "max_runtime": 3600.0}


def test_the_matrix_is_whole() -> None:
    """All states and all events of the module are in it."""
    assert {type(event) for event in EVENTS} == {*events.Event.__subclasses__()} - {DeadlinePassed}
    assert {*events.Action.__subclasses__()} == DECISIONS
    all_states = {value for name, value in vars(states).items() if name == value}
    assert all_states == set(LEGAL) == set(STORIES)


@pytest.mark.parametrize("settings", [{}, EVERYTHING], ids=["plain", "with everything"])
@pytest.mark.parametrize("state", LEGAL)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_each_event_in_each_state(state: State, event: Event, settings: dict[str, Any]) -> None:
    """Legal ones lead to actions; illegal ones are mistakes of ours, and change nothing."""
    subject = in_state(state, **settings)
    before = (subject.state, subject.deadline, subject.exit_status)
    if type(event) in set(LEGAL[state]) - (set() if settings else WATCHED_ONLY):
        assert {type(action) for action in subject.step(event, 100)} <= DECISIONS
        return
    with pytest.raises(IllegalTransition, match=f"^{type(event).__name__} in state {state}$"):
        subject.step(event, 100)
    assert (subject.state, subject.deadline, subject.exit_status) == before


@pytest.mark.parametrize("state", LEGAL)
def test_a_deadline_passes_where_one_is_set(state: State) -> None:
    """It is the first timer's; without one it is a mistake of ours."""
    subject = in_state(state)
    if subject.deadline is not None:
        assert {type(action) for action in subject.step(DeadlinePassed(), 30)} <= DECISIONS
        return
    with pytest.raises(IllegalTransition, match=f"^DeadlinePassed in state {state}$"):
        subject.step(DeadlinePassed(), 100)


def fail(*_: object) -> list[Action]:
    """A mistake of ours."""
    raise ZeroDivisionError


def test_a_timer_whose_event_could_not_be_handled_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a back-off would have no end."""
    subject = in_state(BACKOFF)
    pair: tuple[State, type[Event]] = (BACKOFF, BackoffOver)
    with monkeypatch.context() as patch:
        patch.setitem(service.TABLE, pair, fail)
        with pytest.raises(ZeroDivisionError):
            subject.step(DeadlinePassed(), 1)
    assert (subject.state, subject.deadline) == (BACKOFF, 2)
    assert step(subject, DeadlinePassed(), 2) == [START]


def test_a_timer_that_is_out_of_place_is_no_reason_to_try_again() -> None:
    """It is a mistake of ours, and would be one again."""
    subject = in_state(RUNNING)
    subject.timers.set(BackoffOver, 0, 1)
    with pytest.raises(IllegalTransition, match=r"^BackoffOver in state RUNNING$"):
        subject.step(DeadlinePassed(), 1)
    assert (subject.state, subject.deadline) == (RUNNING, None)


@given(st.lists(st.sampled_from([*EVENTS, DeadlinePassed()]), max_size=30), st.integers(0, 2))
def test_nothing_starts_after_a_stop(history: list[Event], burst: int) -> None:
    """Whatever happens then; and a back-off always has its end."""
    subject = in_state(RUNNING, restart="always", burst=burst, **EVERYTHING)
    stopped = False
    for now, event in enumerate(history):
        try:
            actions = subject.step(event, now)
        except IllegalTransition:
            continue
        stopped = stopped or event == TERM
        assert not (stopped and any(isinstance(action, Start) for action in actions))
        assert subject.state != BACKOFF or subject.deadline is not None


# --- What it knows --------------------------------------------------------------------


def test_would_restart() -> None:
    """Only after a crash, or if it was told to end for that; asking changes nothing."""
    assert not in_state(RUNNING).would_restart(ZERO, 100)
    for state in STORIES:
        subject = in_state(state, max_restarts=1)
        answers = [subject.would_restart(CRASH, 100) for _ in range(3)]
        assert answers == [state in {RUNNING, RESTARTING}] * 3
        assert subject.state == state


CHECKED: dict[str, Any] = {"health_command": "check", "health_interval": 30, "health_timeout": 5}


def test_ready() -> None:
    """It runs; with a watchdog it has said so; with a health command a check has passed."""
    assert in_state(RUNNING).is_ready
    for state in (STARTING, RESTARTING, BACKOFF, STOPPING, DRAINING):
        assert not in_state(state).is_ready
    subject = in_state(RUNNING, watchdog=10, **CHECKED)
    assert not subject.is_ready
    step(subject, READY, 1)
    assert not subject.is_ready
    step(subject, CheckDue(), 30)
    step(subject, PASSED, 30)
    assert subject.is_ready
    step(subject, Exited(PID, CRASH), 31)
    step(subject, Started(PID), 31)
    assert not subject.is_ready


def told(actions: list[Action]) -> list[str]:
    """What the service manager is told."""
    return [action.text for action in actions if isinstance(action, TellManager)]


def test_the_manager_is_told_once_that_it_is_ready() -> None:
    """With what becomes of it, and at the beginning of the end."""
    subject = in_state(STARTING, notify=True, watchdog=10)
    subject.step(Started(PID), 0)
    assert told(subject.step(Notified(Message(status="loading")), 1)) == ["STATUS=loading"]
    assert told(subject.step(Notified(Message(status="loading")), 1)) == []
    assert told(subject.step(READY, 2)) == ["READY=1"]
    subject.step(Exited(PID, CRASH), 3)
    assert "READY=1" not in told(subject.step(Started(PID), 3))
    assert told(subject.step(READY, 4)) == []
    assert told(subject.step(TERM, 5)) == ["STOPPING=1\nSTATUS=shutting down"]


def test_the_manager_is_told_at_the_start_of_what_says_nothing() -> None:
    """It runs: more is not to be known."""
    subject = in_state(STARTING, notify=True)
    assert told(subject.step(Started(PID), 0)) == [f"STATUS=running (pid {PID})", "READY=1"]
    assert told(in_state(RUNNING).step(TERM, 0)) == []


# --- The explanation of the end -------------------------------------------------------


GIVEN_UP = narrate.why_no_restart(GAVE_UP, 1)
REFUSAL = narrate.why_no_restart(REFUSED, 0)
STOPPED = narrate.stopped_by(SIGTERM)
NO_EXEC = End(NOT_FOUND.status, error=NOT_FOUND.error)
NEVER: dict[str, Any] = {"restart": "never"}


@pytest.mark.parametrize(
    ("settings", "history", "end", "restarts", "why"),
    [
        (
            {"max_restarts": 1},
            [CRASHED, STARTED, Exited(PID, ExitStatus(signal=11))],
            End(ExitStatus(signal=11)),
            1,
            GIVEN_UP,
        ),
        (NEVER, [Exited(PID, ExitStatus(code=3))], End(ExitStatus(code=3)), 0, REFUSAL),
        ({}, [TERM, TERMINATED], End(TERMINATED.status), 0, STOPPED),
        (
            {"watchdog": 10, **NEVER},
            [Notified(Message(trigger=True)), ABORTED],
            End(ABORTED.status, HUNG),
            0,
            REFUSAL,
        ),
        (
            NEVER,
            [Exited(PID, KILLED.status, out_of_memory=True)],
            End(KILLED.status, out_of_memory=True),
            0,
            REFUSAL,
        ),
    ],
)
def test_the_explanation_of_the_end(
    settings: dict[str, Any], history: list[Event], end: End, restarts: int, why: str
) -> None:
    """How the last run ended, how often there was another one, and why there is none now."""
    subject = in_state(RUNNING, **settings)
    for event in history:
        subject.step(event, 40)
    assert subject.explain_end(42) == narrate.termination("cmd", end, restarts, 42, why)


def test_the_explanation_of_a_restart_that_failed() -> None:
    """The last thing that happened is what counts."""
    subject = in_state(RUNNING, max_restarts=1)
    subject.step(CRASHED, 10)
    subject.step(NOT_FOUND, 10)
    assert (subject.last_exit, subject.exit_status) == ("exit:127", 127)
    assert subject.explain_end(42) == narrate.termination("cmd", NO_EXEC, 1, 42, GIVEN_UP)


def test_the_explanation_of_an_end_before_the_start() -> None:
    """There was no run."""
    subject = in_state(STARTING)
    subject.step(NOT_FOUND, 0)
    assert subject.explain_end(0) == narrate.termination("cmd", NO_EXEC, 0, 0, "")
    subject = in_state(BACKOFF)
    subject.step(TERM, 2)
    assert subject.explain_end(2) == narrate.termination("cmd", None, 0, 2, STOPPED)
