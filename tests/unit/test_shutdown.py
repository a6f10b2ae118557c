"""The end: the stop, the drain, and the kill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rebound.core import narrate
from rebound.core.events import (
    Action,
    AskAdopted,
    ChildrenReaped,
    DeadlinePassed,
    Event,
    Exited,
    FiltersSpared,
    KillChildren,
    KillOverdue,
    NoChildren,
    NoneAdopted,
    NoneKillable,
    RestartAnswered,
    RestartRequested,
    SignalChildren,
    SignalCommand,
    SignalReceived,
    SignalRefused,
    StopRequested,
    StopTimeoutOver,
    say,
)
from rebound.core.exitstatus import ExitStatus
from rebound.core.signals import SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM
from rebound.core.states import (
    BACKOFF,
    CLEARING,
    DRAINING,
    ENDED,
    KILLING,
    RESTARTING,
    RUNNING,
    STOPPING,
)
from rebound.core.values import parse_statuses
from tests.unit.stories import (
    CRASH,
    CRASHED,
    END,
    HUP,
    INT,
    KILL,
    KILLED,
    PID,
    QUIT,
    RESUME,
    TERM,
    ZERO,
    facts,
    hang,
    in_state,
    step,
)

if TYPE_CHECKING:
    from rebound.core.states import State

# --- The end by itself ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "status", "shell_status"),
    [
        ({}, ZERO, 0),
        ({}, ExitStatus(signal=SIGTERM), 143),
        ({}, ExitStatus(signal=SIGINT), 130),
        ({"restart": "always"}, ExitStatus(signal=SIGTERM), 143),
        ({"stop_signals": frozenset({SIGQUIT})}, ExitStatus(signal=SIGQUIT), 131),
        ({"restart": "never"}, CRASH, 1),
        ({"restart": "never"}, ExitStatus(signal=9), 137),
        ({"no_restart": parse_statuses("78,QUIT")}, ExitStatus(code=78), 78),
        ({"no_restart": parse_statuses("78,QUIT")}, ExitStatus(signal=SIGQUIT), 131),
        ({"success": parse_statuses("78,QUIT")}, ExitStatus(code=78), 0),
        ({"success": parse_statuses("143")}, ExitStatus(signal=SIGTERM), 0),
        ({"success": parse_statuses("143"), "restart": "never"}, CRASH, 1),
    ],
)
def test_the_command_ends(settings: dict[str, Any], status: ExitStatus, shell_status: int) -> None:
    """Its status is ours, what it left behind is asked to stop, and that takes 30 s at most."""
    subject = in_state(RUNNING, **settings)
    assert step(subject, Exited(PID, status)) == [AskAdopted(SIGTERM, spare_filters=True)]
    assert (subject.state, subject.deadline) == (DRAINING, 130)
    assert step(subject, NoChildren()) == []
    assert (subject.state, subject.exit_status) == (ENDED, shell_status)
    assert subject.deadline is None


# --- A stop in each state -------------------------------------------------------------


@pytest.mark.parametrize("stop", [TERM, INT, HUP], ids=repr)
def test_a_stop_is_forwarded_and_awaited(stop: StopRequested) -> None:
    """With a SIGCONT, lest the command be stopped; its status is ours, whatever it is."""
    subject = in_state(RUNNING)
    assert step(subject, stop) == [SignalCommand(stop.signo), RESUME]
    assert (subject.state, subject.deadline) == (STOPPING, None)
    step(subject, Exited(PID, ExitStatus(code=3)))
    assert (subject.state, subject.deadline, subject.exit_status) == (DRAINING, None, 3)


@pytest.mark.parametrize(
    ("success", "status", "shell_status"),
    [("7", ExitStatus(code=7), 0), ("7", CRASH, 1), ("TERM", ExitStatus(signal=SIGTERM), 0)],
)
def test_a_success_after_a_stop(success: str, status: ExitStatus, shell_status: int) -> None:
    """-e also counts for what a stop leads to: tini's use of it."""
    subject = in_state(STOPPING, success=parse_statuses(success))
    step(subject, Exited(PID, status))
    assert subject.exit_status == shell_status


def test_a_signal_that_the_command_has_already_is_not_sent_twice() -> None:
    """^C in its process group; the SIGCONT is still due."""
    subject = in_state(RUNNING)
    assert step(subject, StopRequested(SIGINT, delivered=True)) == [RESUME]
    assert subject.state == STOPPING


