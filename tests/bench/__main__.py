"""Run all measures and print one table; the exit status is 1 if a target was missed."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.bench import measures
from tests.bench.measures import Result
from tests.bench.processes import Programs

HEAD = ("measure", "rebound", "baseline", "", "ratio", "target", "")


def main() -> int:
    """Measure, print the table, and write it as JSON if that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        programs = Programs(directory)
        results = [
            measures.restart(programs),
            measures.restart_with_orphans(programs),
            measures.start(programs),
            measures.forwarding(programs),
            measures.dying_orphans(programs),
            measures.dirty_memory(programs),
            measures.idle_calls(programs, directory),
        ]
    sys.stdout.write(_table(results))
    if options.json:
        options.json.write_text(json.dumps([_record(result) for result in results], indent=2))
    return 0 if all(result.is_met for result in results) else 1


def _table(results: list[Result]) -> str:
    rows = [HEAD, *(_row(result) for result in results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "".join(line.rstrip() + "\n" for line in lines)


def _row(result: Result) -> tuple[str, ...]:
    return (
        result.measure,
        _figure(result.rebound, result.unit),
        "" if result.baseline is None else _figure(result.baseline, result.unit),
        result.baseline_name,
        "" if result.ratio is None else f"{result.ratio:.2f}",
        f"≤ {result.target:g}",
        "met" if result.is_met else "MISSED",
    )


def _figure(value: float, unit: str) -> str:
    return f"{value:.4g} {unit}".rstrip()


def _record(result: Result) -> dict[str, object]:
    return {**vars(result), "ratio": result.ratio, "met": result.is_met}


sys.exit(main())
