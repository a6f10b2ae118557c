"""The log for people: lines of text, and what can be shown in them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_LINE = 4096
"""PIPE_BUF: a longer line could be torn apart by other writers (pipe(7))."""


def format_line(_level: str, _event: str, text: str, _fields: Mapping[str, object]) -> bytes:
    """Return one line for `text`, whatever bytes are in it."""
    line = f"rebound: {printable(text)}\n".encode()
    if len(line) > MAX_LINE:
        line = line[: MAX_LINE - 1].decode(errors="ignore").encode() + b"\n"
    return line


def printable(text: str) -> str:
    """Give the text with whatever would break a line, or move a cursor, written out."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    # Bytes that are no UTF-8 arrive as lone surrogates (PEP 383).
    return char.encode("unicode_escape").decode()