@pytest.mark.parametrize("stop", [TERM, INT, HUP], ids=repr)
@pytest.mark.parametrize(("timeout", "deadline"), [(None, None), (5, 105)])
def test_a_stop_in_backoff_ends_at_once(
    stop: StopRequested, timeout: float | None, deadline: float | None
) -> None:
    """No further run; the deadline is the drain's now."""
    subject = in_state(BACKOFF, stop_timeout=timeout)
    assert [type(action) for action in step(subject, stop)] == [AskAdopted]
    assert (subject.state, subject.deadline) == (DRAINING, deadline)
    assert subject.exit_status == 128 + stop.signo


def test_a_further_stop_while_stopping_is_forwarded() -> None:
    """The shutdown's deadline stays that of the first."""
    subject = in_state(RUNNING, stop_timeout=10)
    step(subject, TERM, 100)
    assert step(subject, INT, 105) == [SignalCommand(SIGINT), RESUME]
    assert (subject.state, subject.deadline) == (STOPPING, 110)


def test_a_further_stop_while_draining_is_passed_on() -> None:
    """To all that still runs; the deadline stays."""
    subject = in_state(DRAINING)
    assert step(subject, INT) == [SignalChildren(SIGINT)]
    assert (subject.state, subject.deadline, subject.exit_status) == (DRAINING, 30, 143)


def test_a_stop_while_killing_changes_nothing() -> None:
    """Nothing stronger is left."""
    subject = in_state(KILLING)
    assert step(subject, TERM) == []
    assert subject.state == KILLING


@pytest.mark.parametrize(("target", "sent"), [(SIGINT, [SignalCommand(SIGINT)]), (0, [])])
def test_a_rewritten_stop_is_still_a_stop(target: int, sent: list[Action]) -> None:
    """Only the command sees another signal, the first time and every further time."""
    subject = in_state(RUNNING, rewrite=((SIGTERM, target),))
    assert step(subject, TERM) == [*sent, RESUME]
    assert subject.state == STOPPING
    assert step(subject, TERM) == [*sent, RESUME]


def test_a_stop_comes_before_a_restart() -> None:
    """Whoever waits for the restart is told; a run that does not end is still killed."""
    subject = in_state(RUNNING, watchdog=10)
    step(subject, RestartRequested(), 1)
    assert step(subject, TERM, 2) == [*END, RestartAnswered("shutting down")]
    assert (subject.state, subject.deadline) == (STOPPING, 11)
    assert step(subject, DeadlinePassed(), 11) == [SignalCommand(SIGKILL)]
    assert subject.state == STOPPING
    assert step(subject, KILLED, 12) == [AskAdopted(SIGTERM, spare_filters=True)]
    assert (subject.state, subject.deadline) == (DRAINING, None)


@pytest.mark.parametrize("event", [TERM, SignalReceived(SIGCONT), ChildrenReaped(), NoChildren()])
def test_what_comes_with_the_end_changes_nothing(event: Event) -> None:
    """Signals of one turn meet the state that the first of them has led to."""
    subject = in_state(ENDED)
    assert subject.step(event, 100) == []
    assert (subject.state, subject.exit_status) == (ENDED, 0)


TAKEN = StopRequested(SIGINT, delivered=True)


@pytest.mark.parametrize(
    ("state", "what"),
    [
        (RUNNING, narrate.FORWARDED),
        (RESTARTING, narrate.FORWARDED),
        (CLEARING, narrate.SHUTTING_DOWN),
        (BACKOFF, narrate.SHUTTING_DOWN),
        (STOPPING, narrate.FORWARDED),
        (DRAINING, narrate.PASSED_ON),
    ],
)
@pytest.mark.parametrize("rewrite", [(), ((SIGINT, 0), (SIGHUP, 0))], ids=["forwarded", "dropped"])
@pytest.mark.parametrize("stop", [INT, HUP, TAKEN], ids=repr)
def test_each_stop_is_told(state: State, what: str, rewrite: Any, stop: StopRequested) -> None:
    """Which it was, and what is done about it."""
    if what == narrate.FORWARDED and (stop == TAKEN or rewrite):
        what = narrate.DELIVERED if stop == TAKEN else narrate.DROPPED
    told = say(narrate.stop_received, stop.signo, what)
    assert facts(in_state(state, rewrite=rewrite), stop) == [told]


# --- Drain ----------------------------------------------------------------------------


def test_the_drain_goes_down_the_trees() -> None:
    """What a process leaves behind is adopted, and asked in turn, until nothing is left."""
    subject = in_state(STOPPING)
    assert step(subject, CRASHED) == [AskAdopted(SIGTERM, spare_filters=True)]
    for _ in range(3):
        assert step(subject, ChildrenReaped()) == [AskAdopted(SIGTERM, spare_filters=True)]
        assert subject.state == DRAINING
    assert step(subject, NoChildren()) == []
    assert (subject.state, subject.deadline) == (ENDED, None)


