"""Docker's rules: when failed checks make a run unhealthy."""

from __future__ import annotations

import pytest

from rebound.core.config import Config
from rebound.core.health import HEALTHY, SICK, STARTING, Health


def checked(results: str, **settings: float) -> list[str]:
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
def test_states(results: str, settings: dict[str, float], states: list[str]) -> None:
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
