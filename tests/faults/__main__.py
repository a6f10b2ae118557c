"""Make every system call of the tables fail, and write a report: `nox -s faults`.

    python -m tests.faults [--report FILE] [--workers N] [WORD…]

With words only the pairs that have all of them in their names: `status accept4 "for good"`.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults import denied, table
from tests.faults.denied import Denial
from tests.faults.scenarios import Result, first_calls, run_fault
from tests.faults.table import Fault
from tests.helpers import REBOUND


def main() -> int:
    """Run the pairs, print the report; 1 if one went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--report", type=Path, default=Path("dist/faults.md"))
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    every = [*table.faults(), *denied.denials()]
    chosen = [fault for fault in every if all(word in str(fault) for word in options.words)]
    for scenario in dict.fromkeys(f.scenario for f in chosen if isinstance(f, Fault)):
        first_calls(scenario)  # one after the other, and once
    denied.witness()
    results = []
    with ThreadPoolExecutor(options.workers) as pool:
        for result in pool.map(_run, chosen):
            results.append(result)
            if result.problems:
                print(f"{result.fault}: {'; '.join(result.problems)}", flush=True)
            elif len(results) % 100 == 0:
                print(f"{len(results)} of {len(chosen)}", flush=True)
    text = "\n".join(report(results)) + "\n"
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(text)
    print(text.partition("\n## ")[0])
    return any(result.problems for result in results)


def _run(fault: Fault | Denial) -> Result:
    return run_fault(fault) if isinstance(fault, Fault) else denied.run_denial(fault)


def report(results: list[Result]) -> Iterator[str]:
    """Give the lines of the report."""
    failed = [result for result in results if result.problems]
    yield "# Fault injection\n"
    pairs = {(result.fault.call, result.fault.errno) for result in results if result.fault}
    calls = {call for call, _ in pairs}
    version = subprocess.run([REBOUND, "--version"], capture_output=True, text=True).stdout.strip()
    yield (
        f"{version}, Python {platform.python_version()}, Linux {platform.release()}, "
        f"{platform.machine()}, {os.cpu_count()} CPUs.\n"
    )
    yield (
        f"{len(results)} runs of {len(pairs)} pairs of call and errno ({len(calls)} calls), "
        f"{len(failed)} failed.\n"
    )
    yield "| outcome | runs |\n|---|---|"
    outcomes = Counter("failed" if r.problems else r.outcome for r in results)
    yield from (f"| {outcome} | {count} |" for outcome, count in outcomes.most_common())
    if failed:
        yield "\n## Failures\n"
        for result in failed:
            yield f"### {result.fault}\n\n{'; '.join(result.problems)}\n\n```\n{result.log}\n```\n"
    yield "\n## All\n\n| fault | outcome | s |\n|---|---|---|"
    for result in results:
        what = "**failed**" if result.problems else result.outcome
        yield f"| {result.fault} | {what} | {result.seconds:.1f} |"


if __name__ == "__main__":
    sys.exit(main())
