"""The README says what is true."""

from __future__ import annotations

import re
from pathlib import Path

from rebound.core import narrate
from rebound.options import OPTIONS
from tests import tree

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_options_are_those_of_the_parser() -> None:
    heads = re.findall(r"^\| (`-.*?) \| ", README, re.MULTILINE)
    written = [re.findall(r"`([^`]+)`", head) for head in heads]
    expected = []
    for option in OPTIONS:
        *first, last = option.spellings
        expected.append([*first, f"{last} {option.metavar}".rstrip()])
    assert written == expected


def test_the_files_that_it_names_exist() -> None:
    for target in re.findall(r"\]\(((?!https?:)[^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_modules_are_those_of_the_tree() -> None:
    """`python -m tests.tree` writes them."""
    assert tree.LIST.findall(README) == [tree.lines()]


def test_each_event_of_the_log_is_documented() -> None:
    """With its name, which stays."""
    sources = "".join(path.read_text() for path in (ROOT / "rebound").rglob("*.py"))
    levels = '(?:level|"(?:error|info|debug)")'
    written = set(re.findall(rf"(?:write|_format)\(\s*{levels},\s*\"(\w+)\"", sources))
    written |= {event for _level, event in narrate.KINDS.values()}
    table = README.partition("| event | further fields |")[2].partition("\n\n")[0]
    documented = {
        event
        for cell in re.findall(r"^\| (`.*?) \| ", table, re.MULTILINE)
        for event in re.findall(r"`(\w+)`", cell)
    }
    assert documented == written
