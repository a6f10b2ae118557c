"""What the packages make of the table of options, before any shell or mandoc sees it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from images.packages.completions import bash, fish, zsh
from images.packages.manual import synopsis
from images.packages.project import AUTHOR, ROOT
from images.packages.sbom import component
from images.packages.values import BY_METAVAR, NOTHING, SIGNALS, takes, values_of
from rebound.about import COPYRIGHT
from rebound.options import OPTIONS, Option

VALUED = [option for option in OPTIONS if option.metavar]


@pytest.mark.parametrize("option", VALUED, ids=lambda option: option.spellings[-1])
def test_the_words_are_those_that_the_parser_takes(option: Option) -> None:
    """Where it names them, or takes signals, they are offered: so a new option is not forgotten."""
    values = values_of(option)
    assert (values.words != ()) == (option.metavar in BY_METAVAR and not values.files)
    if values == NOTHING and not takes(option, "no such word"):
        with pytest.raises(ValueError, match="no such word") as raised:
            option.apply({}, "no such word")
        assert "is not one of" not in str(raised.value)
        assert not takes(option, "TERM")


def test_signals_are_named() -> None:
    assert {"HUP", "TERM", "WINCH", "RTMIN", "RTMIN+3"} < set(SIGNALS)
    assert not [name for name in SIGNALS if name.startswith("SIG") or name.isdecimal()]
    [stop] = [option for option in VALUED if option.spellings == ("--stop-signal",)]
    assert set(SIGNALS) - set(values_of(stop).words) >= {"KILL", "STOP"}


@pytest.mark.parametrize("make", [bash, zsh, fish])
def test_each_option_is_completed(make: Callable[[], str]) -> None:
    text = make()
    for option in OPTIONS:
        assert option.spellings[-1].lstrip("-") in text
    assert "@" not in text.replace('"${words[@]}"', "").replace("[@]", "")


def test_the_copyright_is_one() -> None:
    for name in ("NOTICE", "images/packages/debian.copyright"):
        text = (ROOT / name).read_text()
        assert COPYRIGHT.removeprefix("Copyright ") in text
    assert COPYRIGHT.endswith(AUTHOR)


def test_a_usage_in_macros() -> None:
    usage = "rebound --status [--json | --openmetrics] [PID] word…"
    assert synopsis(usage).split("\n") == [
        ".Nm rebound",
        ".Fl \\-status",
        ".Op Fl \\-json | Fl \\-openmetrics",
        ".Op Ar PID",
        ".Ar word...",
    ]


def test_a_part_of_the_one_file() -> None:
    part = component("libgcc-s1 12.2.0-14+deb12u1, source gcc-12 12.2.0-14+deb12u1")
    assert part["purl"] == "pkg:deb/debian/gcc-12@12.2.0-14%2Bdeb12u1?arch=source"
    assert part["licenses"] == [{"expression": "GPL-3.0-or-later WITH GCC-exception-3.1"}]
    with pytest.raises(KeyError):
        component("libnew-dev 1, source newlib 1")  # its licence is to be looked up
