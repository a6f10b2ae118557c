"""The restart policy: whether, when and why, with a clock that is a number."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebound.core.config import Config, parse_statuses
from rebound.core.exitstatus import HUNG, ON_PURPOSE, ExitStatus
from rebound.core.restart import GAVE_UP, REFUSED, RESTART, Decision, RestartPolicy

ZERO = ExitStatus(code=0)
CRASH = ExitStatus(code=1)
SEGV = ExitStatus(signal=11)
TERM = ExitStatus(signal=15)
INT = ExitStatus(signal=2)

ENDS = [ExitStatus(code=code) for code in range(256)]
ENDS += [ExitStatus(signal=signo) for signo in range(1, 65)]


def policy(**settings: Any) -> RestartPolicy:
    """A policy; nothing is left to chance unless a test asks for it."""
    return RestartPolicy(Config(**settings))


def crashes(policy: RestartPolicy, times: int, run_time: float = 0.0) -> list[float]:
    """The delays after so many crashes in a row."""
    return [policy.after_run(CRASH, run_time, now=0.0).delay for _ in range(times)]


# --- Whether --------------------------------------------------------------------------


@pytest.mark.parametrize("status", ENDS, ids=str)
def test_every_end_under_the_default(status: ExitStatus) -> None:
    """Restart unless it exited 0, or somebody stopped it with TERM or INT."""
    assert (policy().verdict(status, now=0) != RESTART) == (status in (ZERO, TERM, INT))


@pytest.mark.parametrize("status", ENDS, ids=str)
def test_every_end_under_always_and_never(status: ExitStatus) -> None:
    """Always still ends on TERM and INT; never is a plain init."""
    assert (policy(restart="always").verdict(status, now=0) != RESTART) == (status in (TERM, INT))
    assert policy(restart="never").verdict(status, now=0) == REFUSED


@pytest.mark.parametrize(
    ("settings", "status", "restarts"),
    [
        ({"success": parse_statuses("42")}, ExitStatus(code=42), False),
        ({"success": parse_statuses("42")}, CRASH, True),
        ({"success": parse_statuses("42"), "restart": "always"}, ExitStatus(code=42), True),
        ({"success": parse_statuses("SEGV")}, SEGV, False),
        ({"no_restart": parse_statuses("78,QUIT")}, ExitStatus(code=78), False),
        ({"no_restart": parse_statuses("78,QUIT")}, ExitStatus(signal=3), False),
        ({"no_restart": parse_statuses("78,QUIT")}, CRASH, True),
        ({"no_restart": parse_statuses("0"), "restart": "always"}, ZERO, False),
        (
            {
                "no_restart": parse_statuses("42"),
                "success": parse_statuses("42"),
                "restart": "always",
            },
            ExitStatus(code=42),
            False,
        ),
    ],
)
def test_chosen_statuses(settings: dict[str, Any], status: ExitStatus, restarts: bool) -> None:
    """-e makes an end count as exit 0; -n goes over everything else."""
    assert (policy(**settings).verdict(status, now=0) != RESTART) != restarts


@pytest.mark.parametrize(
    ("forced", "settings", "status", "restarts"),
    [
        ("0", {}, ZERO, True),
        ("0", {"restart": "never"}, ZERO, True),
        ("0", {"restart": "never"}, CRASH, False),
        ("1", {"restart": "never"}, CRASH, True),
        ("TERM", {}, ExitStatus(signal=15), True),
        ("TERM", {}, ExitStatus(code=143), True),  # it is a crash
        ("143", {}, ExitStatus(signal=15), True),
        # With the other lists, a signal's name is more special than a number.
        ("TERM", {"no_restart": "143"}, ExitStatus(signal=15), True),
        ("TERM", {"no_restart": "143"}, ExitStatus(code=143), False),
        ("143", {"no_restart": "TERM"}, ExitStatus(signal=15), False),
        ("143", {"no_restart": "TERM"}, ExitStatus(code=143), True),
        ("TERM", {"success": "143"}, ExitStatus(signal=15), True),
        ("TERM", {"success": "143"}, ExitStatus(code=143), False),
    ],
)
def test_forced_statuses(
    forced: str, settings: dict[str, Any], status: ExitStatus, restarts: bool
) -> None:
    """--force-restart goes over --restart, and over what -n and -e say less specially."""
    lists = {name: text for name, text in settings.items() if name != "restart"}
    settings = {**settings, **{name: parse_statuses(text) for name, text in lists.items()}}
    chosen = policy(force_restart=parse_statuses(forced), **settings)
    assert (chosen.verdict(status, now=0) == RESTART) == restarts


def test_what_is_forced_is_still_counted() -> None:
    """-r gives up after it, too; and a hung run's status answers our signal alone."""
    forced = policy(force_restart=parse_statuses("0"), max_restarts=1, restart="never")
    assert forced.after_run(ZERO, 0, now=0).verdict == RESTART
    assert forced.after_run(ZERO, 0, now=0).verdict == GAVE_UP
    assert (
        policy(force_restart=parse_statuses("0"), restart="never").verdict(ZERO, 0, HUNG) == REFUSED
    )


