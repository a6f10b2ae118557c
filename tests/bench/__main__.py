"""Measure rebound beside its peers, and print the tables; see docs/figures.md."""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
import tempfile
from pathlib import Path

from tests.bench import report
from tests.bench.contest import hold, judge
from tests.bench.contestants import contestants
from tests.bench.processes import Programs
from tests.bench.rows import FULL, QUICK, ROWS, Bench
from tests.helpers import REPOSITORY

FILE = REPOSITORY / "dist" / f"rebound-linux-{platform.machine()}"
FIGURES = REPOSITORY / "docs/figures.md"
SVG = Path(__file__).with_name("figures.svg")
CRASH_SVG = Path(__file__).with_name("crash.svg")


def main() -> int:
    """Measure what was asked for; 1 if a measurement failed, or missed its budget (--check)."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # with all that was started
    with tempfile.TemporaryDirectory() as name:
        programs = Programs(Path(name))
        all_of_them = contestants(options.standalone, programs.spawn_loop)
        chosen = [one for one in all_of_them if one.name in (options.contestant or [one.name])]
        rows = [row for row in ROWS if row.name in (options.row or [row.name])]
        machine, versions = report.machine(), report.versions(chosen)
        effort = QUICK if options.quick else FULL
        results = hold(rows, chosen, Bench(programs, effort))
        verdicts = judge(results, effort)
        how = " -- --quick" if options.quick else ""
        said = report.about(how, machine, versions)
        text = report.markdown(said, results, verdicts, chosen)
    sys.stdout.write(text)
    if options.json:
        data = report.as_data(results, verdicts, machine, versions)
        options.json.write_text(json.dumps(data, indent=2) + "\n")
    svg = options.svg or (SVG if options.update else None)
    crash_svg = options.crash_svg or (CRASH_SVG if options.update else None)
    if svg or crash_svg:
        from tests.bench import plot

        order = [one.name for one in chosen]
        if svg:
            plot.draw(results, order, svg)
        if crash_svg:
            plot.draw_crashes(results, order, crash_svg)
    if options.update:
        picture = f"![The same as a plot](../{SVG.relative_to(REPOSITORY)})"
        report.put_into_document(FIGURES, f"{text}\n{picture}\n")
    missed = [verdict for verdict in verdicts if not verdict.is_met]
    for verdict in missed:
        sys.stderr.write(f"over budget: {verdict.budget.figure} of {verdict.contestant}\n")
    return 1 if results.failed or (options.check and missed) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nox -s bench --", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few and small rounds, for CI")
    parser.add_argument("--check", action="store_true", help="fail if a budget was missed")
    parser.add_argument(
        "--update", action="store_true", help="tables into docs/figures.md, and plots"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the plot")
    parser.add_argument("--crash-svg", type=Path, metavar="FILE", help="write that of crashes")
    parser.add_argument(
        "--standalone", type=Path, metavar="FILE", default=FILE, help="default: %(default)s"
    )
    names = [row.name for row in ROWS]
    parser.add_argument("--row", action="append", choices=names, help="only this; repeatable")
    parser.add_argument("--contestant", action="append", metavar="NAME", help="only this, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
