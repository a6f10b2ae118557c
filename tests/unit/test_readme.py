"""The README is short, and the references say what is true."""

from __future__ import annotations

import re

from rebound.control.status import FIELDS
from rebound.core import narrate, openmetrics
from rebound.options import GROUPS, OPTIONS
from tests import tree
from tests.documents import ROOT, text_of

README = text_of("README.md")
HEADS = re.compile(r"^\| (`-.*?) \| ", re.MULTILINE)


def test_a_stranger_decides_in_a_minute() -> None:
    assert README.count("\n") <= 200
    assert "missed" not in README  # only beside its reason, in docs/figures.md


def test_the_options_are_those_of_the_parser() -> None:
    written = [re.findall(r"`([^`]+)`", head) for head in HEADS.findall(text_of("docs/options.md"))]
    expected = []
    for option in OPTIONS:
        *first, last = option.spellings
        expected.append([*first, f"{last} {option.metavar}".rstrip()])
    assert written == expected


def test_the_groups_are_those_of_the_help() -> None:
    text = text_of("docs/options.md")
    found = re.findall(r"^## (.*)\n\n\| option .*\n.*\n\| `(-[\w-]+)", text, re.MULTILINE)
    assert {first: title for title, first in found} == GROUPS


def test_the_options_that_matter_most_are_twelve() -> None:
    table = README.partition("## The options that matter most")[2].partition("\n## ")[0]
    spellings = re.findall(r"^\| [a-z ]*\| `(-[\w-]+)", table, re.MULTILINE)
    known = {spelling for option in OPTIONS for spelling in option.spellings}
    assert len(spellings) == 12
    assert set(spellings) <= known


def test_the_modules_are_those_of_the_tree() -> None:
    """`python -m tests.tree` writes them."""
    assert tree.LIST.findall(text_of("docs/design.md")) == [tree.lines()]


def test_each_event_of_the_log_is_documented() -> None:
    """With its name, which stays."""
    sources = "".join(path.read_text() for path in (ROOT / "rebound").rglob("*.py"))
    levels = '(?:level|"(?:error|info|debug)")'
    written = set(re.findall(rf"(?:write|_format)\(\s*{levels},\s*\"(\w+)\"", sources))
    written |= {event for _level, event in narrate.KINDS.values()}
    section = text_of("docs/operation.md").partition("\n### Events\n")[2].partition("\n#")[0]
    tables = section[section.index("**The runs**") :]
    documented = [
        event
        for cell in re.findall(r"^\| (`.*?) \| ", tables, re.MULTILINE)
        for event in re.findall(r"`(\w+)`", cell)
    ]
    assert sorted(documented) == sorted(written)


def first_cells(heading: str, head: str) -> list[str]:
    """The words in code in the first column of the table with that head, below that heading."""
    section = text_of("docs/operation.md").partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    table = section.partition(f"\n{head}\n")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| (`.*?) \| ", table, re.MULTILINE)
    return [word for cell in cells for word in re.findall(r"`(\w+)`", cell)]


def test_each_field_of_the_status_is_documented() -> None:
    assert sorted(first_cells("## Status", "| field | |")) == sorted(FIELDS)


def test_each_metric_is_documented() -> None:
    documented = first_cells("## Probes and metrics", "| metric | |")
    assert [re.sub("_(total|info)$", "", name) for name in documented] == [
        family.name for family in openmetrics.FAMILIES
    ]
