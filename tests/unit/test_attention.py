"""A run that hangs, is unhealthy, or is to be restarted: what the state machine makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from rebound.core import narrate
from rebound.core.config import parse_statuses
from rebound.core.events import (
    AskAdopted,
    ChildrenReaped,
    DeadlinePassed,
    ExecFailed,
    Exited,
    ForkFailed,
    KillChildren,
    KillDue,
    RestartAnswered,
    RestartRequested,
    Say,
    SignalCommand,
    SignalReceived,
    Started,
    StopRequested,
    TellManager,
    say,
)
from rebound.core.exitstatus import ExitStatus
from rebound.core.notify import Message
from rebound.core.signals import SIGABRT, SIGCONT, SIGHUP, SIGKILL, SIGTERM
from rebound.core.states import (
    BACKOFF,
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
)
from tests.unit.test_service import PID, START, in_state, lines, step

ZERO, CRASH = ExitStatus(code=0), ExitStatus(code=1)
ABORTED = Exited(PID, ExitStatus(signal=SIGABRT))
TERMINATED = Exited(PID, ExitStatus(signal=SIGTERM))
KILLED = Exited(PID, ExitStatus(signal=SIGKILL))
TERM = StopRequested(SIGTERM)
RESUME = SignalCommand(SIGCONT)
ABORT = [SignalCommand(SIGABRT), RESUME]
END = [SignalCommand(SIGTERM), RESUME]
ALIVE, READY = Notified(Message(alive=True)), Notified(Message(ready=True))
STOPPING_NOW = Notified(Message(stopping=True))
PASSED, FAILED = HealthChecked(ZERO), HealthChecked(CRASH)


def extend(seconds: float) -> Notified:
    """EXTEND_TIMEOUT_USEC."""
    return Notified(Message(extend=seconds))


# --- Watchdog -------------------------------------------------------------------------


def test_a_silent_run_is_aborted_then_killed_then_started_again() -> None:
    """SIGABRT lets it dump its state; 5 s for that."""
    subject = in_state(RUNNING, watchdog=10)
    assert subject.deadline == 10
    assert step(subject, DeadlinePassed(), 10) == ABORT
    assert (subject.state, subject.deadline) == (RESTARTING, 15)
    assert step(subject, DeadlinePassed(), 15) == [SignalCommand(SIGKILL)]
    assert (subject.state, subject.deadline) == (RESTARTING, 25)
    assert step(subject, KILLED, 16) == [START]
    assert (subject.last_exit, subject.restarts) == ("hung", 1)


@pytest.mark.parametrize("sign", [ALIVE, READY, Notified(Message(watchdog=10.0))], ids=repr)
def test_a_sign_of_life_counts_from_when_it_comes(sign: Notified) -> None:
    """WATCHDOG=1, READY=1; again and again."""
    subject = in_state(RUNNING, watchdog=10)
    for now in (3, 9, 18.5):
        assert step(subject, sign, now) == []
        assert subject.deadline == now + 10


@pytest.mark.parametrize("message", [Message(), Message(status="busy")], ids=repr)
def test_other_messages_are_no_sign_of_life(message: Message) -> None:
    """As with systemd: the loop that must not hang may be another one."""
    subject = in_state(RUNNING, watchdog=10)
    assert step(subject, Notified(message), 9) == []
    assert subject.deadline == 10


FLOOD = NotifiedByStrangers(10_000)


def test_a_silence_in_a_flood_is_forgiven() -> None:
    """Strangers may have kept the keep-alives out."""
    subject = in_state(RUNNING, watchdog=10)
    step(subject, FLOOD, 5)
    assert subject.step(DeadlinePassed(), 10) == [say(narrate.flooded, PID, 100)]
    assert (subject.state, subject.deadline) == (RUNNING, 20)
    step(subject, FLOOD, 15)
    assert subject.step(DeadlinePassed(), 20) == []  # said once
    step(subject, ALIVE, 25)
    assert subject.deadline == 35


def test_the_silence_after_a_flood_is_not() -> None:
    """It had a whole time for itself."""
    subject = in_state(RUNNING, watchdog=10)
    step(subject, FLOOD, 5)
    step(subject, DeadlinePassed(), 10)
    assert step(subject, DeadlinePassed(), 20) == ABORT


def test_no_stranger_keeps_a_run_for_ever_that_hangs() -> None:
    """Eleven times its time."""
    subject = in_state(RUNNING, watchdog=10)
    for now in range(10, 110, 10):
        step(subject, FLOOD, now - 1)
        assert step(subject, DeadlinePassed(), now) == []
    step(subject, FLOOD, 109)
    [(_, text)] = lines(subject, DeadlinePassed(), 110)
    assert "no keep-alive for 1m50s" in text
    assert subject.state == RESTARTING


def test_a_sign_of_life_ends_all_doubt() -> None:
    """What came before it did no harm."""
    subject = in_state(RUNNING, watchdog=10)
    for now in range(10, 100, 10):
        step(subject, FLOOD, now - 1)
        step(subject, DeadlinePassed(), now)
    step(subject, ALIVE, 100)
    for now in range(110, 210, 10):
        step(subject, FLOOD, now - 1)
        assert step(subject, DeadlinePassed(), now) == []
    step(subject, FLOOD, 209)
    step(subject, ALIVE, 210)
    assert step(subject, DeadlinePassed(), 220) == ABORT


def test_a_trickle_is_no_flood() -> None:
    """Nothing is lost for want of room: a few messages switch no watchdog off."""
    subject = in_state(RUNNING, watchdog=10)
    step(subject, NotifiedByStrangers(1000), 5)
    assert step(subject, DeadlinePassed(), 10) == ABORT


def test_an_end_that_takes_too_long_is_not_forgiven() -> None:
    """After STOPPING=1 no sign of life is due that a flood could keep out."""
    subject = in_state(RUNNING, watchdog=10)
    step(subject, STOPPING_NOW, 5)
    step(subject, FLOOD, 94)
    assert step(subject, DeadlinePassed(), 95) == ABORT


def test_each_run_may_be_flooded() -> None:
    """The next one begins without a doubt, and the log says so again."""
    subject = in_state(RUNNING, watchdog=10)
    step(subject, FLOOD, 9)
    step(subject, DeadlinePassed(), 10)
    step(subject, Exited(PID, CRASH), 11)
    step(subject, Started(PID), 12)
    step(subject, FLOOD, 21)
    assert subject.step(DeadlinePassed(), 22) == [say(narrate.flooded, PID, 100)]


def test_a_slow_start_may_ask_for_more_time() -> None:
    """EXTEND_TIMEOUT_USEC is an end of its own, which a keep-alive does not bring forward."""
    subject = in_state(RUNNING, watchdog=10)
    step(subject, extend(60), 5)
    assert subject.deadline == 65
    step(subject, ALIVE, 6)
    assert subject.deadline == 65
    step(subject, ALIVE, 60)
    assert subject.deadline == 70
    step(subject, extend(1), 61)
    assert subject.deadline == 71  # what it has anyway is more


def test_it_may_set_another_time() -> None:
    """WATCHDOG_USEC, for this run; the next one has the configured time again."""
    subject = in_state(RUNNING, watchdog=10)
    step(subject, Notified(Message(watchdog=2.0)), 1)
    assert subject.deadline == 3
    step(subject, ALIVE, 2)
    assert subject.deadline == 4
    step(subject, Exited(PID, CRASH), 3)
    step(subject, Started(PID), 3)
    assert subject.deadline == 13


def test_it_may_say_itself_that_it_does_not_work() -> None:
    """WATCHDOG=trigger."""
    subject = in_state(RUNNING, watchdog=10)
    assert step(subject, Notified(Message(trigger=True))) == ABORT
    assert subject.state == RESTARTING


def test_a_run_that_is_stopping_has_its_time() -> None:
    """After STOPPING=1 it need send nothing, but it must end: in 90 s, or when it has asked for."""
    subject = in_state(RUNNING, watchdog=10)
    step(subject, STOPPING_NOW, 1)
    assert subject.deadline == 91
    step(subject, ALIVE, 2)
    assert subject.deadline == 91
    step(subject, extend(300), 3)
    assert subject.deadline == 303
    assert step(subject, DeadlinePassed(), 303) == ABORT


def test_a_stop_ends_the_watch() -> None:
    """From then on there is the stop timeout, which is not for the command to extend."""
    subject = in_state(RUNNING, watchdog=10, stop_timeout=20)
    step(subject, TERM, 5)
    assert (subject.state, subject.deadline) == (STOPPING, 25)
    for message in (extend(60), ALIVE, STOPPING_NOW):
        step(subject, message, 6)
        assert subject.deadline == 25


def test_nothing_is_hung_that_was_paused() -> None:
    """docker pause, a frozen cgroup: a timer so late means that nobody ran."""
    subject = in_state(RUNNING, watchdog=10)
    assert subject.step(DeadlinePassed(), 4000) == []
    assert (subject.state, subject.deadline) == (RUNNING, 4010)
    assert step(subject, DeadlinePassed(), 4010.5) == ABORT
    assert subject.step(DeadlinePassed(), 9000) == []
    assert subject.deadline == 9005


def test_back_off_and_restart_delay_are_no_such_timers() -> None:
    """They are over, however late that is noticed."""
    subject = in_state(BACKOFF)
    assert step(subject, DeadlinePassed(), 4000) == [START]


@pytest.mark.parametrize(("run_time", "state"), [(5, BACKOFF), (50, STARTING)])
def test_a_hung_run_is_a_rapid_failure_by_its_run_time(run_time: float, state: str) -> None:
    """Like any crash."""
    subject = in_state(RUNNING, watchdog=10, burst=1)
    step(subject, Notified(Message(trigger=True)), run_time)
    step(subject, ABORTED, run_time)
    assert subject.state == state


# --- What ends a run, and what becomes of it -------------------------------------------


def hang(subject: Any) -> None:
    """Make it hang."""
    step(subject, Notified(Message(trigger=True)), 20)


def fall_ill(subject: Any) -> None:
    """Make it unhealthy."""
    step(subject, CheckDue(), 20)
    step(subject, FAILED, 20)


def request(subject: Any) -> None:
    """Request a restart."""
    step(subject, RestartRequested(), 20)


WATCHED = {"watchdog": 10, "health_command": "check", "health_retries": 1}


@pytest.mark.parametrize("end", [hang, fall_ill, request])
@pytest.mark.parametrize("status", [ZERO, CRASH, ExitStatus(signal=SIGTERM)], ids=str)
def test_however_it_ends_it_is_started_again(end: Any, status: ExitStatus) -> None:
    """-e and -n are for what the command does by itself, not for an answer to our signal."""
    subject = in_state(RUNNING, **WATCHED)
    end(subject)
    assert subject.state == RESTARTING
    assert subject.would_restart(status, 2)
    assert step(subject, Exited(PID, status), 2) == [START]
    assert subject.restarts == 1


@pytest.mark.parametrize("end", [hang, fall_ill])
def test_what_still_ends_rebound(end: Any) -> None:
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


@pytest.mark.parametrize("end", [hang, fall_ill])
@pytest.mark.parametrize("success", ["", "143"])
def test_a_run_that_had_to_be_ended_is_no_success(end: Any, success: str) -> None:
    """However well it takes our signal; nor is it for -e to say."""
    settings = {"success": parse_statuses(success)} if success else {}
    subject = in_state(RUNNING, **WATCHED, restart="never", **settings)
    end(subject)
    status = ExitStatus(code=143) if success else ZERO
    assert lines(subject, Exited(PID, status), 21)[0][1].endswith(
        ("hung, not restarting", "unhealthy, not restarting")
    )
    assert subject.exit_status == (143 if success else 1)


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


def test_the_stop_timeout_counts_beside_it() -> None:
    """Whichever comes first."""
    subject = in_state(RUNNING, watchdog=10, stop_timeout=3)
    hang(subject)
    step(subject, TERM, 21)
    assert subject.deadline == 24
    assert step(subject, DeadlinePassed(), 24) == [KillChildren("stop timeout is over")]
    assert (subject.state, subject.deadline) == (KILLING, 34)


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


def test_other_signals_and_orphans_while_it_ends() -> None:
    """As ever."""
    subject = in_state(RESTARTING)
    assert step(subject, SignalReceived(SIGHUP)) == [SignalCommand(SIGHUP)]
    assert step(subject, ChildrenReaped()) == []
    assert subject.state == RESTARTING


# --- Health ---------------------------------------------------------------------------

CHECKED = {"health_command": "check", "health_interval": 30, "health_timeout": 5}


def lines_of_a_failed_check(subject: Any, now: float) -> str:
    """Have the next check fail; give what is said of it."""
    assert step(subject, DeadlinePassed(), now) == [CheckHealth()]
    return str(lines(subject, FAILED, now))


def test_checks_come_one_after_the_other() -> None:
    """The interval is from the start, and from the end of a check."""
    subject = in_state(RUNNING, **CHECKED)
    assert subject.deadline == 30
    assert step(subject, DeadlinePassed(), 30) == [CheckHealth()]
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
    assert "(2 of 3)" in lines_of_a_failed_check(subject, 66)


def test_unhealthy() -> None:
    """The third failure: TERM, then KILL after 10 s."""
    subject = in_state(RUNNING, **CHECKED)
    for now in (30, 60, 90):
        assert step(subject, DeadlinePassed(), now) == [CheckHealth()]
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
    assert "(1 of 3)" in lines_of_a_failed_check(subject, 91)


def test_a_check_that_cannot_be_run_says_nothing() -> None:
    """It is tried again at the next interval."""
    subject = in_state(RUNNING, **CHECKED, health_retries=1)
    step(subject, DeadlinePassed(), 30)
    assert lines(subject, HealthUnknown("no shell"), 30) == [
        ("error", "cannot run the health command: no shell")
    ]
    assert (subject.state, subject.deadline) == (RUNNING, 60)


def test_a_paused_check_gets_its_time_again() -> None:
    """As the command does."""
    subject = in_state(RUNNING, **CHECKED)
    step(subject, DeadlinePassed(), 30)
    assert step(subject, DeadlinePassed(), 4000) == []
    assert subject.deadline == 4005
    assert step(subject, CheckTimeoutOver(), 4005) == [KillCheck()]


# --- Readiness and the service manager --------------------------------------------------


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


def told(actions: list[Any]) -> list[str]:
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


# --- Words ----------------------------------------------------------------------------


def test_the_line_of_an_out_of_memory_kill() -> None:
    """As people will search for it."""
    killed = Exited(PID, ExitStatus(signal=SIGKILL), max_rss=62_464, out_of_memory=True)
    text = "child (pid 4711) killed by signal 9 (SIGKILL), out of memory, max RSS 61 MB, "
    assert lines(in_state(RUNNING), killed, 12) == [("info", text + "after 12s, restarting (1)")]


@pytest.mark.parametrize(
    ("settings", "history", "text"),
    [
        (
            {"max_restarts": 1},
            [Exited(PID, CRASH), Started(PID), Exited(PID, ExitStatus(signal=11))],
            "cmd killed by signal 11 (SIGSEGV); 1 restart in 42s; max restarts (1) reached",
        ),
        (
            {"restart": "never"},
            [Exited(PID, ExitStatus(code=3))],
            "cmd exited with status 3; 0 restarts in 42s; not restarting",
        ),
        (
            {},
            [TERM, TERMINATED],
            "cmd killed by signal 15 (SIGTERM); 0 restarts in 42s; stopped by signal 15 (SIGTERM)",
        ),
        (
            {"watchdog": 10, "restart": "never"},
            [Notified(Message(trigger=True)), ABORTED],
            "cmd killed by signal 6 (SIGABRT), hung; 0 restarts in 42s; not restarting",
        ),
        (
            {"restart": "never"},
            [Exited(PID, ExitStatus(signal=SIGKILL), out_of_memory=True)],
            "cmd killed by signal 9 (SIGKILL), out of memory; 0 restarts in 42s; not restarting",
        ),
    ],
)
def test_the_explanation_of_the_end(settings: Any, history: list[Any], text: str) -> None:
    """The termination message."""
    subject = in_state(RUNNING, **settings)
    for event in history:
        subject.step(event, 40)
    assert subject.explain_end(42) == text


def test_the_explanation_of_a_restart_that_failed() -> None:
    """The last thing that happened is what counts."""
    subject = in_state(RUNNING, max_restarts=1)
    subject.step(Exited(PID, CRASH), 10)
    subject.step(ExecFailed("No such file or directory", ExitStatus(code=127)), 10)
    assert (subject.last_exit, subject.exit_status) == ("exit:127", 127)
    assert subject.explain_end(42) == (
        "cmd could not be executed: No such file or directory; 1 restart in 42s; "
        "max restarts (1) reached"
    )


def test_the_explanation_of_an_end_before_the_start() -> None:
    """There was no run."""
    subject = in_state(STARTING)
    subject.step(ExecFailed("No such file or directory", ExitStatus(code=127)), 0)
    text = "cmd could not be executed: No such file or directory; 0 restarts in 0s"
    assert subject.explain_end(0) == text
    subject = in_state(BACKOFF)
    subject.step(TERM, 2)
    text = "cmd did not start; 0 restarts in 2s; stopped by signal 15 (SIGTERM)"
    assert subject.explain_end(2) == text


def test_each_line_has_its_fields() -> None:
    """For programs, with the pid and how it ended."""
    subject = in_state(RUNNING)
    [fact, _start] = subject.step(Exited(PID, ExitStatus(signal=11), max_rss=1000), 12)
    assert isinstance(fact, Say)
    assert narrate.KINDS[fact.words] == ("info", "exited")
    _text, fields = fact.words(*fact.about)
    assert fields == {
        "pid": PID,
        "reason": "signal:SIGSEGV",
        "signal": "SIGSEGV",
        "core_dumped": False,
        "run_time": 12,
        "max_rss": 1024000,
        "restarts": 1,
    }


def test_a_late_kill_is_no_mistake() -> None:
    """The timer is for the run that was told to end."""
    subject = in_state(RESTARTING)
    assert step(subject, KillDue(), 10) == [SignalCommand(SIGKILL)]
    assert step(subject, KILLED, 11) == [START]
    assert subject.deadline is None
