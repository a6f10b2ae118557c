"""The manual page, which is made of the table of options."""

from __future__ import annotations

import re
import subprocess

import pytest

from rebound.options import OPTIONS


@pytest.fixture
def page(unpacked):
    return unpacked / "share/man/man1/rebound.1"


def test_mandoc_finds_nothing_wrong(page):
    lint = subprocess.run(["mandoc", "-T", "lint", page], capture_output=True, text=True)
    assert (lint.returncode, lint.stdout + lint.stderr) == (0, "")


def test_mandoc_finds_mistakes(page, tmp_path):
    """Negative control."""
    wrong = tmp_path / "rebound.1"
    wrong.write_text(page.read_text().replace(".Sh NAME", ".Sh NOTHING"))
    assert subprocess.run(["mandoc", "-T", "lint", wrong], capture_output=True).returncode


def test_it_shows_each_option_and_what_it_does(page):
    command = ["mandoc", "-T", "utf8", "-O", "width=200", page]
    text = re.sub(".\b", "", subprocess.run(command, capture_output=True, text=True).stdout)
    words = " ".join(text.split())
    for option in OPTIONS:
        value = f" {option.metavar}" if option.metavar else ""
        heads = ", ".join(f"{spelling}{value}" for spelling in option.spellings)
        assert f"{heads} {option.help}".replace("…", "...") in words


def test_it_says_what_the_help_says(page):
    source = page.read_text()
    for section in ("SYNOPSIS", "OPTIONS", "ENVIRONMENT", "EXIT STATUS", "EXAMPLES"):
        assert f".Sh {section}\n" in source
    assert "@" not in source
