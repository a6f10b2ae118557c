"""Metrics in the text format OpenMetrics 1.0, made from the fields of `--status`."""

from __future__ import annotations

from rebound.core.activation import FIRST
from rebound.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Literal

    Fields = Mapping[str, object]
    Labels = Mapping[str, object]
    Sample = tuple[Labels, object]
    """Labels and a number; None for the number: it is not known, and there is no sample."""

_SUFFIXES = {"counter": "_total", "info": "_info", "gauge": ""}


class Family(Record):
    """One metric: `samples` returns those of one rebound."""

    name: str
    kind: Literal["counter", "gauge", "info"]
    unit: str
    help: str
    samples: Callable[[Fields], Iterator[Sample]]


def render(rebounds: Sequence[Fields]) -> str:
    """Return the metrics of some rebounds.

    If there are several, each sample has the label `pid`; of two with one pid the last counts, as
    no sample may come twice.  Fields that are missing or None, as those of a rebound that does
    not answer, make no samples.
    """
    different = {fields["pid"]: fields for fields in rebounds}.values()
    text = ""
    for family in FAMILIES:
        lines = ""
        for fields in different:
            common = {"pid": fields["pid"]} if len(different) > 1 else {}
            for labels, value in family.samples(fields):
                if isinstance(value, (int, float)):
                    lines += _line(family, {**common, **labels}, value)
        if lines:
            text += _head(family) + lines
    return text + "# EOF\n"


def _head(family: Family) -> str:
    unit = f"# UNIT {family.name} {family.unit}\n" if family.unit else ""
    head = f"# TYPE {family.name} {family.kind}\n{unit}"
    return f"{head}# HELP {family.name} {_escape(family.help)}\n"


def _line(family: Family, labels: Labels, value: float) -> str:
    pairs = ",".join(f'{name}="{_escape(str(labels[name]))}"' for name in labels)
    shown = f"{{{pairs}}}" if pairs else ""
    number = int(value) if isinstance(value, bool) else value
    return f"{family.name}{_SUFFIXES[family.kind]}{shown} {number!r}\n"


def _escape(text: str) -> str:
    # Bytes that are not UTF-8 are lone surrogates (PEP 383), which no UTF-8 can hold.
    text = text.encode(errors="backslashreplace").decode()
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


# --- Samples ----------------------------------------------------------------------------


def _of(field: str) -> Callable[[Fields], Iterator[Sample]]:
    def samples(fields: Fields) -> Iterator[Sample]:
        yield {}, fields.get(field)

    return samples


def _info(fields: Fields) -> Iterator[Sample]:
    if fields.get("version") is not None:
        yield {name: fields[name] for name in ("version", "pid", "command")}, 1


def _up(fields: Fields) -> Iterator[Sample]:
    if "child_pid" in fields:
        yield {}, fields["child_pid"] is not None


def _exits(fields: Fields) -> Iterator[Sample]:
    exits = fields.get("exits")
    if isinstance(exits, dict):
        for reason, count in exits.items():
            yield {"reason": reason}, count


def _queues(fields: Fields) -> Iterator[Sample]:
    sockets = fields.get("sockets")
    if isinstance(sockets, list):
        # The number tells apart those that have one name.
        for fd, socket in enumerate(sockets, FIRST):
            address = socket["address"] or ""
            yield {"fd": fd, "name": socket["name"], "address": address}, socket["waiting"]


FAMILIES = (
    Family("rebound", "info", "", "The version of rebound, its pid, and its command.", _info),
    Family("rebound_starts", "counter", "", "Runs of the command that have begun.", _of("starts")),
    Family(
        "rebound_exits",
        "counter",
        "",
        "Runs that have ended: by themselves (exit, signal), by the out-of-memory killer (oom), or "
        "by rebound (hung, unhealthy, memory, requested).",
        _exits,
    ),
    Family("rebound_up", "gauge", "", "Whether the command runs.", _up),
    Family("rebound_ready", "gauge", "", "Whether the command runs and is ready.", _of("ok")),
    Family(
        "rebound_run_start_time_seconds",
        "gauge",
        "seconds",
        "Unix time at which the present run, or the last one, began.",
        _of("run_start_time"),
    ),
    Family(
        "rebound_last_exit_time_seconds",
        "gauge",
        "seconds",
        "Unix time at which the last run ended.",
        _of("last_exit_time"),
    ),
    Family(
        "rebound_backoff_seconds",
        "gauge",
        "seconds",
        "Length of the delay before the next start; 0 if none is waited for.",
        _of("backoff"),
    ),
    Family(
        "rebound_adopted_processes",
        "gauge",
        "",
        "Processes that runs have left behind, and that rebound has adopted.",
        _of("adopted"),
    ),
    Family(
        "rebound_command_resident_bytes",
        "gauge",
        "bytes",
        "Resident memory of the command and its descendants.",
        _of("resident"),
    ),
    Family(
        "rebound_log_dropped",
        "counter",
        "",
        "Lines of rebound's own log that could not be written.",
        _of("log_dropped"),
    ),
    Family(
        "rebound_waiting_connections",
        "gauge",
        "",
        "Connections that wait to be accepted at a socket of --listen.",
        _queues,
    ),
    Family(
        "rebound_stored_descriptors",
        "gauge",
        "",
        "Descriptors in the store of --fd-store.",
        _of("stored"),
    ),
)
