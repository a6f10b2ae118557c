"""An amount of memory, as `--max-memory` takes it."""

from __future__ import annotations

from rebound.core.record import Record

_MOST_MEMORY = 2**63 - 1
"""Bytes: the most that the kernel takes as a limit."""

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


class MemorySize(Record):
    """An amount of memory: in bytes, or in percent of what the container may take.

    Either of them is 0.
    """

    bytes: int = 0
    percent: int = 0

    def of(self, whole: int) -> int:
        """Return it in bytes, given what the container may take."""
        return self.bytes or whole * self.percent // 100


def parse_size(text: str) -> MemorySize:
    """Read bytes, `64K`, `512M`, `2G`, or `50%`.  Raises `ValueError`."""
    unit = text[-1:] if text[-1:] in (*_UNITS, "%") else ""
    number = text.removesuffix(unit)
    if number.isascii() and number.isdecimal() and len(number) <= 19:
        count = int(number)
        if unit == "%" and 1 <= count <= 100:
            return MemorySize(percent=count)
        if unit != "%" and 1 <= count * _UNITS[unit] <= _MOST_MEMORY:
            return MemorySize(count * _UNITS[unit])
    raise ValueError(
        f"{text!r} is not an amount of memory (bytes, or 64K, 512M, 2G, or 1% to 100% of what the "
        "container may take)"
    )
