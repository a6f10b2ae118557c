"""The log for people, with times (`--log-format timed`)."""

from __future__ import annotations

import time

from rebound.kernel import logtext
from rebound.kernel.logjson import timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def format_line(level: str, event: str, text: str, fields: Mapping[str, object]) -> bytes:
    """Return the line of `logtext` with the time before it."""
    head = f"{timestamp(time.time())} "
    return logtext.format_line(level, event, text, fields, head)
