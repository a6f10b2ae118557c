"""The log for programs: one JSON object a line (`--log-format json`)."""

from __future__ import annotations

import time

from rebound.core.jsontext import to_json
from rebound.kernel.logtext import MAX_LINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def format_line(level: str, event: str, text: str, fields: Mapping[str, object]) -> bytes:
    """Return the line; its texts are cut until it can be written in one piece.

    It leaves room for one newline before the line, which the log may have to add.
    """
    line = {"ts": timestamp(time.time()), "level": level, "event": event, **fields, "msg": text}
    encoded = to_json(line)
    longest = MAX_LINE
    while len(encoded) > MAX_LINE - len("\n\n"):
        longest //= 2
        cut = {
            name: value[:longest] if isinstance(value, str) else value
            for name, value in line.items()
        }
        encoded = to_json(cut)
    return encoded.encode() + b"\n"


def timestamp(seconds: float) -> str:
    """Return a wall-clock time in UTC as in RFC 3339, with milliseconds."""
    milliseconds = round(seconds * 1000)
    utc = time.gmtime(milliseconds // 1000)
    date = f"{utc.tm_year:04}-{utc.tm_mon:02}-{utc.tm_mday:02}"
    clock = f"{utc.tm_hour:02}:{utc.tm_min:02}:{utc.tm_sec:02}.{milliseconds % 1000:03}"
    return f"{date}T{clock}Z"
