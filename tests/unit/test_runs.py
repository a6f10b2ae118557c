"""One run after the other: starts, crashes, delays, restarts that were asked for, signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from rebound.core import narrate
from rebound.core.events import (
    AskAdopted,
    BackoffOver,
    Begin,
    ChildrenReaped,
    DeadlinePassed,
    Event,
    ExecFailed,
    Exited,
    ForkFailed,
    KillChildren,
    KillDue,
    NoChildren,
    NoneAdopted,
    NoneKillable,
    RestartAnswered,
    RestartRequested,
    SignalCommand,
    SignalReceived,
    SignalRefused,
    Start,
    Started,
    say,
)
from rebound.core.exitstatus import HUNG, MEMORY, UNHEALTHY, End, ExitStatus
from rebound.core.restart import GAVE_UP, MEANT, REFUSED, RESTART
from rebound.core.service import Service
from rebound.core.signals import SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGWINCH
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
from rebound.core.values import parse_statuses
from tests.unit.stories import (
    ABORTED,
    CRASH,
    CRASHED,
    END,
    KILLED,
    NO_FORK,
    NOT_FOUND,
    PID,
    START,
    STARTED,
    TERM,
    TERMINATED,
    WATCHED,
    ZERO,
    facts,
    fall_ill,
    hang,
    in_state,
    request,
    step,
    take_memory,
)

if TYPE_CHECKING:
    from rebound.core.restart import Verdict
    from rebound.core.states import State

    Story = Callable[[Service], None]

NO_EXEC = End(NOT_FOUND.status, error=NOT_FOUND.error)

# --- Crash and restart ----------------------------------------------------------------


def test_a_crash_leads_to_a_restart_at_once() -> None:
    """And to nothing else: what was adopted is left alone."""
    subject = in_state(STARTING)
    assert step(subject, Begin()) == [START]
    assert subject.state == STARTING
    for _ in range(4):
        assert step(subject, STARTED) == []
        assert subject.state == RUNNING
        assert step(subject, CRASHED) == [START]
        assert (subject.state, subject.deadline) == (STARTING, None)


def test_a_start_says_all_that_it_takes() -> None:
    """How often there was one, and how the last run ended: for the command's environment."""
    subject = in_state(STARTING)
    assert subject.step(Begin(), 0)[-1] == Start(0)
    subject.step(STARTED, 0)
    assert subject.step(CRASHED, 0)[-1] == Start(1, "exit:1")
    subject.step(STARTED, 0)
    assert subject.step(Exited(PID, ExitStatus(signal=11)), 0)[-1] == Start(2, "signal:SIGSEGV")


def test_rapid_crashes_lead_to_a_backoff() -> None:
    """The restart comes with the deadline; then nothing is left of it."""
    subject = in_state(RUNNING, burst=1, reset_after=1000)
    for now, backoff in ((100, 1), (200, 2), (300, 4)):
        assert step(subject, CRASHED, now) == []
        assert (subject.state, subject.deadline) == (BACKOFF, now + backoff)
        assert step(subject, DeadlinePassed(), now + backoff) == [START]
        assert (subject.state, subject.deadline) == (STARTING, None)
        step(subject, STARTED, now + backoff)


def test_run_time_begins_with_the_start() -> None:
    """The delay before a run is no part of it: short runs are rapid failures all the same."""
    subject = in_state(RUNNING, burst=2, restart_delay=0.5, reset_after=0.25)
    step(subject, CRASHED, 0.125)
    assert subject.deadline == 0.125 + 0.5
    step(subject, DeadlinePassed(), 0.625)
    step(subject, STARTED, 0.625)
    step(subject, CRASHED, 0.75)
    assert subject.deadline == 0.75 + 1  # the second rapid failure
    step(subject, DeadlinePassed(), 1.75)
    step(subject, STARTED, 1.75)
    step(subject, CRASHED, 2)
    assert subject.deadline == 2 + 0.5  # this run was long enough


def test_every_restart_waits_for_the_delay() -> None:
    """-d."""
    subject = in_state(RUNNING, restart_delay=3)
    assert step(subject, CRASHED) == []
    assert (subject.state, subject.deadline) == (BACKOFF, 103)


def test_back_off_and_restart_delay_are_no_such_timers() -> None:
    """They are over, however late that is noticed."""
    subject = in_state(BACKOFF)
    assert step(subject, DeadlinePassed(), 4000) == [START]