@pytest.mark.parametrize(
    ("settings", "stop", "drain_signal"),
    [
        ({}, TERM, SIGTERM),
        ({}, INT, SIGINT),
        ({}, HUP, SIGTERM),
        ({"rewrite": ((SIGTERM, SIGINT),)}, TERM, SIGINT),
        ({"rewrite": ((SIGTERM, SIGINT),)}, INT, SIGINT),
        ({"rewrite": ((SIGHUP, SIGQUIT),)}, HUP, SIGQUIT),
        ({"rewrite": ((SIGINT, SIGHUP),)}, INT, SIGTERM),
        ({"rewrite": ((SIGINT, 0),)}, INT, SIGTERM),
        ({"drain_signal": SIGQUIT}, TERM, SIGQUIT),
        ({"drain_signal": SIGHUP}, HUP, SIGHUP),
        ({"stop_signals": frozenset({SIGQUIT})}, QUIT, SIGTERM),
        ({"stop_signals": frozenset({SIGQUIT}), "drain_signal": SIGINT}, QUIT, SIGINT),
        ({"stop_signals": frozenset({SIGQUIT}), "rewrite": ((SIGQUIT, SIGINT),)}, QUIT, SIGINT),
        ({"drain_signal": SIGQUIT, "rewrite": ((SIGTERM, SIGINT),)}, TERM, SIGQUIT),
    ],
)
def test_what_adopted_processes_are_sent(
    settings: dict[str, Any], stop: StopRequested, drain_signal: int
) -> None:
    """--drain-signal, or what the command was sent; a daemon would not stop for a hang-up."""
    subject = in_state(RUNNING, **settings)
    step(subject, stop)
    assert step(subject, CRASHED) == [AskAdopted(drain_signal, spare_filters=True)]
    assert step(subject, ChildrenReaped()) == [AskAdopted(drain_signal, spare_filters=True)]


@pytest.mark.parametrize("state", [RUNNING, BACKOFF])
def test_the_drain_signal_counts_at_every_end(state: State) -> None:
    """Also when nobody asked for one, and when there is no command."""
    subject = in_state(state, drain_signal=SIGQUIT)
    end = Exited(PID, ZERO) if state == RUNNING else TERM
    assert step(subject, end) == [AskAdopted(SIGQUIT, spare_filters=True)]


def test_a_delivered_key_is_what_the_command_was_sent() -> None:
    """The kernel does not rewrite; what is adopted gets the same."""
    subject = in_state(RUNNING, rewrite=((SIGINT, SIGTERM),))
    step(subject, StopRequested(SIGINT, delivered=True))
    assert step(subject, CRASHED) == [AskAdopted(SIGINT, spare_filters=True)]


def test_a_filter_of_the_output_may_end_by_itself() -> None:
    """It has the last lines to write; daemons are asked at once."""
    subject = in_state(STOPPING)
    assert step(subject, CRASHED, 100) == [AskAdopted(SIGTERM, spare_filters=True)]
    assert step(subject, FiltersSpared(), 100) == []
    assert subject.deadline == 100.2
    assert step(subject, ChildrenReaped(), 100.1) == [AskAdopted(SIGTERM, spare_filters=True)]
    step(subject, FiltersSpared(), 100.1)
    assert subject.deadline == 100.2
    assert step(subject, DeadlinePassed(), 100.2) == [AskAdopted(SIGTERM)]
    assert step(subject, ChildrenReaped(), 100.3) == [AskAdopted(SIGTERM)]
    assert subject.deadline is None


def test_a_health_check_that_cannot_be_killed_holds_up_no_end() -> None:
    """It is the only child that is left."""
    subject = in_state(DRAINING)
    assert step(subject, NoneAdopted(), 10) == []
    step(subject, NoneAdopted(), 15)
    assert subject.deadline == 20
    assert step(subject, DeadlinePassed(), 20) == []
    assert subject.state == ENDED


# --- The stop timeout -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "after_signal", "after_own_end"),
    [({}, None, 130), ({"stop_timeout": 5}, 105, 105), ({"stop_timeout": 0}, 100, 100)],
)
def test_the_deadline_of_a_shutdown(
    settings: dict[str, Any], after_signal: float | None, after_own_end: float
) -> None:
    """Counted from the shutdown's beginning, not from the command's end."""
    subject = in_state(RUNNING, **settings)
    step(subject, TERM, 100)
    assert subject.deadline == after_signal
    step(subject, CRASHED, 103)
    assert subject.deadline == after_signal
    subject = in_state(RUNNING, **settings)
    step(subject, Exited(PID, ZERO), 100)
    assert subject.deadline == after_own_end


