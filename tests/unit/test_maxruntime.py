"""--max-runtime: when a run has to make room for the next one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rebound.core import narrate
from rebound.core.config import Config
from rebound.core.events import Begin, DeadlinePassed, SignalCommand, SignalRefused, say
from rebound.core.maxruntime import MaxRuntime
from rebound.core.restart import RestartPolicy
from rebound.core.service import Service
from rebound.core.signals import SIGKILL
from rebound.core.states import RESTARTING, RUNNING
from tests.unit.stories import END, KILLED, PID, START, STARTED, TERM, facts, in_state, step


def test_a_run_ends_after_its_time_and_the_next_begins() -> None:
    """TERM, KILL after 10 s; at once, although it is to restart nothing."""
    subject = in_state(RUNNING, max_runtime=60, restart="never", restart_delay=9)
    assert subject.deadline == 60
    assert step(subject, DeadlinePassed(), 60) == END
    assert (subject.state, subject.deadline) == (RESTARTING, 70)
    assert step(subject, DeadlinePassed(), 70) == [SignalCommand(SIGKILL)]
    assert step(subject, KILLED, 71) == [START]
    assert (subject.restarts, subject.last_exit) == (1, "signal:SIGKILL")
    step(subject, STARTED, 71)
    assert subject.deadline == 131


def test_the_log_tells() -> None:
    """How long it has run."""
    told = [say(narrate.max_runtime, PID, 60.5)]
    assert facts(in_state(RUNNING, max_runtime=60), DeadlinePassed(), 60.5) == told


@given(st.floats(0, 1), st.floats(0.001, 1e6))
def test_chance_takes_up_to_a_tenth(chance: float, longest: float) -> None:
    """So a fleet does not restart at one instant."""
    config = Config(max_runtime=longest)
    subject = Service(
        "cmd",
        config,
        RestartPolicy(config),
        [lambda config, timers: MaxRuntime(config, timers, lambda: chance)],
    )
    subject.step(Begin(), 0)
    subject.step(STARTED, 0)
    assert subject.deadline is not None
    assert 0.9 * longest * (1 - 1e-9) <= subject.deadline <= longest


def test_a_stop_goes_before() -> None:
    """Its time does not count any more."""
    subject = in_state(RUNNING, max_runtime=60)
    step(subject, TERM, 10)
    assert subject.deadline is None


def test_a_run_that_may_not_be_signalled_gets_its_time_again() -> None:
    """It goes on; another try may succeed."""
    subject = in_state(RUNNING, max_runtime=60)
    step(subject, DeadlinePassed(), 60)
    step(subject, SignalRefused(), 60)
    assert (subject.state, subject.deadline) == (RUNNING, 120)
