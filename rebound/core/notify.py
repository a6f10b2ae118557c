"""Messages that a command sends to its NOTIFY_SOCKET, as sd_notify(3) defines them."""

from __future__ import annotations

from rebound.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MICROSECOND = 1e-6

_MOST_DIGITS = 20  # of UINT64_MAX


class Message(Record):
    """The assignments of a message that rebound uses; it ignores others.  Times are in seconds."""

    ready: bool = False
    stopping: bool = False
    alive: bool = False
    """WATCHDOG=1, the keep-alive."""
    trigger: bool = False
    """WATCHDOG=trigger: the command reports itself as hung."""
    status: str | None = None
    extend: float | None = None
    """EXTEND_TIMEOUT_USEC: the next sign of life may take this long."""
    watchdog: float | None = None
    """WATCHDOG_USEC: from now on expect a keep-alive within this time."""


def parse(data: bytes) -> Message:
    """Read the lines of a message; ignore a value that is not allowed."""
    found: dict[str, Any] = {}
    for line in data.decode(errors="replace").split("\n"):
        name, _, value = line.partition("=")
        if name in _FLAGS and value == "1":
            found[_FLAGS[name]] = True
        elif name == "WATCHDOG" and value == "trigger":
            found["trigger"] = True
        elif name == "STATUS":
            found["status"] = value
        elif name in _TIMES and _is_time(value):
            found[_TIMES[name]] = int(value) * _MICROSECOND
    return Message(**found)


_FLAGS = {"READY": "ready", "STOPPING": "stopping", "WATCHDOG": "alive"}
_TIMES = {"EXTEND_TIMEOUT_USEC": "extend", "WATCHDOG_USEC": "watchdog"}


def _is_time(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS and int(text) > 0
