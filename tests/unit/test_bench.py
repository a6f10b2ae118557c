"""How the benchmark sums up and judges: what it measures, `nox -s bench` tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.contest import Budget, Results, judge
from tests.bench.contestants import C_LOOP, PACKAGE
from tests.bench.crashes import (
    CRASH,
    REFUSED,
    RESET,
    SERVED,
    TIMED_OUT,
    Attempt,
    attempts,
    noticed,
    waits,
)
from tests.bench.report import amount, put_into_document
from tests.bench.rows import QUICK, Figure
from tests.documents import text_of


def test_attempts_are_read_by_threes() -> None:
    assert attempts([1, 2, SERVED, 3, 4, CRASH]) == [Attempt(1, 2, SERVED), Attempt(3, 4, CRASH)]
    with pytest.raises(ValueError, match="shorter"):
        attempts([1, 2, SERVED, 3])


def test_who_is_refused_waits_for_the_next_answer() -> None:
    made = [
        Attempt(0, 1, SERVED),
        Attempt(10, 11, REFUSED),
        Attempt(20, 21, RESET),
        Attempt(30, 35, SERVED),
        Attempt(40, 42, SERVED),
    ]
    assert waits(made) == [1, 25, 15, 5, 2]


def test_an_early_answer_to_a_later_one_counts_for_those_before_it() -> None:
    """The SYN of the first was dropped, and sent again after a second."""
    made = [Attempt(0, 5, TIMED_OUT), Attempt(10, 1000, SERVED), Attempt(20, 25, SERVED)]
    assert waits(made) == [25, 990, 5]


def test_waits_are_those_that_a_crash_concerned() -> None:
    made = [
        Attempt(0, 90, SERVED),  # long, but before any crash
        Attempt(99, 108, SERVED),  # on its way at the crash
        Attempt(100, 110, CRASH),
        Attempt(101, 102, REFUSED),
        Attempt(109, 112, SERVED),
        Attempt(120, 190, SERVED),  # long, but after the first answer
        Attempt(200, 203, CRASH),
        Attempt(201, 203, SERVED),
        Attempt(210, 211, SERVED),
    ]
    seen = noticed(made)
    assert (seen.crashes, seen.served, seen.refused, seen.reset, seen.timed_out) == (2, 6, 1, 0, 0)
    assert seen.longest_waits == [11, 2]


@pytest.mark.parametrize(
    "made",
    [
        [],
        [Attempt(0, 1, SERVED)],
        [Attempt(2, 3, CRASH)],
        [Attempt(0, 1, SERVED), Attempt(2, 3, CRASH), Attempt(4, 5, REFUSED)],
    ],
)
def test_without_a_crash_or_an_answer_after_it_nothing_was_seen(made: list[Attempt]) -> None:
    with pytest.raises(ValueError, match="crashes"):
        noticed(made)


def _judged(figure: str, *rounds: tuple[float, float]) -> tuple[float, bool]:
    """Judge rebound's values beside those of the C loop."""
    results = Results()
    for ours, others in rounds:
        results.add("row", PACKAGE, {Figure(figure, figure, ""): ours})
        results.add("row", C_LOOP, {Figure(figure, figure, ""): others})
    [verdict] = [one for one in judge(results, QUICK) if one.contestant == PACKAGE]
    return verdict.value, verdict.is_met


def test_the_worst_round_counts_where_nothing_may_be_lost() -> None:
    assert _judged("listening_refused", (0, 0), (0, 0), (0, 0)) == (0, True)
    assert _judged("listening_refused", (0, 0), (0.05, 0), (0, 0)) == (0.05, False)


def test_a_wait_may_be_so_much_more_in_the_median_of_the_rounds() -> None:
    rounds = [(7e6, 1e6), (5e6, 1e6), (6e6, 3e6)]
    assert _judged("listening_wait", *rounds) == (4e6, True)
    assert _judged("listening_wait", *rounds[:1]) == (6e6, False)


def test_a_ratio_is_that_of_each_round() -> None:
    assert _judged("restart", (2, 2), (3, 2), (4, 4)) == (1, True)


def test_what_a_budget_is_measured_by() -> None:
    words = {
        Budget("x", 1): "",
        Budget("x", 1, against="tini"): "tini",
        Budget("x", 1, to="y"): "itself with none",
        Budget("x", 1, against="tini", more=True): "more than tini",
    }
    assert {budget: budget.measured_by for budget in words} == words
    assert [budget.is_ratio for budget in words] == [False, True, True, False]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "", "0"),
        (0.05, "", "0.05"),
        (4903.4, "", "4903"),
        (663_123, "ns", "663 µs"),
        (-2_500_000, "ns", "-2.5 ms"),
        (1.2e9, "ns", "1.2 s"),
        (-4, "kB", "-4 kB"),
        (4281, "kB", "4.28 MB"),
    ],
)
def test_amounts_are_short(value: float, unit: str, text: str) -> None:
    assert amount(value, unit) == text


def test_the_tables_have_their_place_in_the_document(tmp_path: Path) -> None:
    document = tmp_path / "figures.md"
    document.write_text(text_of("docs/figures.md"))
    put_into_document(document, "the new tables\n")
    assert "the new tables\n" in document.read_text()
    assert "| crash → restart | 4" not in document.read_text()
    document.write_text("no markers")
    with pytest.raises(ValueError, match="lacks"):
        put_into_document(document, "")
