"""What is written for those who work on rebound names what exists, and draws what happens."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rebound.core.events import Event, Exited, RestartRequested
from rebound.core.exitstatus import ExitStatus
from rebound.core.notify import Message
from rebound.core.service import IllegalTransition
from rebound.core.states import CLEARING
from rebound.core.watchevents import HealthChecked, Notified
from tests import distros
from tests.documents import (
    CODE,
    DOCUMENTS,
    FENCE,
    NOT_RUN,
    ROOT,
    RUN,
    blocks,
    lines_of_rebound,
    mistake_in,
    text_of,
)
from tests.unit.stories import PID, STORIES, in_state
from tests.unit.test_service import EVENTS, EVERYTHING

FOLDERS = ("rebound", "tests", "images", "docs")
NAMES = {path.name for folder in FOLDERS for path in (ROOT / folder).rglob("*.*")}
NAMES |= {path.name for path in ROOT.glob("*.*")}

FOR_USERS = {"README.md", *(f"docs/{name}.md" for name in ("containers", "operation", "options"))}
FOR_USERS |= {f"docs/{name}.md" for name in ("compared", "postgresql", "sockets")}
"""They name files on the reader's machine, too."""

LINK = re.compile(r"\]\(((?!https?:)[^)\s]+)\)")
PATH = re.compile(r"(?:[\w.-]+/)+(?:[\w-]+\.\w+)?|[\w-]+\.(?:py|c|h|md|sh|toml|txt)")
"""A folder, which ends in a slash, or a file."""

READ_BY_CI = re.findall(r"(?<=^for marker in ).*(?=; do$)", text_of(".ci/run"), re.MULTILINE)[
    0
].split()
"""The markers of the blocks that .ci/run runs."""


def anchors(text: str) -> set[str]:
    """Those that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def missing_links(document: str, text: str) -> Iterator[str]:
    for target in LINK.findall(text):
        name, _, anchor = target.partition("#")
        path = (ROOT / document).parent / name if name else ROOT / document
        if not path.exists() or (anchor and anchor not in anchors(path.read_text())):
            yield target


def missing_names(text: str) -> Iterator[str]:
    """Those in code that are paths of this repository, from its top or from the package's."""
    for name in filter(PATH.fullmatch, CODE.findall(FENCE.sub("", text))):
        found = any((directory / name).exists() for directory in (ROOT, ROOT / "rebound"))
        if not found and ("/" in name or name not in NAMES):
            yield name


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    assert not [*missing_links(document, text_of(document))]


@pytest.mark.parametrize("document", sorted(set(DOCUMENTS) - FOR_USERS))
def test_each_file_and_folder_that_is_named_exists(document: str) -> None:
    assert not [*missing_names(text_of(document))]


def test_what_is_missing_is_found() -> None:
    """Negative control."""
    text = "[a](../README.md#no-such), [b](no.md), [c](#states), [d](../README.md#compared)"
    assert [*missing_links("docs/design.md", text)] == ["../README.md#no-such", "no.md"]
    named = "`core/`, `rebound/cli.py`, `service.py`, `Start`, `attic/`, `gone.py`, `core/cli.py`"
    assert [*missing_names(named)] == ["attic/", "gone.py", "core/cli.py"]


# --- Commands ---------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_command_is_run_or_says_why_not(document: str) -> None:
    run = {RUN, *distros.COMMANDS, *READ_BY_CI}
    for marker, block in blocks(text_of(document), "sh"):
        assert marker in run or marker.startswith(NOT_RUN), block


def test_what_ci_and_the_machines_run_is_there() -> None:
    found = [marker for each in DOCUMENTS for marker, _ in blocks(text_of(each), "sh")]
    for marker in {*distros.COMMANDS, *READ_BY_CI}:
        assert found.count(marker) == 1, marker


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_command_line_of_rebound_is_right(document: str) -> None:
    """By its own parser; wherever it is shown: in a block, a Dockerfile, a unit, a sentence."""
    assert not [*filter(None, map(mistake_in, lines_of_rebound(text_of(document))))]


def test_mistakes_in_command_lines_are_found() -> None:
    """Negative control."""
    text = """
```Dockerfile
ENTRYPOINT ["rebound", "-0", "my-daemon"]
ENTRYPOINT ["rebound", "--wrong", "my-daemon"]
```
and `rebound -r x true`, `rebound --status`, `--wrong`
"""
    lines = [*lines_of_rebound(text)]
    assert len(lines) == 4
    assert [bool(mistake_in(line)) for line in lines] == [False, True, True, False]


# --- The diagram of the states ----------------------------------------------------------


def drawn() -> set[tuple[str, str, str]]:
    """Each (state, event, state) that the diagram has, by way of a choice or not."""
    text = text_of("docs/design.md")
    choices = set(re.findall(r"state (\w+) <<choice>>", text))
    arrows = re.findall(r"^ +(\w+) --> (\w+): (.*)$", text, re.MULTILINE)
    found: set[tuple[str, str, str]] = set()
    for begin, end, label in arrows:
        ends = [there for here, there, _ in arrows if here == end] if end in choices else [end]
        if begin not in choices:
            found.update(product([begin], label.split(", "), ends))
    return {(begin, event, end) for begin, event, end in found if begin != end}


def observed() -> set[tuple[str, str, str]]:
    """Those that come of any two events in any state, whatever is configured."""
    further: list[Event] = [Exited(PID, ExitStatus()), HealthChecked(ExitStatus(code=1))]
    every = [*EVENTS, *further, Notified(Message(trigger=True)), RestartRequested()]
    settings: list[dict[str, Any]] = [
        EVERYTHING | {"health_retries": 1, "fresh": fresh} for fresh in (False, True)
    ]
    settings += [each | {"restart_delay": 500.0} for each in settings]
    settings += [{"restart": "never", "watchdog": 10.0, "fresh": False}]
    found: set[tuple[str, str, str]] = set()
    for state, options, events in product(STORIES, settings, product(every, every)):
        if state == CLEARING and not options["fresh"]:
            continue
        subject = in_state(state, **options)
        for event in events:
            before = subject.state
            try:
                subject.step(event, 100.0)
            except IllegalTransition:
                break
            if subject.state != before:
                found.add((before, type(event).__name__, subject.state))
    return found


def test_the_diagram_shows_each_way_from_a_state_to_another() -> None:
    assert drawn() == observed()


# --- The tools --------------------------------------------------------------------------


def test_each_tool_is_locked() -> None:
    """`nox -s lock` does it."""
    text = (ROOT / "tests/constraints.txt").read_text()
    locked = {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    del groups["build"]  # with hashes, in images/wheel/
    needed = [item for group in groups.values() for item in group if isinstance(item, str)]
    assert {canonicalize_name(Requirement(item).name) for item in needed} <= locked