@pytest.mark.parametrize("cause", ON_PURPOSE)
def test_a_restart_on_purpose_is_no_failure(cause: str) -> None:
    """It comes at once, whatever the options say, and counts only as a restart."""
    strict = policy(restart="never", max_restarts=1, burst=1, restart_delay=5)
    for n in range(1, 9):
        assert strict.after_run(CRASH, 0, 0, cause) == Decision()
        assert strict.restarts == n
    lenient = policy(max_restarts=1)
    assert lenient.after_run(CRASH, 0, 0, cause).verdict == RESTART
    assert lenient.after_run(CRASH, 0, 0).verdict == RESTART
    assert lenient.after_run(CRASH, 0, 0).verdict == GAVE_UP


@given(st.integers(1, 50))
def test_n_restarts_are_n_plus_one_runs(limit: int) -> None:
    """-r 3: three restarts, and the fourth run's crash is the end."""
    limited = policy(max_restarts=limit)
    for n in range(1, limit + 1):
        assert limited.after_run(CRASH, 0, now=0).verdict == RESTART
        assert limited.restarts == n
    assert limited.after_run(CRASH, 0, now=1e9).verdict == GAVE_UP
    assert limited.restarts == limit


def test_without_a_limit_there_is_no_end() -> None:
    """-r 0, the default; and the back-off's doubling does not overflow."""
    assert max(crashes(policy(), 3000)) == 60


def test_a_limit_within_a_time_forgets_older_restarts() -> None:
    """-r 2/10s: a third restart within ten seconds is one too many."""
    limited = policy(max_restarts=2, max_restarts_window=10)
    assert limited.after_run(CRASH, 0, now=100).verdict == RESTART
    assert limited.after_run(CRASH, 0, now=105).verdict == RESTART
    assert limited.verdict(CRASH, now=109.9) == GAVE_UP
    assert limited.verdict(CRASH, now=110) == RESTART  # the first is ten seconds old
    assert limited.after_run(CRASH, 0, now=110).verdict == RESTART
    assert limited.after_run(CRASH, 0, now=114.9).verdict == GAVE_UP


@given(
    st.integers(1, 5),
    st.floats(1, 100),
    st.lists(st.floats(0, 40), min_size=1, max_size=40),
)
def test_no_time_holds_more_restarts_than_allowed(
    limit: int, window: float, gaps: list[float]
) -> None:
    """And a restart is refused only where one more would be too many."""
    limited = policy(max_restarts=limit, max_restarts_window=window)
    now = 0.0
    times: list[float] = []
    for gap in gaps:
        now += gap
        recent = [time for time in times if now - time < window]
        refused = limited.after_run(CRASH, 0, now).verdict != RESTART
        assert refused == (len(recent) >= limit)
        if not refused:
            times.append(now)


def test_asking_changes_nothing() -> None:
    """`verdict` may be asked before the process is reaped."""
    asked = policy(max_restarts=1)
    assert [asked.verdict(CRASH, now=0) for _ in range(3)] == [RESTART] * 3
    assert asked.restarts == 0
    assert asked.after_run(CRASH, 0, now=0).verdict == RESTART