def test_restart_on_zero() -> None:
    """-0."""
    assert step(in_state(RUNNING, restart="always"), Exited(PID, ZERO)) == [START]


def test_giving_up_ends_with_the_last_status() -> None:
    """-r 1: the second crash."""
    subject = in_state(RUNNING, max_restarts=1)
    assert step(subject, CRASHED) == [START]
    step(subject, STARTED)
    assert step(subject, Exited(PID, ExitStatus(signal=11))) == [
        AskAdopted(SIGTERM, spare_filters=True)
    ]
    assert (subject.state, subject.exit_status) == (DRAINING, 139)


@pytest.mark.parametrize("state", [RUNNING, BACKOFF, STOPPING])
def test_orphans_that_end_before_the_drain_change_nothing(state: State) -> None:
    """They are reaped, that is all."""
    subject = in_state(state)
    deadline = subject.deadline
    assert subject.step(ChildrenReaped(), 100) == []
    assert (subject.state, subject.deadline) == (state, deadline)


def test_no_child_at_all_in_backoff_is_no_end() -> None:
    """The command comes back."""
    subject = in_state(BACKOFF)
    assert subject.step(NoChildren(), 100) == []
    assert (subject.state, subject.deadline) == (BACKOFF, 1)


def test_the_causes_of_the_last_end() -> None:
    """What REBOUND_LAST_EXIT tells the next run."""
    subject = in_state(RUNNING, **WATCHED, burst=0)
    assert subject.last_exit == ""
    for begin, ended, last_exit in (
        (None, Exited(PID, CRASH), "exit:1"),
        (None, Exited(PID, ExitStatus(signal=11)), "signal:SIGSEGV"),
        (None, Exited(PID, ExitStatus(signal=SIGKILL), out_of_memory=True), "oom"),
        (hang, KILLED, "hung"),
        (fall_ill, TERMINATED, "unhealthy"),
        (request, Exited(PID, ExitStatus(code=3)), "exit:3"),
    ):
        if begin:
            begin(subject)
        step(subject, ended, 20)
        step(subject, Started(PID), 20)
        assert subject.last_exit == last_exit


# --- Starts that fail -----------------------------------------------------------------


def test_a_command_that_cannot_be_executed_ends_rebound() -> None:
    """If it never ran; a failed fork before is no run."""
    subject = in_state(STARTING)
    step(subject, Begin())
    step(subject, NO_FORK)
    step(subject, BackoffOver())
    assert step(subject, NOT_FOUND) == [AskAdopted(SIGTERM, spare_filters=True)]
    assert (subject.state, subject.deadline, subject.exit_status) == (DRAINING, 130, 127)


def test_a_command_that_can_no_longer_be_executed_is_tried_again() -> None:
    """Its file may just be replaced: with back-off, and within -r."""
    subject = in_state(RUNNING, max_restarts=3)
    step(subject, CRASHED)
    for now in (100, 200):
        assert step(subject, NOT_FOUND, now) == []
        assert (subject.state, subject.deadline) == (BACKOFF, now + 1)
        assert step(subject, DeadlinePassed(), now + 1) == [START]
    assert facts(subject, NOT_FOUND) == [
        say(narrate.exec_failed, "cmd", NO_EXEC, False),
        say(narrate.giving_up, 3),
    ]
    assert (subject.state, subject.exit_status) == (DRAINING, 127)


@pytest.mark.parametrize("failure", [NOT_FOUND, NO_FORK])
def test_a_failed_start_is_never_tried_again_at_once(failure: Event) -> None:
    """Nothing else bounds such a loop, in which no signal would be looked at."""
    subject = in_state(RUNNING, max_delay=0.0, burst=0)
    assert step(subject, CRASHED) == [START]
    assert step(subject, failure) == []
    assert subject.state == BACKOFF
    assert subject.deadline is not None
    assert subject.deadline > 100


@pytest.mark.parametrize("ran_before", [False, True])
def test_a_failed_fork_is_tried_again(ran_before: bool) -> None:
    """On any start, with back-off."""
    subject = in_state(RUNNING if ran_before else STARTING)
    step(subject, CRASHED if ran_before else Begin())
    for now, backoff in ((100, 1), (200, 2), (300, 4)):
        assert step(subject, NO_FORK, now) == []
        assert (subject.state, subject.deadline) == (BACKOFF, now + backoff)
        assert step(subject, DeadlinePassed(), now + backoff) == [START]
    step(subject, STARTED)
    assert subject.state == RUNNING


