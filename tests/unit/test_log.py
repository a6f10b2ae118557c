"""Log lines: always exactly one, whatever the text."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rebound.kernel import logtext
from rebound.kernel.log import Log

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


def test_half_a_line_in_the_way_of_what_was_dropped() -> None:
    """In JSON a line after the command's end begins anew, whichever is the first that goes out."""
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as reader, open(writing, "wb", buffering=0) as writer:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BUF)
        log = Log(line_format="json", fd=writing)
        writer.write(b"x" * PIPE_BUF)
        log.expect_half_a_line()
        log.write("info", "exited", "child exited")  # finds no room
        reader.read(PIPE_BUF)
        writer.write(b"half")
        log.write("info", "starting", "starting")
        log.write("info", "started", "started")
        log.close()
        half, *lines = reader.read(PIPE_BUF).splitlines()
    assert half == b"half"
    assert [json.loads(line)["event"] for line in lines] == ["dropped", "starting", "started"]


def test_half_a_line_of_our_own_in_the_way(tmp_path: Path) -> None:
    """A full disk may take half of it; what comes when there is room again begins anew."""
    code = """
import resource, sys
from rebound.kernel.log import Log
log = Log(line_format="json", path=sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (20, resource.RLIM_INFINITY))
log.write("info", "starting", "starting")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.write("info", "started", "started")
"""
    subprocess.run([sys.executable, "-Ic", code, tmp_path / "log"], check=True)
    half, *lines = (tmp_path / "log").read_text().splitlines()
    assert len(half) == 20
    assert [json.loads(line)["event"] for line in lines] == ["dropped", "started"]


def test_the_longest_line_is_used_to_the_full() -> None:
    """A text is cut no shorter than it must be."""
    assert len(line_of("a" * 5000)) == PIPE_BUF
