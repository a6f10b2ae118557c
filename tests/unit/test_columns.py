"""How wide a text is in a terminal, and how it is cut and wrapped."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebound.core.columns import ELLIPSIS, cut, pad, width, wrap

texts = st.text(st.characters(codec="utf-8").filter(str.isprintable), max_size=60)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0),
        ("postgres", 8),
        ("größer", 6),
        ("gro\u0308ßer", 6),  # a letter, and its accent
        ("データ", 6),
        ("数据库", 6),
        ("한국어", 6),
        ("🚀 ready ✅", 11),
        ("\uff46\uff55\uff4c\uff4c", 8),
        ("…", 1),
    ],
)
def test_the_width(text: str, columns: int) -> None:
    assert width(text) == columns


def test_the_table_is_that_of_the_standard() -> None:
    """For all scripts; some rare pictures and what has no width elsewhere may differ."""
    chars = [chr(code) for code in range(0x110000) if chr(code).isprintable()]
    wrong = [
        char
        for char in chars
        if (width(char) == 2) != (unicodedata.east_asian_width(char) in "WF")
        and not unicodedata.category(char).startswith("So")
        and not unicodedata.category(char).startswith("M")
    ]
    assert len(wrong) < 100


@given(texts, st.integers(1, 70))
def test_what_is_cut_fits(text: str, columns: int) -> None:
    shown = cut(text, columns)
    assert width(shown) <= columns
    assert shown == text or (shown.endswith(ELLIPSIS) and width(text) > columns)
    assert text.startswith(shown.removesuffix(ELLIPSIS)) or shown == text


@given(texts, st.integers(2, 70), st.integers(0, 4))
def test_what_is_wrapped_fits_and_is_whole(text: str, columns: int, most: int) -> None:
    """But for blanks at the ends of lines."""
    lines = wrap(text, columns)
    assert all(width(line) <= columns for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    some = wrap(text, columns, most)
    assert all(width(line) <= columns for line in some)
    if most and len(lines) > most:
        assert len(some) == most
        assert some[-1].endswith(ELLIPSIS)
    else:
        assert some == lines


def test_lines_end_between_words() -> None:
    assert wrap("one two three", 7) == ["one two", "three"]
    assert wrap("one twothreefour", 7) == ["one", "twothre", "efour"]
    assert wrap("one two three", 7, 1) == ["one tw…"]
    assert wrap("one two three", 9, 1) == ["one two …"]
    assert wrap("", 7) == [""]


def test_padding() -> None:
    assert [pad("データ", 8), pad("x", 1), pad("xy", 1)] == ["データ  ", "x", "xy"]