# --- A run that had to be ended -------------------------------------------------------


@pytest.mark.parametrize("end", [hang, fall_ill, request])
@pytest.mark.parametrize("status", [ZERO, CRASH, ExitStatus(signal=SIGTERM)], ids=str)
def test_however_it_ends_it_is_started_again(end: Story, status: ExitStatus) -> None:
    """-e and -n are for what the command does by itself, not for an answer to our signal."""
    subject = in_state(RUNNING, **WATCHED)
    end(subject)
    assert subject.state == RESTARTING
    assert subject.would_restart(status, 2)
    assert step(subject, Exited(PID, status), 2) == [START]
    assert subject.restarts == 1


@pytest.mark.parametrize("end", [hang, fall_ill, take_memory])
def test_what_still_ends_rebound(end: Story) -> None:
    """--restart never and -r are about all failures."""
    for settings in ({"restart": "never"}, {"max_restarts": 1}):
        subject = in_state(RUNNING, **WATCHED, **settings)
        if "max_restarts" in settings:
            step(subject, Exited(PID, CRASH), 1)
            step(subject, Started(PID), 1)
        end(subject)
        step(subject, ABORTED, 2)
        assert subject.state == DRAINING
        assert subject.exit_status == 134


@pytest.mark.parametrize(
    ("end", "cause"), [(hang, HUNG), (fall_ill, UNHEALTHY), (take_memory, MEMORY)]
)
@pytest.mark.parametrize("success", ["", "143"])
def test_a_run_that_had_to_be_ended_is_no_success(end: Story, cause: str, success: str) -> None:
    """However well it takes our signal; nor is it for -e to say."""
    settings = {"success": parse_statuses(success)} if success else {}
    subject = in_state(RUNNING, **WATCHED, restart="never", **settings)
    end(subject)
    exited = Exited(PID, ExitStatus(code=143) if success else ZERO)
    told = say(narrate.ended, exited, End(exited.status, cause), REFUSED, 21, 0)
    assert facts(subject, exited, 21) == [told]
    assert subject.exit_status == (143 if success else 1)


def test_a_late_kill_is_no_mistake() -> None:
    """The timer is for the run that was told to end."""
    subject = in_state(RESTARTING)
    assert step(subject, KillDue(), 10) == [SignalCommand(SIGKILL)]
    assert step(subject, KILLED, 11) == [START]
    assert subject.deadline is None


def test_other_signals_and_orphans_while_it_ends() -> None:
    """As ever."""
    subject = in_state(RESTARTING)
    assert step(subject, SignalReceived(SIGHUP)) == [SignalCommand(SIGHUP)]
    assert step(subject, ChildrenReaped()) == []
    assert subject.state == RESTARTING


def test_a_command_that_may_not_be_signalled_goes_on() -> None:
    """And whoever asked for a restart is told."""
    subject = in_state(RESTARTING)
    assert step(subject, SignalRefused()) == [RestartAnswered("the command may not be signalled")]
    assert (subject.state, subject.deadline, subject.run.cause) == (RUNNING, None, "")


def test_a_command_that_was_killed_and_is_still_there_is_waited_for() -> None:
    """There is never more than one; but nobody waits for an answer meanwhile."""
    subject = in_state(RESTARTING)
    step(subject, DeadlinePassed(), 10)
    assert (subject.state, subject.deadline) == (RESTARTING, 20)
    assert step(subject, DeadlinePassed(), 20) == [
        RestartAnswered("the command was killed and is still there")
    ]
    assert (subject.state, subject.deadline) == (RESTARTING, None)
    assert step(subject, Exited(PID, ExitStatus(signal=SIGKILL)), 99) == [START]


# --- Restart on request ---------------------------------------------------------------


def test_a_requested_restart_comes_at_once_whatever_ended_the_run() -> None:
    """Neither a delay nor -r nor --restart never counts for who asks while it is being ended."""
    settings = {"restart_delay": 12, "restart": "never", "burst": 1}
    subject = in_state(RUNNING, watchdog=10, **settings)
    hang(subject)
    request(subject)
    assert step(subject, ABORTED, 21) == [START]
    assert step(subject, Started(PID), 21) == [RestartAnswered()]
    assert subject.last_exit == "hung"


