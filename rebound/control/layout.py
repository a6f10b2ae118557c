"""The status for people: a block for one rebound, a table for several, as wide as the terminal.

All texts must be printable.  `--json` has what is cut here.
"""

from __future__ import annotations

import os

from rebound.core import narrate
from rebound.core.columns import cut, pad, width, wrap
from rebound.core.states import DRAINING, ENDED, KILLING, RUNNING, STOPPING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NARROWEST, _DEFAULT = 40, 80
_STDOUT = 1

_MOST_LINES = 4
"""Lines of a block for one text: a status text may have 4 kB."""

_MOST_SOCKETS = 100

_GAP = "  "

_HEADS: tuple[str, ...] = (
    "PID",
    "STATE",
    "SINCE",
    "RESTARTS",
    "LAST EXIT",
    "NEXT START",
    "HEALTH",
    "ADOPTED",
    "COMMAND",
    "STATUS",
)
_FLEXIBLE: tuple[str, ...] = ("STATUS", "COMMAND", "LAST EXIT")
"""Columns that are cut, the first one first, and how far."""
_SHORTEST = 9
_DISPENSABLE: tuple[str, ...] = ("STATUS", "ADOPTED", "HEALTH", "NEXT START", "LAST EXIT")
"""Columns that are left out, the first one first, if that is not enough."""


def terminal_width() -> int:
    """Return the columns of the terminal; without one, of $COLUMNS; else 80."""
    try:
        columns = os.get_terminal_size(_STDOUT).columns
    except OSError:  # ENOTTY
        columns = 0
    if not columns:
        text = os.environ.get("COLUMNS", "")
        columns = int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else 0
    return max(columns or _DEFAULT, _NARROWEST)


def state_word(fields: Mapping[str, object]) -> str:
    """Return the state for people: `RUNNING`, `RESTARTING (hung)`, `RUNNING (not ready)`."""
    state = str(fields["state"])
    if fields["ending"] and state not in (STOPPING, DRAINING, KILLING, ENDED):
        return f"{state} ({fields['ending']})"
    return f"{state} (not ready)" if state == RUNNING and not fields["ok"] else state


# --- One rebound --------------------------------------------------------------------------


def block(fields: Mapping[str, object], columns: int) -> str:
    """Return a line for each thing that there is to say of one rebound."""
    next_in, stored = fields["next_start_in"], fields["stored"]
    rows = [
        ("pid", str(fields["pid"])),
        ("command", _command(fields)),
        ("state", f"{state_word(fields)} for {_duration(fields['seconds'])}"),
        ("status", fields["status"]),
        ("health", fields["health"]),
        ("restarts", str(fields["restarts"])),
        ("last exit", fields["last_exit_text"]),
        ("next start", None if next_in is None else f"in {_duration(next_in)}"),
        ("adopted", str(fields["adopted"])),
        *(("listens at", text) for text in _sockets(fields)),
        ("stored", None if stored is None else _counted(stored, "descriptor")),
    ]
    shown = [(label, str(text)) for label, text in rows if text is not None]
    indent = max(len(label) for label, _text in shown) + len(": ")
    return "".join(_entry(f"{label}: ", text, indent, columns) for label, text in shown)


def paragraph(head: str, text: str, columns: int) -> str:
    """Return a head, and a text beside it."""
    return _entry(head, text, width(head), columns)


def _entry(head: str, text: str, indent: int, columns: int) -> str:
    lines = wrap(text, max(columns - indent, 2), _MOST_LINES)
    first = f"{pad(head, indent)}{lines[0]}".rstrip()
    return "".join(f"{line}\n" for line in (first, *(" " * indent + line for line in lines[1:])))


def _command(fields: Mapping[str, object]) -> str:
    child = fields["child_pid"]
    return str(fields["command"]) + ("" if child is None else f" (pid {child})")


def _sockets(fields: Mapping[str, object]) -> list[str]:
    sockets = fields["sockets"]
    if not isinstance(sockets, list):
        return []
    texts = []
    for socket in sockets[:_MOST_SOCKETS]:
        queue = "" if socket["waiting"] is None else f", {socket['waiting']} waiting"
        texts.append(f"{socket['address'] or '-'} ({socket['name']}){queue}")
    if len(sockets) > _MOST_SOCKETS:
        texts.append(f"{len(sockets) - _MOST_SOCKETS} more")
    return texts


def _counted(count: object, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


# --- Several ------------------------------------------------------------------------------


def table(rows: Sequence[Mapping[str, object]], columns: int) -> str:
    """Return a table: a head, and a line for each rebound; it may leave out columns."""
    cells = [dict(zip(_HEADS, _row(fields), strict=True)) for fields in rows]
    # What there is nothing to say of needs no column.
    heads = [head for head in _HEADS if any(row[head] != "-" for row in cells)]
    widths = {head: max(width(head), *(width(row[head]) for row in cells)) for head in heads}
    for head in _FLEXIBLE:
        if head in widths:
            excess = max(_total(widths) - columns, 0)
            least = min(widths[head], max(_SHORTEST, len(head)))
            widths[head] = max(widths[head] - excess, least)
    for head in _DISPENSABLE:
        if _total(widths) > columns:
            widths.pop(head, None)
    lines = [{head: head for head in _HEADS}, *cells]
    texts = (
        _GAP.join(pad(cut(row[head], widths[head]), widths[head]) for head in widths)
        for row in lines
    )
    return "".join(cut(text.rstrip(), columns) + "\n" for text in texts)


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + len(_GAP) * (len(widths) - 1)


def details(fields: Mapping[str, object], columns: int) -> str:
    """Return the lines below the table: the sockets, and the stored descriptors."""
    head = f"{fields['pid']}: "
    texts = [f"listens at {text}" for text in _sockets(fields)]
    if fields["stored"] is not None:
        texts.append(f"stores {_counted(fields['stored'], 'descriptor')}")
    return "".join(paragraph(head, text, columns) for text in texts)


def _row(fields: Mapping[str, object]) -> list[str]:
    next_in = fields["next_start_in"]
    return [
        str(fields["pid"]),
        state_word(fields),
        _duration(fields["seconds"]),
        str(fields["restarts"]),
        str(fields["last_exit"] or "-"),
        "-" if next_in is None else f"in {_duration(next_in)}",
        str(fields["health"] or "-"),
        str(fields["adopted"]),
        str(fields["command"]),
        str(fields["status"] or "-"),
    ]


def _duration(value: object) -> str:
    return narrate.duration(float(value) if isinstance(value, (int, float)) else 0.0)
