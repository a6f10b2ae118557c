"""Text in the columns of a terminal: how wide it is, to cut it, and to wrap it.

It has a small table of its own of wide characters: `unicodedata` would add a megabyte to the one
file.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ELLIPSIS = "…"

_WIDE = (
    (0x1100, 0x115F),  # Hangul
    (0x231A, 0x231B),  # pictures
    (0x23E9, 0x23EC),
    (0x2614, 0x2615),
    (0x2648, 0x2653),
    (0x26A1, 0x26A1),
    (0x2705, 0x2705),
    (0x274C, 0x274E),
    (0x2753, 0x2757),
    (0x2795, 0x2797),
    (0x2B1B, 0x2B1C),
    (0x2B50, 0x2B55),
    (0x2E80, 0x303E),  # radicals, CJK punctuation
    (0x3041, 0xA4CF),  # kana, CJK, Yi
    (0xA960, 0xA97C),
    (0xAC00, 0xD7A3),
    (0xF900, 0xFAFF),
    (0xFE10, 0xFE19),
    (0xFE30, 0xFE6B),
    (0xFF01, 0xFF60),  # full-width forms
    (0xFFE0, 0xFFE6),
    (0x16FE0, 0x18CFF),
    (0x1AFF0, 0x1B2FB),
    (0x1F300, 0x1F64F),  # pictures
    (0x1F680, 0x1F6FF),
    (0x1F7E0, 0x1F7EB),
    (0x1F900, 0x1FAFF),
    (0x20000, 0x3FFFD),
)
_NO_WIDTH = (
    (0x0300, 0x036F),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF),
    (0xFE00, 0xFE0F),
    (0xFE20, 0xFE2F),
)
"""Accents and variants that join the character before them."""


def width(text: str) -> int:
    """Return how many columns a printable text takes, as most terminals show it."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(char: str) -> int:
    code = ord(char)
    if any(first <= code <= last for first, last in _NO_WIDTH):
        return 0
    return 2 if any(first <= code <= last for first, last in _WIDE) else 1


def pad(text: str, columns: int) -> str:
    """Return the text with blanks up to this width."""
    return text + " " * (columns - width(text))


def cut(text: str, columns: int) -> str:
    """Return the text, with an ellipsis for what does not fit into the columns, 1 at least."""
    if width(text) <= columns:
        return text
    return _head(text, columns - 1).rstrip(" ") + ELLIPSIS


def _head(text: str, columns: int) -> str:
    """Return as much of the text as fits; it may be nothing."""
    end, left = 0, columns
    for char in text:
        left -= _width(char)
        if left < 0:
            break
        end += 1
    return text[:end]


def wrap(text: str, columns: int, most: int = 0) -> list[str]:
    """Return the text in lines of at most that many columns, 2 at least; one line at least.

    Lines end between words, and in a word only if that is too long.  If there are more lines than
    `most`, not 0, the last one ends in an ellipsis.
    """
    lines = list(_lines(text, columns)) or [""]
    if most and len(lines) > most:
        last = f"{lines[most - 1]} {ELLIPSIS}"
        if width(last) > columns:
            last = _head(lines[most - 1], columns - 1) + ELLIPSIS
        lines = [*lines[: most - 1], last]
    return lines


def _lines(text: str, columns: int) -> Iterator[str]:
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if width(joined) <= columns:
            line = joined
            continue
        if line:
            yield line
        rest = word
        while width(rest) > columns:
            head = _head(rest, columns)
            yield head
            rest = rest[len(head) :]
        line = rest
    if line:
        yield line
