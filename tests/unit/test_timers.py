"""Timers: at most one of each kind, the first first, and what a pause of ours does to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebound.core.events import (
    BackoffOver,
    Event,
    FiltersDue,
    KillDue,
    KillOverdue,
    StopTimeoutOver,
)
from rebound.core.timers import PAUSE, Timers
from rebound.core.watchevents import CheckDue, CheckTimeoutOver, WatchdogExpired

OF_OTHERS = [StopTimeoutOver, KillDue, KillOverdue, WatchdogExpired, CheckTimeoutOver]
OF_OURS = [BackoffOver, CheckDue, FiltersDue]
ALL = [*OF_OTHERS, *OF_OURS]


def test_there_are_none_at_first() -> None:
    timers = Timers()
    assert timers.deadline is None
    assert timers.take(100) is None
    timers.keep()
    timers.cancel(KillDue)
    assert timers.deadline is None


def test_how_long_a_timer_was_set_for() -> None:
    """As when it was set, however much of that is left."""
    timers = Timers()
    assert timers.length_of(KillDue) == 0
    timers.set(KillDue, 10, 3)
    assert timers.length_of(KillDue) == 3
    timers.take(13)
    assert timers.length_of(KillDue) == 0


def test_the_deadline_is_that_of_the_first() -> None:
    """And they come in their order, whatever the order in which they were set."""
    timers = Timers()
    for timer, seconds in ((KillDue, 3), (BackoffOver, 1), (CheckDue, 2)):
        timers.set(timer, 10, seconds)
    taken = []
    for due in (11, 12, 13):
        assert timers.deadline == due
        taken.append(timers.take(due))
    assert taken == [BackoffOver(), CheckDue(), KillDue()]
    assert timers.deadline is None


def test_one_that_is_set_anew_is_not_there_twice() -> None:
    timers = Timers()
    timers.set(KillDue, 0, 5)
    timers.set(KillDue, 3, 5)
    assert (timers.deadline, timers.time_of(KillDue)) == (8, 8)
    timers.set(KillDue, 3, 1)
    assert timers.deadline == 4
    assert timers.take(4) == KillDue()
    assert timers.take(4) is None


def test_one_that_is_not_set_has_no_time() -> None:
    timers = Timers()
    timers.set(KillDue, 0, 5)
    assert KillDue in timers
    assert KillOverdue not in timers
    assert timers.time_of(KillOverdue) is None
    timers.cancel(KillDue)
    assert KillDue not in timers
    assert (timers.deadline, timers.time_of(KillDue)) == (None, None)


def test_all_but_some_are_unset() -> None:
    """What is not set is not set by being kept."""
    timers = Timers()
    for number, timer in enumerate(ALL):
        timers.set(timer, 0, number + 1)
    timers.keep(KillDue, KillOverdue)
    assert [timer for timer in ALL if timer in timers] == [KillDue, KillOverdue]
    assert timers.deadline == timers.time_of(KillDue)
    timers.keep(BackoffOver)
    assert timers.deadline is None
    assert BackoffOver not in timers


@pytest.mark.parametrize("timer", OF_OTHERS)
def test_what_others_do_begins_anew_after_a_pause(timer: type[Event]) -> None:
    """docker pause: nobody ran, so nobody's time has passed."""
    timers = Timers()
    timers.set(timer, 0, 10)
    assert timers.take(10 + PAUSE + 0.1) is None
    assert timers.deadline == 10 + PAUSE + 0.1 + 10
    assert timers.take(timers.deadline + PAUSE) == timer()


@pytest.mark.parametrize("timer", OF_OURS)
def test_what_we_do_is_due_however_late(timer: type[Event]) -> None:
    timers = Timers()
    timers.set(timer, 0, 10)
    assert timers.take(4000) == timer()
    assert timers.deadline is None


def test_after_a_pause_the_others_are_still_there() -> None:
    """The first begins anew, and so does the second, when its turn comes."""
    timers = Timers()
    timers.set(WatchdogExpired, 0, 10)
    timers.set(CheckDue, 0, 20)
    assert timers.take(4000) is None
    assert timers.deadline == 20
    assert timers.take(4000) == CheckDue()
    assert timers.deadline == 4010


@given(
    st.lists(
        st.tuples(
            st.sampled_from(ALL),
            st.sampled_from(["set", "cancel", "keep", "take"]),
            st.floats(0, 100),
        ),
        max_size=30,
    )
)
def test_the_deadline_is_always_the_least(story: list[tuple[type[Event], str, float]]) -> None:
    """Whatever is done."""
    timers = Timers()
    now = 0.0
    for timer, what, seconds in story:
        if what == "set":
            timers.set(timer, now, seconds)
        elif what == "cancel":
            timers.cancel(timer)
        elif what == "keep":
            timers.keep(timer)
        elif timers.deadline is not None:
            now = max(now, timers.deadline)
            taken = timers.take(now)
            assert taken is None or type(taken) not in timers
        times = [time for kind in ALL if (time := timers.time_of(kind)) is not None]
        assert timers.deadline == min(times, default=None)
