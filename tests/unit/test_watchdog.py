"""The watchdog's rules: how long a run may be silent, and what it may say."""

from __future__ import annotations

import pytest

from rebound.core import narrate
from rebound.core.events import DeadlinePassed, Exited, SignalCommand, SignalRefused, Started, say
from rebound.core.notify import Message
from rebound.core.signals import SIGKILL
from rebound.core.states import BACKOFF, RESTARTING, RUNNING, STARTING, STOPPING
from rebound.core.watchevents import Notified, NotifiedByStrangers, WatchdogExpired
from tests.unit.stories import (
    ABORT,
    ABORTED,
    ALIVE,
    CRASH,
    KILLED,
    PID,
    READY,
    START,
    STOPPING_NOW,
    TERM,
    facts,
    in_state,
    step,
)


def extend(seconds: float) -> Notified:
    """EXTEND_TIMEOUT_USEC."""
    return Notified(Message(extend=seconds))


# --- Silence --------------------------------------------------------------------------


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


def test_nothing_is_hung_that_was_paused() -> None:
    """docker pause, a frozen cgroup: a timer so late means that nobody ran."""
    subject = in_state(RUNNING, watchdog=10)
    assert subject.step(DeadlinePassed(), 4000) == []
    assert (subject.state, subject.deadline) == (RUNNING, 4010)
    assert step(subject, DeadlinePassed(), 4010.5) == ABORT
    assert subject.step(DeadlinePassed(), 9000) == []
    assert subject.deadline == 9005


@pytest.mark.parametrize(("run_time", "state"), [(5, BACKOFF), (50, STARTING)])
def test_a_hung_run_is_a_rapid_failure_by_its_run_time(run_time: float, state: str) -> None:
    """Like any crash."""
    subject = in_state(RUNNING, watchdog=10, burst=1)
    step(subject, Notified(Message(trigger=True)), run_time)
    step(subject, ABORTED, run_time)
    assert subject.state == state


def test_a_hung_command_that_may_not_be_signalled_is_watched_again() -> None:
    subject = in_state(RUNNING, watchdog=10)
    step(subject, WatchdogExpired(), 100)
    step(subject, SignalRefused(), 100)
    assert (subject.state, subject.deadline) == (RUNNING, 110)


# --- Strangers ------------------------------------------------------------------------


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
    assert facts(subject, DeadlinePassed(), 110) == [say(narrate.silent, PID, 110)]
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


# --- What a run may say of itself -----------------------------------------------------


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
