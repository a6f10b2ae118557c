"""Tells the results: as Markdown, as JSON, and between the markers of docs/figures.md."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path

from tests.bench.contest import Results, Verdict
from tests.bench.contestants import PYTHON_LOOP, Contestant
from tests.bench.rows import Figure

BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"

_DOES_NOT = "does not"


def machine() -> dict[str, str]:
    """Say on what the figures were taken."""
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(": ")[1] for line in cpus if line.startswith("model name")), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs ({model}), {memory:.0f} GB",
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release()["PRETTY_NAME"],
        "load": f"{os.getloadavg()[2]:.1f}",
    }


def versions(contestants: Sequence[Contestant]) -> dict[str, str]:
    """Give the version of each contestant that is installed."""
    return {one.name: one.version() for one in contestants if one.is_there}


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Give the first quartile, the median and the third."""
    if len(values) < 2:
        return (values[0],) * 3
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def about(effort: str, of_machine: dict[str, str], of_versions: dict[str, str]) -> str:
    """Say in a sentence or two what was measured on what."""
    told = "; ".join(f"{name}: {version}" for name, version in of_versions.items())
    return (
        f"Medians of `nox -s bench{effort}`, in brackets the quartiles; {of_machine['machine']}, "
        f"Linux {of_machine['kernel']}, {of_machine['system']}, 15-minute load "
        f"{of_machine['load']}. {told}."
    )


def markdown(
    said: str,
    results: Results,
    verdicts: Sequence[Verdict],
    contestants: Sequence[Contestant],
) -> str:
    """Write the tables, with what one must know to read them."""
    parts = [
        said,
        _figures(results, contestants),
        "\n".join(_notes(results, contestants)),
        _budgets(results, verdicts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _figures(results: Results, contestants: Sequence[Contestant]) -> str:
    lines = [["", *(one.name for one in contestants)]]
    for figure in results.values:
        row = results.row_of[figure]
        lines.append([figure.title, *(_cell(results, figure, row, one) for one in contestants)])
    return _table(lines)


def _cell(results: Results, figure: Figure, row: str, one: Contestant) -> str:
    if row not in one.does:
        return _DOES_NOT
    if not one.is_there:
        return "not installed"
    values = results.values[figure].get(one.name)
    if not values:
        return "failed"
    low, middle, high = quartiles(values)
    factor, unit = _scale(middle, figure.unit)
    figures = [_digits(value / factor, unit) for value in (low, middle, high)]
    spread = f" ({figures[0]}-{figures[2]})" if figures[0] != figures[2] else ""
    return f"{figures[1]} {unit}".rstrip() + spread


def _notes(results: Results, contestants: Sequence[Contestant]) -> list[str]:
    measured = set(results.row_of.values())
    titles: dict[str, str] = {}
    for figure, row in results.row_of.items():
        titles.setdefault(row, figure.title)
    told: dict[tuple[str, str], list[str]] = {}
    for one in contestants:
        for row, note in one.notes.items():
            if row in measured and one.is_there:
                told.setdefault((row, note), []).append(one.name)
    notes = [f"- {titles[row]}, {', '.join(names)}: {note}." for (row, note), names in told.items()]
    return notes + [
        f"- {row}, {name}: **failed**, {why}." for (row, name), why in results.failed.items()
    ]


def _budgets(results: Results, verdicts: Sequence[Verdict]) -> str:
    figures = {figure.name: figure for figure in results.values}
    lines = [["budget", "of", "measured by", "at most", "is", "", PYTHON_LOOP]]
    for verdict in verdicts:
        budget, figure = verdict.budget, figures[verdict.budget.figure]
        value, least = (
            "" if each is None else f"{each:.2f}" if budget.is_ratio else amount(each, figure.unit)
            for each in (verdict.value, verdict.least)
        )
        lines.append(
            [
                figure.title,
                verdict.contestant,
                budget.measured_by,
                f"{budget.limit:g}" if budget.is_ratio else amount(budget.limit, figure.unit),
                value,
                "met" if verdict.is_met else "**missed**",
                least,
            ]
        )
    return _table(lines) if verdicts else ""


def _table(lines: list[list[str]]) -> str:
    head, *body = (f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in lines)
    return "\n".join([head, "|" + "---|" * len(lines[0]), *body])


def amount(value: float, unit: str) -> str:
    """Write a number of ns, kB, or of no unit, in whichever unit makes it short."""
    factor, unit = _scale(value, unit)
    return f"{_digits(value / factor, unit)} {unit}".rstrip()


def _scale(value: float, unit: str) -> tuple[float, str]:
    """Give the factor and the name of the unit that suits a value."""
    if unit == "ns":
        size = abs(value)
        return (1e9, "s") if size >= 1e9 else (1e6, "ms") if size >= 1e6 else (1e3, "µs")
    if unit == "kB" and abs(value) >= 1000:
        return 1e3, "MB"
    return 1, unit


def _digits(value: float, unit: str) -> str:
    """Write three digits, or all before the point; no part of a kB."""
    return f"{value:.0f}" if abs(value) >= 100 or unit == "kB" else f"{value:.3g}"


def as_data(
    results: Results,
    verdicts: Sequence[Verdict],
    of_machine: dict[str, str],
    of_versions: dict[str, str],
) -> dict[str, object]:
    """Give all values and verdicts for JSON."""
    return {
        **of_machine,
        "versions": of_versions,
        "figures": [
            {
                **figure._asdict(),
                "values": values,
                "quartiles": {name: quartiles(of_one) for name, of_one in values.items()},
            }
            for figure, values in results.values.items()
        ],
        "failed": [
            {"row": row, "contestant": name, "why": why}
            for (row, name), why in results.failed.items()
        ],
        "budgets": [
            {
                "figure": verdict.budget.figure,
                "contestant": verdict.contestant,
                "measured_by": verdict.budget.measured_by,
                "limit": verdict.budget.limit,
                "value": verdict.value,
                "least": verdict.least,
                "met": verdict.is_met,
            }
            for verdict in verdicts
        ],
    }


def put_into_document(document: Path, text: str) -> None:
    """Replace what is between the markers.  Raises `ValueError` where they are not."""
    before, begin, rest = document.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{document} lacks {BEGIN} or {END}")
    document.write_text(f"{before}{begin}\n{text}{end}{after}")
