"""The log for people: lines of text, with only printable characters."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_LINE = 4096
"""PIPE_BUF: other writers could tear a longer line apart (pipe(7))."""


def format_line(
    _level: str, _event: str, text: str, _fields: Mapping[str, object], head: str = ""
) -> bytes:
    """Return `text` as one line, whatever bytes are in it, after `head`."""
    line = f"{head}rebound: {printable(text)}\n".encode()
    if len(line) > MAX_LINE:
        line = line[: MAX_LINE - 1].decode(errors="ignore").encode() + b"\n"
    return line


def printable(text: str) -> str:
    """Return the text with escapes for all that would break a line or move a cursor."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    # Bytes that are not UTF-8 arrive as lone surrogates (PEP 383).
    return char.encode("unicode_escape").decode()
