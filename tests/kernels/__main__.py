"""Boots other kernels and tries rebound there: `python -m tests.kernels [NAME…]`."""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.distros import REPOSITORY, Failed
from tests.kernels import debian, judge, machine, whole
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


def run(name: str, architecture: Architecture, log: Path) -> Result:
    """Boot a kernel, and judge it by its log."""
    try:
        kernel = debian.kernel(name, architecture)
        busybox = debian.busybox(architecture)
    except Failed as error:
        return Result(name, {}, 0, 0.0, [str(error)])
    scenarios = judge.due(kernel.name)
    with tempfile.TemporaryDirectory(prefix="rebound-kernels-") as work:
        initrd = machine.make_initrd(architecture, busybox, scenarios, Path(work))
        seconds = machine.boot(machine.small(architecture, kernel, initrd), log)
    text = log.read_text(errors="replace")
    played = [*scenarios, MACHINE]
    problems = list(judge.problems(played, text))
    return Result(name, judge.facts(text), len(played), seconds, problems)


def run_tests(name: str, tests: Sequence[str], log: Path) -> Result:
    """Boot a kernel with a whole Debian, and run the end-to-end tests there."""
    try:
        kernel = debian.kernel(name, whole.NATIVE)
        image = whole.root_image()
    except Failed as error:
        return Result(name, {}, 0, 0.0, [str(error)])
    with tempfile.TemporaryDirectory(prefix="rebound-kernels-") as work:
        seconds = whole.run(kernel, image, tests, Path(work), log)
    text = log.read_text(errors="replace")
    return Result(name, judge.facts(text), whole.passed(text), seconds, whole.problems(text))


def report(architecture: Architecture, results: list[Result]) -> Iterator[str]:
    """Yield the lines of the report."""
    yield "# Other kernels\n"
    yield f"qemu {machine.qemu_version(architecture)}, {architecture.name} emulated on "
    yield f"{platform.machine()}, Linux {platform.release()}.\n"
    yield "| kernel | version | busybox | rebound | played | failed | s |"
    yield "|---|---|---|---|---|---|---|"
    for name, facts, played, seconds, problems in results:
        versions = " | ".join(facts.get(key, "-") for key in ("kernel", "busybox", "rebound"))
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
    parser.add_argument(
        "--renew", action="store_true", help="forget what was kept: download the newest"
    )
    parser.add_argument(
        "--tests",
        nargs="*",
        metavar="FILE",
        help=f"run end-to-end tests instead, on {whole.NATIVE.name}; default: a few that fit",
    )
    options = parser.parse_args()
    if options.tests is not None and options.architecture != whole.NATIVE.name:
        parser.error(f"--tests: on {whole.NATIVE.name} only")
    architecture = ARCHITECTURES[options.architecture]
    names = options.names or list(debian.RELEASES)
    if unknown := [name for name in names if name not in debian.RELEASES]:
        parser.error(f"no kernel {unknown[0]}; there are {', '.join(debian.RELEASES)}")
    further = () if options.tests is None else whole.TOOLS
    if missing := machine.missing_tools(architecture, further):
        parser.error(f"needs {', '.join(missing)}")
    if options.renew:
        shutil.rmtree(debian.CACHE, ignore_errors=True)
    logs = REPOSITORY / "build/kernels"
    logs.mkdir(parents=True, exist_ok=True)
    results = []
    kind = architecture.name if options.tests is None else "tests"
    for name in names:
        log = logs / f"{name}-{kind}.log"
        print(f"{name}: its console in {log}", flush=True)
        if options.tests is None:
            results.append(run(name, architecture, log))
        else:
            tests = options.tests or whole.TESTS
            results.append(run_tests(name, tests, log))
        for problem in results[-1].problems:
            print(f"{name}: {problem}", flush=True)
    text = "\n".join(report(architecture, results)) + "\n"
    path = REPOSITORY / f"dist/kernels-{kind}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    print(text)
    return any(result.problems for result in results)


if __name__ == "__main__":
    sys.exit(main())
