"""The status for people: a block for one rebound, a table for several."""

from __future__ import annotations

import os
import pty
import termios
from typing import Any

import pytest

from rebound.control import layout, status
from rebound.core.columns import width
from rebound.core.events import RestartRequested
from rebound.core.states import BACKOFF, CLEARING, RUNNING, STARTING, STOPPING
from tests.unit.stories import PID, TERM, in_state, step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rebound.core.service import Service
    from rebound.core.states import State

WELL: dict[str, Any] = dict.fromkeys(status.FIELDS)
WELL |= {"pid": 1, "command": "control-plane", "state": RUNNING, "ok": True, "child_pid": 7}
WELL |= {"since": "", "seconds": 192, "restarts": 0, "adopted": 0}
SOCKET = {"name": "api", "address": "127.0.0.1:8080", "waiting": 3}
FULL = WELL | {
    "restarts": 2,
    "last_exit": "oom",
    "last_exit_text": "killed by signal 9 (SIGKILL), out of memory, max RSS 61 MB",
    "health": "healthy",
    "status": "serving 5 clients " * 100,
    "adopted": 1,
    "sockets": [SOCKET, {"name": "unknown", "address": "/run/s", "waiting": None}],
    "stored": 1,
}
LONGEST = FULL | {
    "pid": 4194304,
    "command": "データベース" * 20,
    "state": "RESTARTING",
    "ending": "unhealthy",
    "seconds": 86400 * 1000 + 3600,
    "restarts": 1_000_000,
    "last_exit": "signal:SIGRTMIN+12",
    "next_start_in": 59.5,
    "health": "unhealthy",
    "sockets": [{"name": "x" * 255, "address": "/" + "y" * 106, "waiting": 4096}] * 500,
    "stored": 4096,
}


def described(subject: Service, child_pid: int | None = PID) -> dict[str, Any]:
    return status.describe(subject, "cmd", 1, child_pid, 3)


@pytest.mark.parametrize(
    ("state", "settings", "word"),
    [
        (STARTING, {}, "STARTING"),
        (RUNNING, {}, "RUNNING"),
        (RUNNING, {"watchdog": 10}, "RUNNING (not ready)"),
        (BACKOFF, {"watchdog": 10}, "BACKOFF"),
        (CLEARING, {}, "CLEARING"),
    ],
)
def test_the_state_for_people(state: State, settings: dict[str, Any], word: str) -> None:
    assert layout.state_word(described(in_state(state, **settings))) == word


def test_the_state_for_people_of_a_run_that_is_ended() -> None:
    """With the cause, until a stop makes it of no interest."""
    subject = in_state(RUNNING)
    step(subject, RestartRequested(), 1)
    assert layout.state_word(described(subject)) == "RESTARTING (requested)"
    step(subject, TERM, 2)
    assert subject.state == STOPPING
    assert layout.state_word(described(subject)) == "STOPPING"


# --- One ----------------------------------------------------------------------------------


def test_a_block() -> None:
    """Lines for what there is to say; long texts go on below, and end in an ellipsis."""
    assert (
        layout.block(WELL, 80)
        == """\
pid:      1
command:  control-plane (pid 7)
state:    RUNNING for 3m12s
restarts: 0
adopted:  0
"""
    )
    assert (
        layout.block(FULL, 60)
        == """\
pid:        1
command:    control-plane (pid 7)
state:      RUNNING for 3m12s
status:     serving 5 clients serving 5 clients serving 5
            clients serving 5 clients serving 5 clients
            serving 5 clients serving 5 clients serving 5
            clients serving 5 clients serving 5 clients …
health:     healthy
restarts:   2
last exit:  killed by signal 9 (SIGKILL), out of memory, max
            RSS 61 MB
adopted:    1
listens at: 127.0.0.1:8080 (api), 3 waiting
listens at: /run/s (unknown)
stored:     1 descriptor
"""
    )
    backing_off = {"state": BACKOFF, "ok": False, "child_pid": None, "next_start_in": 8}
    assert (
        layout.block(WELL | backing_off, 80)
        == """\
pid:        1
command:    control-plane
state:      BACKOFF for 3m12s
restarts:   0
next start: in 8s
adopted:    0
"""
    )


# --- Several ------------------------------------------------------------------------------


def test_a_table() -> None:
    """Columns are as wide as they must be; those without a word are not there."""
    other = {"pid": 23, "command": "x", "state": BACKOFF, "ok": False, "next_start_in": 8}
    assert (
        layout.table([WELL, WELL | other], 80)
        == """\
PID  STATE    SINCE  RESTARTS  NEXT START  ADOPTED  COMMAND
1    RUNNING  3m12s  0         -           0        control-plane
23   BACKOFF  3m12s  0         in 8s       0        x
"""
    )
    assert (
        layout.table([FULL, WELL], 80)
        == """\
PID  STATE    SINCE  RESTARTS  LAST EXIT  HEALTH   ADOPTED  COMMAND    STATUS
1    RUNNING  3m12s  2         oom        healthy  1        control-…  serving…
1    RUNNING  3m12s  0         -          -        0        control-…  -
"""
    )


def test_the_lines_below_the_table() -> None:
    assert (
        layout.details(FULL, 80)
        == """\
1: listens at 127.0.0.1:8080 (api), 3 waiting
1: listens at /run/s (unknown)
1: stores 1 descriptor
"""
    )
    assert layout.details(WELL, 80) == ""


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_whatever_there_is_to_say_fits(columns: int) -> None:
    """A command in Japanese is twice as wide as its letters are many; sockets may be many."""
    texts = [layout.block(fields, columns) for fields in (WELL, FULL, LONGEST)]
    texts += [layout.table([LONGEST, FULL, WELL], columns), layout.details(LONGEST, columns)]
    for text in texts:
        lines = text.splitlines()
        assert all(width(line) <= columns for line in lines)
        assert all(line == line.rstrip() for line in lines)
        assert len(lines) < 600
    table = layout.table([LONGEST, FULL, WELL], columns).splitlines()
    assert [line.split()[0] for line in table] == ["PID", "4194304", "1", "1"]
    assert "RESTARTING (unhealthy)" in table[1]


# --- How wide -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "columns"),
    [("132", 132), ("5", 40), ("", 80), ("0", 80), ("-1", 80), ("x", 80), ("99999", 80)],
)
def test_the_width_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, text: str, columns: int
) -> None:
    reader, writer = os.pipe()
    monkeypatch.setattr(layout, "_STDOUT", writer)
    monkeypatch.setenv("COLUMNS", text)
    assert layout.terminal_width() == columns
    monkeypatch.delenv("COLUMNS")
    assert layout.terminal_width() == 80
    os.close(reader)
    os.close(writer)


def test_the_width_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not know it, as that of `docker exec -t` at first, is as wide as any."""
    master, terminal = pty.openpty()
    monkeypatch.setattr(layout, "_STDOUT", terminal)
    monkeypatch.setenv("COLUMNS", "70")
    assert layout.terminal_width() == 70
    termios.tcsetwinsize(terminal, (24, 100))
    assert layout.terminal_width() == 100
    os.close(master)
    os.close(terminal)