def test_a_requested_restart_is_no_failure() -> None:
    """It counts as a restart, but not for -r, nor as a rapid failure; it has no delay."""
    settings = {"max_restarts": 1, "burst": 1, "restart_delay": 5, "restart": "never"}
    subject = in_state(RUNNING, **settings)
    for restarts in range(1, 5):
        assert step(subject, RestartRequested()) == END
        assert subject.deadline == 110
        assert step(subject, TERMINATED) == [START]
        assert step(subject, Started(PID)) == [RestartAnswered()]
        assert (subject.restarts, subject.last_exit) == (restarts, "signal:SIGTERM")


def test_requests_in_other_states() -> None:
    """In back-off it starts at once; at the end it is refused."""
    subject = in_state(BACKOFF)
    assert step(subject, RestartRequested(), 0.1) == [START]
    assert step(subject, Started(PID), 0.1) == [RestartAnswered()]
    subject = in_state(RUNNING, watchdog=10)
    hang(subject)
    assert step(subject, RestartRequested()) == []
    step(subject, ABORTED)
    assert step(subject, Started(PID)) == [RestartAnswered()]
    for state in (STOPPING, DRAINING, KILLING, ENDED):
        assert step(in_state(state), RestartRequested()) == [RestartAnswered("shutting down")]


def test_a_requested_restart_that_cannot_be_made() -> None:
    """A failed exec is an answer; after a failed fork it is still to come."""
    subject = in_state(RESTARTING)
    step(subject, TERMINATED)
    failed = step(subject, ExecFailed("No such file or directory", ExitStatus(code=127)))
    assert failed == [RestartAnswered("exec cmd: No such file or directory")]
    subject = in_state(RESTARTING)
    step(subject, TERMINATED, 100)
    assert step(subject, ForkFailed("no memory"), 100) == []
    step(subject, DeadlinePassed(), 101)
    assert step(subject, Started(PID), 101) == [RestartAnswered()]


# --- What a run left behind -----------------------------------------------------------


ASK = AskAdopted(SIGTERM, spare_filters=True, everybody=False)
"""Processes that no run has left, as of `docker exec`, are nobody's leftovers."""


def test_with_fresh_the_next_start_comes_when_nothing_is_left() -> None:
    """Asked like at the end, filters spared."""
    subject = in_state(RUNNING, fresh=True)
    assert step(subject, CRASHED, 100) == [ASK]
    assert (subject.state, subject.deadline) == (CLEARING, 110)
    assert step(subject, ChildrenReaped(), 101) == [ASK]
    assert step(subject, NoChildren(), 102) == [START]
    assert (subject.state, subject.deadline) == (STARTING, None)


def test_with_fresh_what_does_not_end_is_killed() -> None:
    """Generation by generation; and what cannot be is said, and left."""
    subject = in_state(RUNNING, fresh=True)
    step(subject, CRASHED, 100)
    kill = KillChildren("10s after they were asked to stop", everybody=False)
    assert step(subject, DeadlinePassed(), 110) == [kill]
    assert step(subject, ChildrenReaped(), 111) == [kill]
    assert subject.deadline == 120
    assert step(subject, DeadlinePassed(), 120) == [START]


@pytest.mark.parametrize("event", [NoneKillable(), NoneAdopted(), NoChildren()], ids=repr)
def test_with_fresh_the_delay_goes_on_meanwhile(event: Event) -> None:
    """It is counted from the run's end."""
    subject = in_state(RUNNING, fresh=True, restart_delay=3)
    step(subject, CRASHED, 100)
    assert step(subject, event, 101) == []
    assert (subject.state, subject.deadline) == (BACKOFF, 103)
    subject = in_state(RUNNING, fresh=True, restart_delay=3)
    step(subject, CRASHED, 100)
    assert step(subject, event, 104) == [START]


def test_with_fresh_a_stop_meanwhile_is_a_stop() -> None:
    """Nothing is killed then, and nothing starts."""
    subject = in_state(CLEARING)
    assert step(subject, TERM) == [AskAdopted(SIGTERM, spare_filters=True)]
    assert (subject.state, subject.deadline, subject.exit_status) == (DRAINING, None, 143)


