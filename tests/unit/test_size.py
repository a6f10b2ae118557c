"""Amounts of memory."""

from __future__ import annotations

import re

import pytest

from rebound.core.size import MemorySize, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", MemorySize(1)),
        ("1048576", MemorySize(2**20)),
        ("64K", MemorySize(2**16)),
        ("512M", MemorySize(2**29)),
        ("2G", MemorySize(2**31)),
        ("1%", MemorySize(0, 1)),
        ("100%", MemorySize(0, 100)),
    ],
)
def test_amounts_of_memory_are_read(text: str, size: MemorySize) -> None:
    """Bytes, with a unit of 1024, or a share."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "0K", "0%", "101%", "M", "%", "512m", "1.5G", "1GB", "1MM", "1G%", "-1", " 1"),
        *("٣", "9223372036854775808", "9" * 19 + "G", "9" * 30, "max"),
    ],
)
def test_other_amounts_are_refused(text: str) -> None:
    """In one line, which says what is allowed."""
    with pytest.raises(ValueError, match=rf"^{re.escape(repr(text))} is not an .+512M, 2G, or 1%"):
        parse_size(text)


def test_a_share_is_of_the_whole() -> None:
    """Rounded down; bytes stay what they are."""
    assert MemorySize(0, 50).of(1001) == 500
    assert MemorySize(7).of(1001) == 7
