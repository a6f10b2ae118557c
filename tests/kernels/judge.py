"""Judges a machine by its log: pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from tests.kernels.scenarios import MACHINE, SCENARIOS, Scenario

MARK = re.compile(r"@@ ([\w-]+): (.*?)\r?$", re.MULTILINE)
FACT = re.compile(r"@= (\w+): (.*?)\r?$", re.MULTILINE)
PANIC = re.compile(r"Attempted to kill init! exitcode=(0x[0-9a-f]+)")


def facts(log: str) -> dict[str, str]:
    """Return what the machine says of itself: the versions of what runs there."""
    return dict(FACT.findall(log))


def marks(log: str) -> dict[str, list[str]]:
    """Return the marks of each scenario; the last one of the machine is the kernel's."""
    found: dict[str, list[str]] = {}
    for scenario, mark in MARK.findall(log):
        found.setdefault(scenario, []).append(mark)
    for status in PANIC.findall(log):
        found.setdefault(MACHINE.name, []).append(f"PID 1 ended, {status}")
    return found


def due(kernel: str) -> list[Scenario]:
    """Return the scenarios that a kernel of this version can play, the machine's own left out."""
    has = tuple(int(number) for number in re.findall(r"\d+", kernel)[:2])
    return [scenario for scenario in SCENARIOS if scenario.since <= has]


def difference(expected: Sequence[str], found: Sequence[str]) -> str:
    """Say where the marks first differ from those expected; empty if they are the same."""
    for want, got in zip_longest(expected, found):
        if want != got:
            return f"expected {_quoted(want)}, found {_quoted(got)}"
    return ""


def _quoted(mark: str | None) -> str:
    return "no further mark" if mark is None else f'"{mark}"'


def problems(scenarios: Sequence[Scenario], log: str) -> Iterator[str]:
    """Yield a line for each scenario that did not go as it should."""
    found = marks(log)
    for scenario in scenarios:
        if differs := difference(scenario.marks, found.get(scenario.name, [])):
            yield f"{scenario.name}: {differs}"
