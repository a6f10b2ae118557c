"""How the machines of other kernels are judged: by marks on the console, all of them in order."""

from __future__ import annotations

import pytest

from tests.kernels import whole
from tests.kernels.debian import PARTS, sources
from tests.kernels.judge import difference, due, facts, marks, problems
from tests.kernels.scenarios import MACHINE, SCENARIOS, Scenario

LOG = (
    "@= kernel: 6.1.0-56-cloud-amd64, 6.1.192-2\r\n"
    "@@ crash-ro: run 1 after signal:SIGSEGV\r\n"
    "rebound: starting sh\r\n"
    "@@ drain: receives\r\n"
    "@@ crash-ro: status 0\r\n"
    "@@ machine: asked to stop\r\n"
    "[   37.1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000700\r\n"
)

CRASH = Scenario("crash-ro", "", ("run 1 after signal:SIGSEGV", "status 0"))
DRAIN = Scenario("drain", "", ("receives", "status 7"))


def test_what_a_machine_says() -> None:
    assert facts(LOG) == {"kernel": "6.1.0-56-cloud-amd64, 6.1.192-2"}
    assert marks(LOG) == {
        "crash-ro": ["run 1 after signal:SIGSEGV", "status 0"],
        "drain": ["receives"],
        "machine": ["asked to stop", "PID 1 ended, 0x00000700"],
    }


@pytest.mark.parametrize(
    ("found", "differs"),
    [
        (["a", "b"], ""),
        (["a"], 'expected "b", found no further mark'),
        ([], 'expected "a", found no further mark'),
        (["b", "a"], 'expected "a", found "b"'),
        (["a", "b", "b"], 'expected no further mark, found "b"'),
    ],
)
def test_marks_are_all_there_in_order_and_no_others(found: list[str], differs: str) -> None:
    assert difference(["a", "b"], found) == differs


def test_each_scenario_that_failed_is_named() -> None:
    """One of which nothing was heard, too."""
    silent = Scenario("silent", "", ("status 0",))
    assert list(problems([CRASH, DRAIN, silent], LOG)) == [
        'drain: expected "status 7", found no further mark',
        'silent: expected "status 0", found no further mark',
    ]


def test_a_machine_that_says_nothing_has_failed() -> None:
    every = [*SCENARIOS, MACHINE]
    assert len(list(problems(every, ""))) == len(every)


def test_an_older_kernel_is_spared_what_it_cannot_do() -> None:
    left_out = set(SCENARIOS) - set(due("vmlinuz-5.10.0-46-cloud-amd64"))
    assert {scenario.name for scenario in left_out} == {"kill", "kill-command"}
    assert due("vmlinuz-6.1.0-56-cloud-amd64") == due("vmlinuz-7.2.13") == list(SCENARIOS)


def test_each_scenario_has_a_name_and_marks_of_its_own() -> None:
    names = [scenario.name for scenario in (*SCENARIOS, MACHINE)]
    assert len(set(names)) == len(names)
    assert all(scenario.marks for scenario in SCENARIOS)


def test_the_sources_of_a_release() -> None:
    """With its security updates, where the mirror has them; sid has none."""

    def suites(release: str, security: str) -> list[list[str]]:
        lines = sources(release, "http://a/debian", security).splitlines()
        return [line.split()[2:] for line in lines]

    bookworm = ["http://a/debian", "bookworm", "main"]
    updates = ["http://a/security", "bookworm-security", "main"]
    assert suites("bookworm", "http://a/security") == [bookworm, updates]
    assert suites("bookworm", "") == [bookworm]
    assert suites("sid", "http://a/security") == [["http://a/debian", "sid", "main"]]


@pytest.mark.parametrize(
    ("package", "holds"),
    [
        ("linux-image-6.1.0-56-cloud-amd64", True),
        ("linux-binary-7.2.13+deb14-cloud-arm64", True),
        ("linux-image-cloud-amd64", False),
        ("linux-base", False),
        ("linux-modules-7.2.13+deb14-cloud-amd64", False),
    ],
)
def test_which_packages_hold_a_kernel(package: str, holds: bool) -> None:
    assert bool(PARTS.fullmatch(package)) == holds


TESTED = (
    "FAILED tests/e2e/test_oom.py::test_a - AssertionError\r\n"
    "ERROR tests/e2e/test_oom.py::test_a - AssertionError\r\n"
    "===== 1 failed, 153 passed, 1 error in 155.97s (0:02:35) =====\r\n"
    "@@ tests: exit 1\r\n"
)


def test_what_came_of_the_tests_in_a_machine() -> None:
    assert (whole.passed(TESTED), whole.problems(TESTED)) == (
        153,
        ["tests/e2e/test_oom.py::test_a"],
    )
    well = "===== 155 passed in 150.00s =====\r\n@@ tests: exit 0\r\n"
    assert (whole.passed(well), whole.problems(well)) == (155, [])
    assert whole.problems("") == ["the tests did not end well"]
