"""The state machine: legal transitions as small stories, the illegal ones as a whole matrix.

Time is a number: stories begin at 0, and most things happen at 100.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebound.core import events, narrate, service, states
from rebound.core.config import Config, parse_statuses
from rebound.core.events import (
    AskAdopted,
    BackoffOver,
    Begin,
    ChildrenReaped,
    DeadlinePassed,
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
from rebound.core.exitstatus import ExitStatus
from rebound.core.health import HealthChecks
from rebound.core.notify import Message
from rebound.core.record import Record
from rebound.core.restart import RestartPolicy
from rebound.core.service import IllegalTransition, Service
from rebound.core.signals import SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGWINCH
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
from rebound.core.watchevents import (
    CheckDue,
    CheckHealth,
    CheckTimeoutOver,
    HealthChecked,
    HealthUnknown,
    KillCheck,
    Notified,
    NotifiedByStrangers,
    WatchdogExpired,
)

PID = 4711
ZERO = ExitStatus(code=0)
CRASH = ExitStatus(code=1)
STARTED = Started(PID)
CRASHED = Exited(PID, CRASH)
NOT_FOUND = ExecFailed("No such file or directory", ExitStatus(code=127))
NO_FORK = ForkFailed("Resource temporarily unavailable")
TERM, INT, HUP = StopRequested(SIGTERM), StopRequested(SIGINT), StopRequested(SIGHUP)
QUIT = StopRequested(SIGQUIT)
RESUME = SignalCommand(SIGCONT)
START = Start(0)
KILL = KillChildren("stop timeout is over")

STORIES: dict[str, list[Record]] = {
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
    if config.watchdog:
        watches.append(Watchdog)
    if config.health_command:
        watches.append(HealthChecks)
    return watches


def in_state(state: str, **settings: Any) -> Service:
    """A service that was brought to `state` at time 0."""
    config = Config(**{"fresh": state == CLEARING, **settings})
    subject = Service("cmd", config, RestartPolicy(config), watches_of(config))
    for event in STORIES[state]:
        subject.step(event, 0.0)
    assert subject.state == state
    return subject


def step(subject: Service, event: Record, now: float = 100.0) -> list[Record]:
    """What an event leads to, without the facts for the log; of a start, not what it says."""
    actions = (action for action in subject.step(event, now) if not isinstance(action, Say))
    return [START if isinstance(action, Start) else action for action in actions]


def lines(subject: Service, event: Record, now: float = 100.0) -> list[tuple[str, str]]:
    """The lines that an event leads to, with their levels."""
    said = [action for action in subject.step(event, now) if isinstance(action, Say)]
    return [(narrate.KINDS[fact.words][0], fact.words(*fact.about)[0]) for fact in said]


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


def test_would_restart() -> None:
    """Only after a crash, or if it was told to end for that; asking changes nothing."""
    assert not in_state(RUNNING).would_restart(ZERO, 100)
    for state in STORIES:
        subject = in_state(state, max_restarts=1)
        answers = [subject.would_restart(CRASH, 100) for _ in range(3)]
        assert answers == [state in {RUNNING, RESTARTING}] * 3
        assert subject.state == state


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


@pytest.mark.parametrize("state", [RUNNING, BACKOFF, STOPPING])
def test_orphans_that_end_before_the_drain_change_nothing(state: str) -> None:
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
def test_the_drain_signal_counts_at_every_end(state: str) -> None:
    """Also when nobody asked for one, and when there is no command."""
    subject = in_state(state, drain_signal=SIGQUIT)
    end = Exited(PID, ZERO) if state == RUNNING else TERM
    assert step(subject, end) == [AskAdopted(SIGQUIT, spare_filters=True)]


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
    assert lines(subject, DeadlinePassed(), 110)[0][0] == "error"
    assert subject.state == ENDED


def test_what_may_not_be_killed_is_left() -> None:
    """Rather than waited for without end."""
    subject = in_state(KILLING)
    assert step(subject, NoneKillable()) == []
    assert subject.state == ENDED


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
    assert lines(subject, NOT_FOUND) == [
        ("error", "exec cmd: No such file or directory"),
        ("error", "max restarts (3) reached, exiting"),
    ]
    assert (subject.state, subject.exit_status) == (DRAINING, 127)


@pytest.mark.parametrize("failure", [NOT_FOUND, NO_FORK])
def test_a_failed_start_is_never_tried_again_at_once(failure: Record) -> None:
    """Nothing else bounds such a loop, in which no signal would be looked at."""
    subject = in_state(RUNNING, max_delay=0.0, burst=0)
    assert step(subject, CRASHED) == [START]
    assert step(subject, failure) == []
    assert subject.state == BACKOFF
    assert subject.deadline is not None
    assert subject.deadline > 100


def test_a_command_that_may_not_be_killed_is_no_success() -> None:
    subject = in_state(STOPPING)
    step(subject, StopTimeoutOver())
    step(subject, NoneKillable())
    assert (subject.state, subject.exit_status) == (ENDED, 143)


def test_a_delivered_key_is_what_the_command_was_sent() -> None:
    """The kernel does not rewrite; what is adopted gets the same."""
    subject = in_state(RUNNING, rewrite=((SIGINT, SIGTERM),))
    step(subject, StopRequested(SIGINT, delivered=True))
    assert step(subject, CRASHED) == [AskAdopted(SIGINT, spare_filters=True)]


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


# --- Other signals --------------------------------------------------------------------


@pytest.mark.parametrize("state", [RUNNING, STOPPING])
@pytest.mark.parametrize("value", [None, 0, 42])
def test_signals_are_forwarded(state: str, value: int | None) -> None:
    """With the value of a queued one; the state stays."""
    subject = in_state(state)
    assert step(subject, SignalReceived(SIGHUP, value)) == [SignalCommand(SIGHUP, value)]
    assert subject.state == state


@pytest.mark.parametrize("state", [BACKOFF, DRAINING, KILLING])
def test_without_a_command_signals_go_nowhere(state: str) -> None:
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


@pytest.mark.parametrize(("target", "sent"), [(SIGINT, [SignalCommand(SIGINT)]), (0, [])])
def test_a_rewritten_stop_is_still_a_stop(target: int, sent: list[Record]) -> None:
    """Only the command sees another signal, the first time and every further time."""
    subject = in_state(RUNNING, rewrite=((SIGTERM, target),))
    assert step(subject, TERM) == [*sent, RESUME]
    assert subject.state == STOPPING
    assert step(subject, TERM) == [*sent, RESUME]


# --- The whole matrix -----------------------------------------------------------------

EVENTS = [
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
]
DECISIONS = {Start, SignalCommand, AskAdopted, SignalChildren, KillChildren, Say}
DECISIONS |= {CheckHealth, KillCheck, TellManager, RestartAnswered}
EVERYWHERE = [StopRequested, SignalReceived, ChildrenReaped]
FROM_THE_COMMAND = [Exited, Notified, NotifiedByStrangers]
WITH_A_COMMAND = [*EVERYWHERE, *FROM_THE_COMMAND, SignalRefused]
AFTER_THE_START = [HealthChecked, RestartRequested]
TIMERS_OF_A_RUN = [WatchdogExpired, CheckDue, CheckTimeoutOver]
WHILE_ASKING = [FiltersSpared, FiltersDue, NoneAdopted, NoChildren, KillOverdue]
LEGAL: dict[str, list[type[Record]]] = {
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
"""Illegal without a watchdog or a health command."""
EVERYTHING = {"health_command": "check", "watchdog": 10.0, "notify": True}


@pytest.mark.parametrize("event", [TERM, SignalReceived(SIGCONT), ChildrenReaped(), NoChildren()])
def test_what_comes_with_the_end_changes_nothing(event: Record) -> None:
    """Signals of one turn meet the state that the first of them has led to."""
    subject = in_state(ENDED)
    assert subject.step(event, 100) == []
    assert (subject.state, subject.exit_status) == (ENDED, 0)


def test_a_timer_whose_event_could_not_be_handled_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a back-off would have no end."""
    subject = in_state(BACKOFF)
    with monkeypatch.context() as patch:
        patch.setitem(service.TABLE, (BACKOFF, BackoffOver), lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            subject.step(DeadlinePassed(), 1)
    assert (subject.state, subject.deadline) == (BACKOFF, 2)
    assert step(subject, DeadlinePassed(), 2) == [START]


def test_the_matrix_is_whole() -> None:
    """All states and all events of the module are in it."""
    assert {type(event) for event in EVENTS} == {*events.Event.__subclasses__()} - {DeadlinePassed}
    assert {*events.Action.__subclasses__()} == DECISIONS
    all_states = {value for name, value in vars(states).items() if name == value}
    assert all_states == set(LEGAL) == set(STORIES)


@pytest.mark.parametrize("settings", [{}, EVERYTHING], ids=["plain", "with everything"])
@pytest.mark.parametrize("state", LEGAL)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_each_event_in_each_state(state: str, event: Record, settings: dict[str, Any]) -> None:
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
def test_a_deadline_passes_where_one_is_set(state: str) -> None:
    """It is the first timer's; without one it is a mistake of ours."""
    subject = in_state(state)
    if subject.deadline is not None:
        assert {type(action) for action in subject.step(DeadlinePassed(), 30)} <= DECISIONS
        return
    with pytest.raises(IllegalTransition, match=f"^DeadlinePassed in state {state}$"):
        subject.step(DeadlinePassed(), 100)


@given(st.lists(st.sampled_from([*EVENTS, DeadlinePassed()]), max_size=30), st.integers(0, 2))
def test_nothing_starts_after_a_stop(history: list[Record], burst: int) -> None:
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


# --- The log --------------------------------------------------------------------------

SEGV = ExitStatus(signal=11, core_dumped=True)


@pytest.mark.parametrize(
    ("state", "settings", "event", "expected"),
    [
        (STARTING, {}, Begin(), ["starting cmd"]),
        (BACKOFF, {}, BackoffOver(), ["starting cmd"]),
        (
            RUNNING,
            {},
            Exited(PID, ExitStatus(code=42)),
            ["child (pid 4711) exited with status 42, restarting (1)"],
        ),
        (
            RUNNING,
            {},
            Exited(PID, SEGV, max_rss=523_900),
            [
                (
                    "child (pid 4711) killed by signal 11 (SIGSEGV), core dumped, "
                    "after 3m12s, max RSS 512 MB, restarting (1)"
                )
            ],
        ),
        (
            RUNNING,
            {"burst": 1, "reset_after": 999, "restart_delay": 2},
            CRASHED,
            [
                "child (pid 4711) exited with status 1, restarting (1)",
                "child failing rapidly, delaying restart by 2s",
            ],
        ),
        (
            RUNNING,
            {"restart": "never"},
            CRASHED,
            ["child (pid 4711) exited with status 1, not restarting"],
        ),
        (RUNNING, {}, TERM, ["received signal 15 (SIGTERM), forwarding to child"]),
        (RUNNING, {}, Exited(PID, ZERO), ["child (pid 4711) exited, shutting down"]),
        (
            RUNNING,
            {},
            Exited(PID, ExitStatus(signal=SIGTERM)),
            ["child (pid 4711) terminated by signal 15 (SIGTERM), exiting"],
        ),
        (
            STOPPING,
            {},
            Exited(PID, ExitStatus(signal=SIGINT)),
            ["child (pid 4711) terminated by signal 2 (SIGINT), exiting"],
        ),
        (
            KILLING,
            {},
            Exited(PID, ExitStatus(signal=SIGKILL)),
            ["child (pid 4711) killed by signal 9 (SIGKILL), shutting down"],
        ),
    ],
)
def test_lines_of_the_log(
    state: str, settings: dict[str, Any], event: Record, expected: list[str]
) -> None:
    """As documented: people search for them. (The run took 192 s.)"""
    subject = in_state(state, **settings)
    assert lines(subject, event, 192) == [("info", text) for text in expected]


@pytest.mark.parametrize("state", [RUNNING, BACKOFF, STOPPING, DRAINING])
@pytest.mark.parametrize("rewrite", [(), ((SIGINT, 0), (SIGHUP, 0))], ids=["forwarded", "dropped"])
@pytest.mark.parametrize(
    "event", [INT, StopRequested(SIGINT, delivered=True), SignalReceived(SIGHUP)], ids=repr
)
def test_every_signal_leaves_a_line(state: str, rewrite: Any, event: Any) -> None:
    """Which it was, and for a shutdown at the level that is shown."""
    [(level, text)] = lines(in_state(state, rewrite=rewrite, verbosity="verbose"), event)
    assert level == ("debug" if isinstance(event, SignalReceived) else "info")
    assert text.startswith(f"received signal {event.signo} (SIG")


def test_the_lines_that_quiet_keeps() -> None:
    """Failures for which the command has no words of its own."""
    exec_failed = ("error", "exec cmd: No such file or directory")
    assert lines(in_state(STARTING), NOT_FOUND) == [exec_failed]
    assert lines(in_state(STARTING), NO_FORK) == [
        ("error", "cannot start cmd: Resource temporarily unavailable, retrying in 1s")
    ]
    subject = in_state(RUNNING, max_restarts=2)
    step(subject, CRASHED)
    assert exec_failed in lines(subject, NOT_FOUND)
    step(subject, BackoffOver())
    step(subject, STARTED)
    assert lines(subject, CRASHED) == [
        ("info", "child (pid 4711) exited with status 1"),
        ("error", "max restarts (2) reached, exiting"),
    ]


# --- Filters ----------------------------------------------------------------------------


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


# --- What a run left behind ---------------------------------------------------------------


def test_with_fresh_the_next_start_comes_when_nothing_is_left() -> None:
    """Asked like at the end, filters spared."""
    subject = in_state(RUNNING, fresh=True)
    assert step(subject, CRASHED, 100) == [AskAdopted(SIGTERM, spare_filters=True)]
    assert (subject.state, subject.deadline) == (CLEARING, 110)
    assert step(subject, ChildrenReaped(), 101) == [AskAdopted(SIGTERM, spare_filters=True)]
    assert step(subject, NoChildren(), 102) == [START]
    assert (subject.state, subject.deadline) == (STARTING, None)


def test_with_fresh_what_does_not_end_is_killed() -> None:
    """Generation by generation; and what cannot be is said, and left."""
    subject = in_state(RUNNING, fresh=True)
    step(subject, CRASHED, 100)
    kill = KillChildren("10s after they were asked to stop")
    assert step(subject, DeadlinePassed(), 110) == [kill]
    assert step(subject, ChildrenReaped(), 111) == [kill]
    assert subject.deadline == 120
    assert step(subject, DeadlinePassed(), 120) == [START]


@pytest.mark.parametrize("event", [NoneKillable(), NoneAdopted(), NoChildren()], ids=repr)
def test_with_fresh_the_delay_goes_on_meanwhile(event: Record) -> None:
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


# --- What may not be signalled ------------------------------------------------------------


def test_a_command_that_may_not_be_signalled_goes_on() -> None:
    """And whoever asked for a restart is told."""
    subject = in_state(RESTARTING)
    assert step(subject, SignalRefused()) == [RestartAnswered("the command may not be signalled")]
    assert (subject.state, subject.deadline, subject.run.cause) == (RUNNING, None, "")


def test_a_hung_command_that_may_not_be_signalled_is_watched_again() -> None:
    subject = in_state(RUNNING, watchdog=10)
    step(subject, WatchdogExpired(), 100)
    step(subject, SignalRefused(), 100)
    assert (subject.state, subject.deadline) == (RUNNING, 110)


def test_a_command_that_was_killed_and_is_still_there_is_waited_for() -> None:
    """There is never more than one; but nobody waits for an answer meanwhile."""
    subject = in_state(RESTARTING)
    step(subject, DeadlinePassed(), 10)
    assert subject.deadline == 20
    assert step(subject, DeadlinePassed(), 20) == [
        RestartAnswered("the command was killed and is still there")
    ]
    assert (subject.state, subject.deadline) == (RESTARTING, None)
    assert step(subject, Exited(PID, ExitStatus(signal=SIGKILL)), 99) == [START]


def test_a_stop_that_may_not_be_forwarded_drains_the_others() -> None:
    """A database must have its time, whatever the command does."""
    subject = in_state(STOPPING)
    assert step(subject, SignalRefused()) == [AskAdopted(SIGTERM, spare_filters=True)]
    assert (subject.state, subject.deadline) == (DRAINING, None)
    assert step(subject, NoneAdopted()) == []
    assert (subject.state, subject.exit_status) == (ENDED, 143)


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