# --- When -----------------------------------------------------------------------------


def test_the_fifth_rapid_failure_is_the_first_that_is_delayed() -> None:
    """1 s, doubling to a minute."""
    assert crashes(policy(), 12) == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60]


@given(st.integers(1, 40), st.floats(0, 100), st.floats(0, 100))
def test_the_nth_rapid_failure_is_the_first_that_is_delayed(
    burst: int, restart_delay: float, max_delay: float
) -> None:
    """Before it only -d counts; from it on the larger of -d and the back-off."""
    delays = crashes(
        policy(burst=burst, restart_delay=restart_delay, max_delay=max_delay), burst + 9
    )
    backoffs = [0.0] * (burst - 1) + [min(2.0**n, max_delay) for n in range(10)]
    assert delays == [max(restart_delay, backoff) for backoff in backoffs]


def test_burst_0_is_off() -> None:
    """Only -d is left."""
    assert set(crashes(policy(burst=0), 50)) == {0}
    assert set(crashes(policy(burst=0, restart_delay=3), 50)) == {3}


def test_a_long_run_resets_the_count() -> None:
    """A run of just --reset-after is long enough."""
    held_back = policy(burst=2, reset_after=10)
    assert crashes(held_back, 3) == [0, 1, 2]
    assert crashes(held_back, 1, run_time=9.9) == [4]
    assert crashes(held_back, 1, run_time=10) == [0]
    assert crashes(held_back, 3) == [0, 1, 2]


@given(
    st.floats(0, 1),
    st.integers(1, 12),
    st.floats(0.01, 100),
    st.floats(0, 100),
)
def test_jitter_takes_off_a_tenth_at_most(
    chance: float, failures: int, max_delay: float, restart_delay: float
) -> None:
    """And never goes below -d; the back-off that is logged has none."""
    config = Config(burst=1, max_delay=max_delay, restart_delay=restart_delay)
    jittered = RestartPolicy(config, lambda: chance)
    for _ in range(failures):
        decision = jittered.after_run(CRASH, 0, now=0)
    backoff = min(2.0 ** (failures - 1), max_delay)
    assert decision.delay == max(backoff * (1 - 0.1 * chance), restart_delay)
    assert decision.backoff == max(backoff, restart_delay)


def test_a_delay_alone_is_no_backoff() -> None:
    """So that nothing is logged of a rapid failure."""
    decision = policy(restart_delay=3).after_run(CRASH, 0, now=0)
    assert (decision.delay, decision.backoff) == (3, 0)


# --- Starts that failed ---------------------------------------------------------------

NOT_FOUND = ExitStatus(code=127)


@pytest.mark.parametrize(
    ("burst", "delays"), [(5, [1, 1, 1, 1, 1, 2, 4]), (2, [1, 1, 2, 4]), (0, [1, 1, 1])]
)
def test_a_failed_exec_is_held_back_from_the_first_on(burst: int, delays: list[float]) -> None:
    """Also without crash-loop protection: nothing ran, so nothing else slows the loop."""
    failing = policy(burst=burst)
    assert [failing.after_failed_exec(NOT_FOUND, now=0).delay for _ in delays] == delays


def test_a_failed_exec_counts_as_a_restart_and_a_rapid_failure() -> None:
    """It is a failure like any other."""
    limited = policy(max_restarts=2, burst=2, reset_after=0.5)
    assert limited.after_failed_exec(NOT_FOUND, now=0).verdict == RESTART
    assert limited.after_run(CRASH, 0, now=0).backoff == 1
    assert limited.after_failed_exec(NOT_FOUND, now=0).verdict == GAVE_UP


def test_a_failed_fork_is_retried_for_ever() -> None:
    """With back-off, and without counting: the command is not at fault."""
    starved = policy(max_restarts=1, burst=1)
    assert [starved.after_failed_fork().delay for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert starved.restarts == 0
    assert starved.after_run(CRASH, 0, now=0).backoff == 1  # the first rapid failure
    assert starved.after_failed_fork().delay == 1  # a run between: it begins anew
