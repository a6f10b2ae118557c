"""Messages that a command sends to its NOTIFY_SOCKET, as sd_notify(3) defines them."""

from __future__ import annotations

from rebound.core.activation import is_name
from rebound.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STORED = "stored"
"""The name of a stored descriptor that was given none."""

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
    stores: bool = False
    """FDSTORE=1: keep the descriptors that come along."""
    stored_name: str = STORED
    """FDNAME: what they are called."""
    is_polled: bool = True
    """Whether a descriptor that hangs up is dropped; FDPOLL=0: it is not."""
    removed_name: str | None = None
    """FDSTOREREMOVE=1 with FDNAME: drop those that are called so."""


def parse(data: bytes) -> Message:
    """Read the lines of a message; ignore a value that is not allowed."""
    found: dict[str, Any] = {}
    is_removal = False
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
        elif name == "FDNAME" and is_name(value):
            found.setdefault("stored_name", value)
        elif (name, value) == ("FDPOLL", "0"):
            found["is_polled"] = False
        elif (name, value) == ("FDSTOREREMOVE", "1"):
            is_removal = True
    if is_removal:
        found["removed_name"] = found.get("stored_name")
    return Message(**found)


_FLAGS = {"READY": "ready", "STOPPING": "stopping", "WATCHDOG": "alive", "FDSTORE": "stores"}
_TIMES = {"EXTEND_TIMEOUT_USEC": "extend", "WATCHDOG_USEC": "watchdog"}


def _is_time(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS and int(text) > 0
