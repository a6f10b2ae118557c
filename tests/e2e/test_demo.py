"""The picture at the top of the README shows what happens."""

from __future__ import annotations

import html
import re

from tests import demo
from tests.helpers import REBOUND


def words_drawn() -> str:
    """The words in the picture; a long line may go on below."""
    svg = demo.PICTURE.read_text()
    rows: dict[str, str] = {}
    for row, text in re.findall(r'<text class="terminal-r\d+" [^>]*y="([\d.]+)"[^>]*>(.*?)<', svg):
        rows[row] = rows.get(row, "") + html.unescape(text).replace("\xa0", " ")
    return demo.steady("\n".join(rows.values()))


def test_the_picture_is_what_a_terminal_shows() -> None:
    """`python -m tests.demo` draws it anew."""
    assert words_drawn() == demo.steady("\n".join(demo.record(REBOUND)))


def test_the_picture_is_small() -> None:
    assert demo.PICTURE.stat().st_size < 100_000