def test_the_stop_timeout_counts_beside_it() -> None:
    """Whichever comes first."""
    subject = in_state(RUNNING, watchdog=10, stop_timeout=3)
    hang(subject)
    step(subject, TERM, 21)
    assert subject.deadline == 24
    assert step(subject, DeadlinePassed(), 24) == [KillChildren("stop timeout is over")]
    assert (subject.state, subject.deadline) == (KILLING, 34)


def test_a_command_that_does_not_stop_is_killed() -> None:
    """With all else; its status is that of the kill."""
    subject = in_state(STOPPING, stop_timeout=5)
    assert step(subject, StopTimeoutOver()) == [KILL]
    assert (subject.state, subject.deadline) == (KILLING, 110)
    assert step(subject, Exited(PID, ExitStatus(signal=SIGKILL))) == [KILL]
    assert subject.state == KILLING
    assert step(subject, NoChildren()) == []
    assert (subject.state, subject.exit_status) == (ENDED, 137)


def test_adopted_processes_that_do_not_stop_are_killed() -> None:
    """Generation by generation; the status is the command's."""
    subject = in_state(DRAINING)
    assert step(subject, StopTimeoutOver()) == [KILL]
    assert (subject.state, subject.deadline) == (KILLING, 110)
    assert step(subject, ChildrenReaped()) == [KILL]
    assert step(subject, NoChildren()) == []
    assert (subject.state, subject.exit_status) == (ENDED, 143)


def test_what_does_not_end_although_it_was_killed_is_left() -> None:
    """In the kernel's hands, or frozen: it is not waited for without end."""
    subject = in_state(DRAINING)
    step(subject, StopTimeoutOver(), 100)
    step(subject, ChildrenReaped(), 105)  # others do end
    assert subject.deadline == 110
    assert facts(subject, DeadlinePassed(), 110) == [say(narrate.not_killed, 10)]
    assert subject.state == ENDED


def test_what_may_not_be_killed_is_left() -> None:
    """Rather than waited for without end."""
    subject = in_state(KILLING)
    assert step(subject, NoneKillable()) == []
    assert subject.state == ENDED


def test_a_command_that_may_not_be_killed_is_no_success() -> None:
    subject = in_state(STOPPING)
    step(subject, StopTimeoutOver())
    step(subject, NoneKillable())
    assert (subject.state, subject.exit_status) == (ENDED, 143)


# --- A command that may not be signalled ----------------------------------------------


def test_a_stop_that_may_not_be_forwarded_drains_the_others() -> None:
    """A database must have its time, whatever the command does."""
    subject = in_state(STOPPING)
    assert step(subject, SignalRefused()) == [AskAdopted(SIGTERM, spare_filters=True)]
    assert (subject.state, subject.deadline) == (DRAINING, None)
    assert step(subject, NoneAdopted()) == []
    assert (subject.state, subject.exit_status) == (ENDED, 143)


@pytest.mark.parametrize(
    ("event", "why"),
    [(SignalRefused(), narrate.NOT_PERMITTED), (KillOverdue(), narrate.NOT_GONE)],
    ids=repr,
)
def test_that_a_command_is_left_is_told(event: Event, why: str) -> None:
    assert facts(in_state(STOPPING), event) == [say(narrate.leaving_child, PID, why)]


def test_a_command_that_was_left_and_ends_after_all() -> None:
    """Its status counts again."""
    subject = in_state(STOPPING)
    step(subject, SignalRefused())
    assert step(subject, Exited(PID, ExitStatus(code=3))) == [
        AskAdopted(SIGTERM, spare_filters=True)
    ]
    assert step(subject, NoChildren()) == []
    assert (subject.state, subject.exit_status) == (ENDED, 3)


def test_a_stop_after_a_kill_that_had_no_effect_drains_the_others() -> None:
    subject = in_state(RESTARTING)
    step(subject, DeadlinePassed(), 10)
    step(subject, TERM, 11)
    assert subject.deadline == 20
    assert step(subject, DeadlinePassed(), 20) == [AskAdopted(SIGTERM, spare_filters=True)]
    assert subject.state == DRAINING


def test_what_a_health_check_leaves_behind_has_all_its_time() -> None:
    """That nothing but the killed check was left is no longer true, then."""
    subject = in_state(DRAINING, stop_timeout=60)
    step(subject, NoneAdopted(), 10)
    assert subject.deadline == 20
    assert step(subject, ChildrenReaped(), 11) == [AskAdopted(SIGTERM, spare_filters=True)]
    assert subject.timers.time_of(KillOverdue) is None
    assert subject.state == DRAINING
