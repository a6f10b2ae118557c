"""The README says what is true."""

from __future__ import annotations

import re
from pathlib import Path

from rebound.options import OPTIONS

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_options_are_those_of_the_parser() -> None:
    heads = re.findall(r"^\| (`-.*?) \| ", README, re.MULTILINE)
    written = [re.findall(r"`([^`]+)`", head) for head in heads]
    expected = []
    for option in OPTIONS:
        *first, last = option.spellings
        expected.append([*first, f"{last} {option.metavar}".rstrip()])
    assert written == expected


def test_the_files_that_it_names_exist() -> None:
    root = Path(__file__).parents[2]
    for target in re.findall(r"\]\(((?!https?:)[^)#]+)\)", README):
        assert (root / target).exists(), target
    for name in re.findall(r"^  ((?:\w+\.py|\w+/)(?:, (?:\w+\.py|\w+/))*)  ", README, re.MULTILINE):
        for file in name.split(", "):
            assert (root / "rebound" / file).exists(), file