def test_with_fresh_a_requested_restart_waits_for_no_delay() -> None:
    """But for what is left."""
    subject = in_state(RUNNING, fresh=True, restart_delay=60)
    step(subject, CRASHED, 100)
    assert step(subject, RestartRequested(), 101) == []
    assert step(subject, NoChildren(), 102) == [START]
    assert step(subject, STARTED, 102) == [RestartAnswered("")]


# --- Other signals --------------------------------------------------------------------


@pytest.mark.parametrize("state", [RUNNING, STOPPING])
@pytest.mark.parametrize("value", [None, 0, 42])
def test_signals_are_forwarded(state: State, value: int | None) -> None:
    """With the value of a queued one; the state stays."""
    subject = in_state(state)
    assert step(subject, SignalReceived(SIGHUP, value)) == [SignalCommand(SIGHUP, value)]
    assert subject.state == state


@pytest.mark.parametrize("state", [BACKOFF, DRAINING, KILLING])
def test_without_a_command_signals_go_nowhere(state: State) -> None:
    """And do no harm."""
    subject = in_state(state)
    deadline = subject.deadline
    assert step(subject, SignalReceived(SIGHUP)) == []
    assert (subject.state, subject.deadline) == (state, deadline)


def test_signals_are_rewritten() -> None:
    """Another one in its place, with its value, or none; the last rule for a signal counts."""
    rules = ((SIGHUP, SIGTERM), (SIGHUP, SIGWINCH), (SIGQUIT, 0))
    subject = in_state(RUNNING, rewrite=rules)
    assert step(subject, SignalReceived(SIGHUP, 42)) == [SignalCommand(SIGWINCH, 42)]
    assert step(subject, SignalReceived(SIGQUIT)) == []
    assert step(subject, SignalReceived(SIGWINCH)) == [SignalCommand(SIGWINCH)]
    assert subject.state == RUNNING


# --- The facts ------------------------------------------------------------------------


SEGV = Exited(PID, ExitStatus(signal=11, core_dumped=True), max_rss=523_900)
OOM = Exited(PID, ExitStatus(signal=SIGKILL), max_rss=62_464, out_of_memory=True)


@pytest.mark.parametrize("state", [STARTING, BACKOFF])
def test_a_start_that_is_no_restart_at_once_is_told(state: State) -> None:
    """A restart at once is told with the end before it."""
    event = Begin() if state == STARTING else BackoffOver()
    assert facts(in_state(state), event) == [say(narrate.starting, "cmd", 0)]
    assert facts(in_state(STARTING), STARTED) == [say(narrate.started, "cmd", PID)]


@pytest.mark.parametrize(
    ("state", "settings", "exited", "verdict"),
    [
        (RUNNING, {}, Exited(PID, ExitStatus(code=42)), RESTART),
        (RUNNING, {}, SEGV, RESTART),
        (RUNNING, {}, OOM, RESTART),
        (RUNNING, {"restart": "never"}, CRASHED, REFUSED),
        (RUNNING, {}, Exited(PID, ZERO), MEANT),
        (RUNNING, {}, Exited(PID, ExitStatus(signal=SIGTERM)), MEANT),
        (STOPPING, {}, Exited(PID, ExitStatus(signal=SIGINT)), MEANT),
        (KILLING, {}, Exited(PID, ExitStatus(signal=SIGKILL)), MEANT),
    ],
)
def test_each_end_is_told(
    state: State, settings: dict[str, Any], exited: Exited, verdict: Verdict
) -> None:
    """With the verdict, the run time, and how many restarts there were.  (The run took 192 s.)"""
    end = End(exited.status, out_of_memory=exited.out_of_memory)
    restarts = 1 if verdict == RESTART else 0
    told = say(narrate.ended, exited, end, verdict, 192, restarts)
    assert facts(in_state(state, **settings), exited, 192) == [told]


def test_a_delay_is_told() -> None:
    """A back-off as one; any other delay only to who wants to know more."""
    subject = in_state(RUNNING, burst=1, reset_after=999, restart_delay=2)
    told = say(narrate.ended, CRASHED, End(CRASH), RESTART, 192, 1)
    assert facts(subject, CRASHED, 192) == [told, say(narrate.held_back, 2, 2)]
    subject = in_state(RUNNING, restart_delay=2)
    assert facts(subject, CRASHED, 192) == [told, say(narrate.restart_due, 2)]


