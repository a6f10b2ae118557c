"""The status of a service: its fields, as they go from the server to the client."""

from __future__ import annotations

import time

import rebound
from rebound.core import narrate
from rebound.core.events import BackoffOver
from rebound.kernel.logjson import timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from rebound.core.service import Service

_TEXT: tuple[type, ...] = (str,)
_COUNT: tuple[type, ...] = (int,)
_NUMBER: tuple[type, ...] = (int, float)
_NONE = type(None)

FIELDS: dict[str, tuple[type, ...]] = {
    "pid": _COUNT,
    "command": _TEXT,
    "state": _TEXT,
    "ok": (bool,),
    "child_pid": (*_COUNT, _NONE),
    "since": _TEXT,
    "seconds": _NUMBER,
    "restarts": _COUNT,
    "last_exit": (*_TEXT, _NONE),
    "last_exit_text": (*_TEXT, _NONE),
    "next_start": (*_TEXT, _NONE),
    "next_start_in": (*_NUMBER, _NONE),
    "ending": (*_TEXT, _NONE),
    "health": (*_TEXT, _NONE),
    "status": (*_TEXT, _NONE),
    "adopted": _COUNT,
    "sockets": (list, _NONE),
    "stored": (*_COUNT, _NONE),
    "version": (*_TEXT, _NONE),
    "starts": (*_COUNT, _NONE),
    "exits": (dict, _NONE),
    "run_start_time": (*_NUMBER, _NONE),
    "last_exit_time": (*_NUMBER, _NONE),
    "backoff": (*_NUMBER, _NONE),
    "resident": (*_COUNT, _NONE),
    "log_dropped": (*_COUNT, _NONE),
    "http": (*_TEXT, _NONE),
}
"""The names and types of the fields that `describe` returns; numbers are from 0."""

SINCE_1_2 = frozenset(list(FIELDS)[list(FIELDS).index("version") :])
"""The fields that a rebound of an earlier version does not send: it may run on after an upgrade."""

_HIGHEST = 1e15
"""More than any number of ours; up to here a float holds every whole number."""


SOCKET_FIELDS: dict[str, tuple[type, ...]] = {
    "name": _TEXT,
    "address": (*_TEXT, _NONE),
    "waiting": (*_COUNT, _NONE),
}
"""The same for each of the sockets."""


def is_well_formed(fields: Mapping[str, object]) -> bool:
    """Return whether these are fields of `describe`.

    An earlier version lacks those SINCE_1_2; a later one may add others.
    """
    types = {name: FIELDS[name] for name in FIELDS if name in fields or name not in SINCE_1_2}
    if not _fit(fields, types):
        return False
    exits, sockets = fields.get("exits"), fields["sockets"]
    if isinstance(exits, dict) and not all(_fits(count, _COUNT) for count in exits.values()):
        return False
    return not isinstance(sockets, list) or all(
        isinstance(socket, dict) and _fit(socket, SOCKET_FIELDS) for socket in sockets
    )


def _fit(fields: Mapping[str, object], types: Mapping[str, tuple[type, ...]]) -> bool:
    return all(name in fields and _fits(fields[name], types[name]) for name in types)


def _fits(value: object, types: tuple[type, ...]) -> bool:
    if type(value) not in types:  # not isinstance: a bool is an int
        return False
    return not isinstance(value, (int, float)) or 0 <= value < _HIGHEST


def describe(
    service: Service, command: str, pid: int, child_pid: int | None, adopted: int
) -> dict[str, object]:
    """Return the fields; docs/operation.md documents their names, which stay."""
    now = time.monotonic()
    wall = time.time() - now
    next_start = service.timers.time_of(BackoffOver)
    run = service.run
    has_run = child_pid is not None
    return {
        "pid": pid,
        "command": command,
        "state": service.state,
        "ok": service.is_ready,
        "child_pid": child_pid,
        "since": timestamp(wall + service.since),
        "seconds": round(now - service.since, 3),
        "restarts": service.restarts,
        "last_exit": service.last_exit or None,
        "last_exit_text": narrate.describe_end(service.last_end) if service.last_exit else None,
        "next_start": None if next_start is None else timestamp(wall + next_start),
        "next_start_in": None if next_start is None else round(max(next_start - now, 0.0), 3),
        "ending": run.cause or None if has_run else None,
        "health": service.health_state or None,
        "status": run.status_text or None if has_run else None,
        "adopted": adopted,
        "sockets": None,
        "stored": None,
        "version": rebound.__version__,
        "starts": service.starts,
        "exits": dict(service.exits),
        "run_start_time": _time(wall, run.started_at if run.pid else None),
        "last_exit_time": _time(wall, service.last_exit_at),
        "backoff": round(service.timers.length_of(BackoffOver), 3),
        "resident": None,
        "log_dropped": 0,
        "http": None,
    }


def _time(wall: float, at: float | None) -> float | None:
    # In hundredths of a second: the two clocks are read one after the other, and the same moment
    # should be the same number each time.
    return None if at is None else round(wall + at, 2)
