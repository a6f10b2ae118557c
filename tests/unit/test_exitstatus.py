"""How a process ended: all statuses there are, held against wait(2)'s own macros."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebound.core.exitstatus import (
    EXEC_FAILED,
    HUNG,
    NOT_FOUND,
    OWN_ERROR,
    REASONS,
    REQUESTED,
    UNHEALTHY,
    End,
    ExitStatus,
    StatusSet,
)

EXITS = [code << 8 for code in range(256)]
KILLS = [signo | core for signo in range(1, 65) for core in (0, 0x80)]
ENDS = [ExitStatus.from_wait(word) for word in EXITS + KILLS]

ends = st.sampled_from(ENDS)
status_sets = st.builds(
    StatusSet, st.frozensets(st.integers(0, 255)), st.frozensets(st.integers(1, 64))
)


@pytest.mark.parametrize("word", EXITS)
def test_every_exit(word: int) -> None:
    """All 256 codes."""
    code = os.WEXITSTATUS(word)
    status = ExitStatus.from_wait(word)
    assert (status.code, status.signal, status.core_dumped) == (code, 0, False)
    assert status.shell_status == code
    assert status.is_zero == (code == 0)
    assert str(status) == f"exited with status {code}"


@pytest.mark.parametrize("word", KILLS)
def test_every_death_by_a_signal(word: int) -> None:
    """All 64 signals, with and without a core dump."""
    signo, core = os.WTERMSIG(word), os.WCOREDUMP(word)
    status = ExitStatus.from_wait(word)
    assert (status.code, status.signal, status.core_dumped) == (0, signo, core)
    assert status.shell_status == 128 + signo
    assert not status.is_zero
    assert str(status).startswith(f"killed by signal {signo} (")
    assert str(status).endswith(", core dumped") == core


def test_the_statuses_that_are_agreed_on() -> None:
    """By POSIX shells, env(1), timeout(1) and docker run."""
    assert (OWN_ERROR, EXEC_FAILED, NOT_FOUND) == (125, 126, 127)


@given(ends, status_sets)
def test_a_set_holds_shell_statuses_and_signals(status: ExitStatus, chosen: StatusSet) -> None:
    """143 means `exit 143` and SIGTERM, SIGTERM only the latter."""
    by_code = status.shell_status in chosen.codes
    by_signal = bool(status.signal) and status.signal in chosen.signals
    assert (status in chosen) == (by_code or by_signal)


@pytest.mark.parametrize(
    ("chosen", "exit_143", "sigterm"),
    [
        (StatusSet(codes=frozenset({143})), True, True),
        (StatusSet(signals=frozenset({15})), False, True),
        (StatusSet(codes=frozenset({15}), signals=frozenset({2})), False, False),
    ],
    ids=["143", "SIGTERM", "15,SIGINT"],
)
def test_143_and_sigterm(chosen: StatusSet, exit_143: bool, sigterm: bool) -> None:
    """The same in examples."""
    assert (ExitStatus(code=143) in chosen) == exit_143
    assert (ExitStatus(signal=15) in chosen) == sigterm


def test_no_end_is_in_an_empty_set() -> None:
    """The default of -e and -n."""
    assert not [status for status in ENDS if status in StatusSet()]


@given(ends, status_sets, status_sets)
def test_a_union_holds_what_either_holds(status: ExitStatus, a: StatusSet, b: StatusSet) -> None:
    """No more and no less."""
    assert (status in a.union(b)) == (status in a or status in b)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (End(ExitStatus(code=1)), "exit"),
        (End(ExitStatus(signal=11)), "signal"),
        (End(ExitStatus(signal=9), out_of_memory=True), "oom"),
        (End(ExitStatus(signal=6), HUNG), "hung"),
        (End(ExitStatus(signal=9), UNHEALTHY, out_of_memory=True), "unhealthy"),
        (End(ExitStatus(signal=15), "memory"), "memory"),
        (End(ExitStatus(signal=15), REQUESTED), "requested"),
        (End(ExitStatus(code=0), "another cause of ours"), "requested"),
    ],
)
def test_each_end_is_of_a_kind(end: End, reason: str) -> None:
    """One of those that are counted."""
    assert end.reason == reason
    assert reason in REASONS