def test_giving_up_is_told() -> None:
    """After the end that it is due to."""
    subject = in_state(RUNNING, max_restarts=2)
    step(subject, CRASHED)
    assert say(narrate.exec_failed, "cmd", NO_EXEC, False) in facts(subject, NOT_FOUND)
    step(subject, BackoffOver())
    step(subject, STARTED)
    told = say(narrate.ended, CRASHED, End(CRASH), GAVE_UP, 0, 2)
    assert facts(subject, CRASHED) == [told, say(narrate.giving_up, 2)]


def test_a_start_that_failed_is_told() -> None:
    """The first with a hint, if there is one; a fork with the time to the next attempt."""
    assert facts(in_state(STARTING), NOT_FOUND) == [say(narrate.exec_failed, "cmd", NO_EXEC, True)]
    told = say(narrate.start_failed, "cmd", "Resource temporarily unavailable", 1)
    assert facts(in_state(STARTING), NO_FORK) == [told]


def test_what_is_told_of_a_run_that_has_to_end() -> None:
    """That it is to, that it does not, and that it never will."""
    subject = in_state(RUNNING)
    assert facts(subject, RestartRequested(), 0) == [say(narrate.restart_requested, PID)]
    assert facts(subject, RestartRequested(), 1) == [say(narrate.restart_under_way)]
    assert facts(subject, DeadlinePassed(), 10) == [say(narrate.killing_child, PID)]
    assert facts(subject, DeadlinePassed(), 20) == [say(narrate.child_not_killed, PID)]
    assert facts(in_state(RESTARTING), SignalRefused()) == [say(narrate.not_restarted, PID)]


def test_what_is_told_of_a_restart_in_back_off() -> None:
    """It is brought forward, and a start like any other."""
    told = [say(narrate.restart_brought_forward), say(narrate.starting, "cmd", 0)]
    assert facts(in_state(BACKOFF), RestartRequested()) == told


def test_what_is_told_of_what_cannot_be_cleared_away() -> None:
    """It is left, and the start is not put off any longer."""
    subject = in_state(CLEARING)
    step(subject, DeadlinePassed(), 10)
    assert facts(subject, DeadlinePassed(), 20) == [say(narrate.not_killed, 10)]


@pytest.mark.parametrize(
    ("state", "rewrite", "what"),
    [
        (RUNNING, (), narrate.FORWARDED),
        (RESTARTING, (), narrate.FORWARDED),
        (STOPPING, (), narrate.FORWARDED),
        (RUNNING, ((SIGHUP, 0),), narrate.DROPPED),
        (STOPPING, ((SIGHUP, 0),), narrate.DROPPED),
        (CLEARING, (), narrate.NO_CHILD),
        (BACKOFF, (), narrate.NO_CHILD),
        (DRAINING, (), narrate.NO_CHILD),
        (BACKOFF, ((SIGHUP, 0),), narrate.NO_CHILD),
        (DRAINING, ((SIGHUP, 0),), narrate.NO_CHILD),
    ],
)
def test_each_other_signal_is_told(state: State, rewrite: Any, what: str) -> None:
    """With what is done about it."""
    subject = in_state(state, rewrite=rewrite)
    told = say(narrate.signal_received, SIGHUP, what)
    assert facts(subject, SignalReceived(SIGHUP)) == [told]


# --- Counters -----------------------------------------------------------------------------


def test_starts_and_ends_are_counted() -> None:
    """What did not begin is neither; what rebound ended is counted by its cause."""
    subject = in_state(RUNNING, **{**WATCHED, "burst": 0})
    for make_end, reason in ((hang, "hung"), (fall_ill, "unhealthy"), (request, "requested")):
        make_end(subject)
        step(subject, ABORTED, 30)
        assert subject.exits[reason] == 1
        assert subject.last_exit_at == 30
        step(subject, STARTED, 0)
    step(subject, Exited(PID, ExitStatus(signal=SIGKILL), 0, True), 50)
    step(subject, NOT_FOUND, 51)
    step(subject, DeadlinePassed(), 52)
    step(subject, NO_FORK, 52)
    step(subject, DeadlinePassed(), 54)
    step(subject, STARTED, 54)
    step(subject, TERM, 60)
    step(subject, TERMINATED, 61)
    assert subject.starts == 5
    counted = {reason: count for reason, count in subject.exits.items() if count}
    assert counted == {"hung": 1, "unhealthy": 1, "requested": 1, "oom": 1, "signal": 1}
    assert subject.last_exit_at == 61
