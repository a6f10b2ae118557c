"""The log for people: always exactly one line, whatever the text."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rebound.kernel import logtext

PIPE_BUF = 4096
"""Only a write of at most so many bytes to a pipe is in one piece (pipe(7))."""

any_text = st.text(st.characters(codec=None), max_size=50)


def line_of(text: str) -> bytes:
    return logtext.format_line("info", "event", text, {})


@given(any_text | st.builds(str.__mul__, any_text, st.integers(1, 5000)))
@example("a" * (PIPE_BUF - len("rebound: \n")))
@example("a" * (PIPE_BUF - len("rebound: \n") + 1))
@example("\n" * PIPE_BUF)
@example("\U0001f600" * PIPE_BUF)
def test_a_line_is_one_line_and_goes_out_in_one_piece(text: str) -> None:
    """No line break but the last character, no control character, no more than PIPE_BUF."""
    line = line_of(text)
    assert line.startswith(b"rebound: ")
    assert line.endswith(b"\n")
    assert len(line) <= PIPE_BUF
    body = line[:-1].decode(errors="ignore")  # a cut may split the last character
    assert not body or body.isprintable()


@given(any_text.filter(str.isprintable))
def test_printable_text_is_left_as_it_is(text: str) -> None:
    """In any script."""
    assert line_of(text) == f"rebound: {text}\n".encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\r", r"two\nlines\r"),
        ("tab\t, nul\0", r"tab\t, nul\x00"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\u2028 \x85", r"\u2028 \x85"),
        ("caf\udce9", r"caf\udce9"),
    ],
)
def test_what_is_not_printable_is_escaped(text: str, shown: str) -> None:
    """Line breaks, what would move a terminal's cursor, and bytes that are no UTF-8."""
    assert line_of(text) == f"rebound: {shown}\n".encode()


def test_the_longest_line_is_used_to_the_full() -> None:
    """A text is cut no shorter than it must be."""
    assert len(line_of("a" * 5000)) == PIPE_BUF


def test_each_text_in_a_value_is_made_printable() -> None:
    """Those of lists and dicts, too; all else stays."""
    value = {"a\n": ["\x1b", 7, {"b": "\udcff"}], "c": None, "d": True, "e": 0.5}
    assert logtext.shown(value) == {
        "a\\n": ["\\x1b", 7, {"b": "\\udcff"}],
        "c": None,
        "d": True,
        "e": 0.5,
    }
