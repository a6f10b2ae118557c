"""The log for programs: each line is one object, whatever the text."""

from __future__ import annotations

import datetime as dt
import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rebound.kernel.logjson import format_line, timestamp

PIPE_BUF = 4096
"""Only a write of at most so many bytes to a pipe is in one piece (pipe(7))."""

texts = st.text(st.characters(codec=None), max_size=50)


@given(texts | st.builds(str.__mul__, texts, st.integers(1, 3000)), texts)
@example("\U0001f600" * PIPE_BUF, '"' * PIPE_BUF)
def test_a_line_is_one_object_and_goes_out_in_one_piece(text: str, name: str) -> None:
    """Texts are cut, names and numbers are not."""
    fields = {"command": name * 100, "pid": 10**9}
    line = format_line("info", "exited", text, fields)
    assert len(line) < PIPE_BUF  # so that a newline may go before it
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    read = json.loads(line)
    assert list(read) == ["ts", "level", "event", "command", "pid", "msg"]
    assert (read["level"], read["event"], read["pid"]) == ("info", "exited", 10**9)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", read["ts"])


@pytest.mark.parametrize("seconds", [0.0, 0.9994, 0.9996, 1795461135.241, 4102444799.9999])
def test_timestamps(seconds: float) -> None:
    """To the millisecond, rounded."""
    expected = dt.datetime.fromtimestamp(round(seconds, 3), dt.UTC)
    assert timestamp(seconds) == expected.isoformat(timespec="milliseconds")[:-6] + "Z"
