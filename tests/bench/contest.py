"""Has the contestants take turns, and judges their figures by the budgets."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.bench.contestants import C_LOOP, FILE, PACKAGE, PYTHON, PYTHON_LOOP, Contestant
from tests.bench.rows import Bench, Effort, Figure, Measured, Row


@dataclass
class Results:
    """All that was measured: by figure and contestant the values, in the order of the rounds."""

    values: dict[Figure, dict[str, list[float]]] = field(default_factory=dict)
    row_of: dict[Figure, str] = field(default_factory=dict)
    failed: dict[tuple[str, str], str] = field(default_factory=dict)
    """By row and contestant."""

    def add(self, row: str, contestant: str, measured: Measured) -> None:
        """Take in what one measurement gave."""
        for figure, value in measured.items():
            self.row_of[figure] = row
            self.values.setdefault(figure, {}).setdefault(contestant, []).append(value)

    def of(self, name: str, contestant: str) -> list[float]:
        """Give the values of a figure; none if it was not measured."""
        for figure, values in self.values.items():
            if figure.name == name:
                return values.get(contestant, [])
        return []


def hold(rows: Sequence[Row], contestants: Sequence[Contestant], bench: Bench) -> Results:
    """Measure all rows, in each round one contestant after the other.

    The order alternates: what disturbs the machine for a while then disturbs all of them.
    """
    results = Results()
    for row in rows:
        taking_part = [one for one in contestants if row.name in one.does and one.is_there]
        taken = dict.fromkeys((one.name for one in taking_part), 0.0)
        began = time.monotonic()

        def measure(one: Contestant, row: Row = row, taken: dict[str, float] = taken) -> None:
            patience = bench.effort.patience * row.patience
            if (row.name, one.name) in results.failed or taken[one.name] > patience:
                return
            began = time.monotonic()
            try:
                results.add(row.name, one.name, row.measure(one, bench))
            except (AssertionError, OSError, RuntimeError) as error:
                results.failed[row.name, one.name] = f"{type(error).__name__}: {error}"
            taken[one.name] += time.monotonic() - began

        for turn in range(row.rounds[bench.effort.is_quick]):
            bench.turn = turn
            if row.together:
                with ThreadPoolExecutor(len(taking_part) or 1) as pool:
                    list(pool.map(measure, taking_part))
            else:
                for one in reversed(taking_part) if turn % 2 else taking_part:
                    measure(one)
        sys.stderr.write(f"{row.name}: {time.monotonic() - began:.0f} s\n")
    return results


@dataclass(frozen=True)
class Budget:
    """How large a figure of rebound's may be: in all, or compared with another.

    The other is of contestant `against`, or one of its own, `to`.  They are compared round by
    round, in each of which both were measured shortly after each other: by their ratio, or by
    how much `more` it is.  The median of the rounds counts, or the `worst` of them.
    """

    figure: str
    limit: float
    against: str = ""
    to: str = ""
    of: tuple[str, ...] = (PACKAGE, FILE)
    more: bool = False
    worst: bool = False

    @property
    def is_ratio(self) -> bool:
        """Whether the limit is a number of times, and not in the unit of the figure."""
        return bool(self.against or self.to) and not self.more

    @property
    def measured_by(self) -> str:
        """What it is compared with, in words; empty if with nothing."""
        other = self.against or ("itself with none" if self.to else "")
        return f"more than {other}" if self.more else other


def budgets(effort: Effort) -> tuple[Budget, ...]:
    """Give all budgets."""
    return (
        Budget("restart", 1.05, against=C_LOOP),
        Budget(f"crowd_{effort.crowds[-1]}", 1.1, to=f"crowd_{effort.crowds[0]}"),
        Budget("start", 2.0, against=PYTHON, of=(PACKAGE,)),
        Budget("start", 1.2, against=PYTHON, of=(FILE,)),
        Budget("stop", 1.5, against="tini"),
        Budget("forwarding", 1.2, against="tini"),
        Budget("scraped_p99", 1.5, to="unscraped_p99"),
        Budget("orphans", 1.0, against="tini"),
        Budget("dirty", 1.8, against=PYTHON),
        Budget("idle_switches", 0),
        Budget("idle_calls", 0),
        Budget("growth", 100),
        Budget("listening_refused", 0, worst=True),
        Budget("listening_reset", 1, worst=True),
        Budget("listening_late", 0, worst=True),
        Budget("listening_wait", 5e6, against=C_LOOP, more=True),
        Budget("stored", 0, worst=True),
    )


@dataclass(frozen=True)
class Verdict:
    """A budget, and how a contestant kept to it."""

    budget: Budget
    contestant: str
    value: float
    """The figure itself, its ratio, or by how much it is more."""
    least: float | None
    """The same of the loop in Python that does the least; None where it does not take part."""

    @property
    def is_met(self) -> bool:
        """Whether it was kept, to the two decimals that are shown."""
        return round(self.value, 2) <= self.budget.limit


def judge(results: Results, effort: Effort) -> list[Verdict]:
    """Compare with each budget whatever was measured."""
    verdicts = []
    for budget in budgets(effort):
        for contestant in budget.of:
            value = _measured(results, budget, contestant)
            least = _measured(results, budget, PYTHON_LOOP)
            if value is not None:
                verdicts.append(Verdict(budget, contestant, value, least))
    return verdicts


def _measured(results: Results, budget: Budget, contestant: str) -> float | None:
    values = results.of(budget.figure, contestant)
    if budget.against or budget.to:
        others = results.of(budget.to or budget.figure, budget.against or contestant)
        pairs = zip(values, others, strict=False)
        values = [a - b if budget.more else a / b for a, b in pairs]
    if not values:
        return None
    return max(values) if budget.worst else statistics.median(values)
