"""Boots other kernels and tries rebound there: `python -m tests.kernels [NAME…]`."""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.distros import REPOSITORY, Failed
from tests.kernels import debian, judge, machine
from tests.kernels.architectures import ARCHITECTURES, Architecture
from tests.kernels.scenarios import MACHINE, SCENARIOS


class Result(NamedTuple):
    """What came of one kernel."""

    name: str
    facts: dict[str, str]
    played: int
    """How many scenarios."""
    seconds: float
    problems: list[str]


def run(name: str, architecture: Architecture, log: Path, *, renew: bool) -> Result:
    """Boot a kernel, and judge it by its log."""
    try:
        kernel = debian.kernel(name, architecture, renew=renew)
        busybox = debian.busybox(architecture, renew=renew)
    except Failed as error:
        return Result(name, {}, 0, 0.0, [str(error)])
    scenarios = judge.due(kernel.name)
    with tempfile.TemporaryDirectory(prefix="rebound-kernels-") as work:
        initrd = machine.make_initrd(architecture, busybox, scenarios, Path(work))
        seconds = machine.boot(architecture, kernel, initrd, log)
    text = log.read_text(errors="replace")
    played = [*scenarios, MACHINE]
    problems = list(judge.problems(played, text))
    return Result(name, judge.facts(text), len(played), seconds, problems)


def report(architecture: Architecture, results: list[Result]) -> Iterator[str]:
    """Yield the lines of the report."""
    yield "# Other kernels\n"
    yield f"qemu {machine.qemu_version(architecture)}, {architecture.name} emulated on "
    yield f"{platform.machine()}, Linux {platform.release()}.\n"
    yield "| kernel | version | busybox | rebound | scenarios | failed | s |"
    yield "|---|---|---|---|---|---|---|"
    for name, facts, played, seconds, problems in results:
        versions = " | ".join(facts.get(key, "?") for key in ("kernel", "busybox", "rebound"))
        yield f"| {name} | {versions} | {played} | {len(problems)} | {seconds:.0f} |"
    later = ", ".join(
        f"{s.name} (since {s.since[0]}.{s.since[1]})" for s in SCENARIOS if any(s.since)
    )
    yield f"\nAn older kernel is spared: {later}."
    for name, *_, problems in results:
        if problems:
            yield f"\n## {name}\n"
            yield from (f"- {problem}" for problem in problems)


def main() -> int:
    """Run the command line; return 1 if something went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.kernels", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{', '.join(debian.RELEASES)}; default: all"
    )
    parser.add_argument("--architecture", choices=ARCHITECTURES, default="x86_64")
    parser.add_argument("--renew", action="store_true", help="download the newest of each again")
    options = parser.parse_args()
    architecture = ARCHITECTURES[options.architecture]
    names = options.names or list(debian.RELEASES)
    if unknown := [name for name in names if name not in debian.RELEASES]:
        parser.error(f"no kernel {unknown[0]}; there are {', '.join(debian.RELEASES)}")
    if missing := machine.missing_tools(architecture):
        parser.error(f"needs {', '.join(missing)}")
    logs = REPOSITORY / "build/kernels"
    logs.mkdir(parents=True, exist_ok=True)
    results = []
    for name in names:
        log = logs / f"{name}-{architecture.name}.log"
        print(f"{name}: its console in {log}", flush=True)
        results.append(run(name, architecture, log, renew=options.renew))
        for problem in results[-1].problems:
            print(f"{name}: {problem}", flush=True)
    text = "\n".join(report(architecture, results)) + "\n"
    path = REPOSITORY / f"dist/kernels-{architecture.name}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    print(text)
    return any(result.problems for result in results)


if __name__ == "__main__":
    sys.exit(main())
