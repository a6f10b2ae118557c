"""What the service manager is told, and what is kept for it while it does not listen."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from rebound.core.events import TellManager
from rebound.kernel.log import Log
from rebound.parts.manager import Manager, keep_alive_interval
from tests.unit.turns import Turns

MAINPID = f"MAINPID={os.getpid()}"


class Listener:
    """A service manager's socket, and rebound's end of it."""

    def __init__(self, stack: ExitStack, address: str, log: Path, keep_alive: float = 0.0) -> None:
        self.turns = Turns()
        self._name = address.replace("@", "\0", 1)
        self._log_file = log
        self.socket = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.socket.setblocking(False)
        self.socket.bind(self._name)
        log_ = Log("verbose", "json", str(log))
        stack.callback(log_.close)
        self.manager = Manager(address.encode(), self.turns.as_loop, log_, keep_alive)
        stack.callback(self.manager.close)

    def tell(self, *texts: str) -> None:
        """Have it told each of these."""
        for text in texts:
            self.manager.tell(TellManager(text))

    def fill(self) -> int:
        """Fill its queue, return with how many messages."""
        filled = 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            while True:
                try:
                    other.sendto(b"X", self._name)
                except BlockingIOError:
                    return filled
                filled += 1

    def received(self) -> list[list[str]]:
        """The messages that have come, each in its lines; without those of `fill`."""
        messages: list[list[str]] = []
        while True:
            try:
                message = self.socket.recv(65536)
            except BlockingIOError:
                return messages
            if message != b"X":
                messages.append(message.decode().split("\n"))

    @property
    def log(self) -> list[dict[str, object]]:
        """What was logged."""
        return [json.loads(line) for line in self._log_file.read_text().splitlines()]


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    """By either kind of address."""
    address = f"{tmp_path}/notify" if request.param == "path" else f"@{tmp_path}/notify"
    with ExitStack() as stack:
        yield Listener(stack, address, tmp_path / "log")


def test_what_can_be_sent_is_sent_at_once(listener: Listener) -> None:
    """A message each; nothing is kept, nothing watched."""
    listener.tell("STATUS=one", "STATUS=two", "STOPPING=1\nSTATUS=three")
    expected = [["STATUS=one"], ["STATUS=two"], ["STOPPING=1", "STATUS=three"]]
    assert listener.received() == expected
    assert listener.turns.watched == {}


def test_with_ready_comes_the_pid_to_be_watched(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But not as PID 1, whose number in the manager's PID namespace is not known."""
    listener.tell("READY=1")
    assert listener.received() == [["READY=1", MAINPID]]
    monkeypatch.setattr(os, "getpid", lambda: 1)
    listener.tell("READY=1")
    assert listener.received() == [["READY=1"]]


def test_of_what_finds_no_room_the_last_of_each_kind_is_kept(listener: Listener) -> None:
    """And sent in one message when there is room."""
    listener.fill()
    listener.tell("STATUS=loading", "READY=1", "STATUS=running", "STATUS=busy", "STOPPING=1")
    assert len(listener.turns.watched) == 1
    assert listener.received() == []
    listener.turns.turn()
    assert listener.received() == [["STATUS=busy", "READY=1", MAINPID, "STOPPING=1"]]
    assert listener.turns.watched == {}
    listener.tell("STATUS=again")
    assert listener.received() == [["STATUS=again"]]


def test_ready_is_never_lost(listener: Listener) -> None:
    """Whatever else is said, and however often there is no room."""
    listener.fill()
    listener.tell("READY=1")
    for number in range(3):
        listener.tell(f"STATUS={number}")
        listener.turns.turn()
        assert len(listener.turns.watched) == 1
    assert listener.received() == []
    listener.fill()  # others have been faster
    listener.turns.turn()
    assert listener.received() == []
    listener.turns.turn()
    assert listener.received() == [["READY=1", MAINPID, "STATUS=2"]]


def test_while_it_waits_for_room_it_does_not_try(listener: Listener) -> None:
    """What would go out then would go before what is kept."""
    filled = listener.fill()
    listener.tell("STATUS=first")
    for _ in range(filled):
        assert listener.socket.recv(10) == b"X"
    listener.tell("READY=1")
    assert listener.received() == []
    listener.turns.turn()
    assert listener.received() == [["STATUS=first", "READY=1", MAINPID]]


def test_what_cannot_be_waited_for_is_tried_with_the_next(listener: Listener) -> None:
    """ENOSPC, ENOMEM of epoll_ctl(2)."""
    listener.turns.is_full = True
    listener.fill()
    listener.tell("READY=1")
    assert listener.turns.watched == {}
    assert listener.received() == []
    listener.tell("STATUS=running")
    assert listener.received() == [["READY=1", MAINPID, "STATUS=running"]]


@pytest.mark.parametrize("is_full", [False, True], ids=["", "with a full queue"])
def test_one_that_has_gone_is_said_and_forgotten(listener: Listener, *, is_full: bool) -> None:
    """Nothing is kept for it, and it does not wake the loop."""
    if is_full:
        listener.fill()
        listener.tell("READY=1")
    listener.socket.close()
    if is_full:
        listener.turns.turn()
    else:
        listener.tell("READY=1")
    [told] = listener.log
    assert (told["level"], told["event"]) == ("debug", "manager_failed")
    assert told["msg"] == "cannot tell the service manager: Connection refused"
    assert listener.turns.watched == {}
    listener.turns.turn()
    assert len(listener.log) == 1


def test_what_has_no_bytes_is_replaced(listener: Listener) -> None:
    """A command's status text may have been any bytes."""
    listener.tell("STATUS=caf\udce9 \U0001f600")
    assert listener.received() == [["STATUS=caf? \U0001f600"]]


@pytest.mark.parametrize("address", [b"vsock:2:1", b"relative", b"@nobody-listens", b"/no/such"])
def test_an_address_that_cannot_be_reached(tmp_path: Path, address: bytes) -> None:
    """It is left to the caller to say so; no descriptor is left, see the fixture for all tests."""
    log = Log(path=str(tmp_path / "log"))
    with pytest.raises(OSError, match=r"neither a path nor @name|refused|No such file"):
        Manager(address, Turns().as_loop, log)
    log.close()


def test_keep_alives_come_from_the_loop(listener: Listener, tmp_path: Path) -> None:
    """While the queue is full one is kept, not each."""
    assert listener.turns.repeated == []
    with ExitStack() as stack:
        watched = Listener(stack, f"{tmp_path}/watched", tmp_path / "log2", keep_alive=1.5)
        [(handler, seconds)] = watched.turns.repeated
        assert seconds == 1.5
        assert watched.received() == []
        handler()
        assert watched.received() == [["WATCHDOG=1"]]
        watched.fill()
        handler()
        handler()
        watched.tell("READY=1")
        assert watched.received() == []
        watched.turns.turn()
        assert watched.received() == [["WATCHDOG=1", "READY=1", MAINPID]]


@pytest.mark.parametrize(
    ("usec", "pid", "expected"),
    [
        (b"3000000", b"7", 1.5),
        (b"3000000", None, 1.5),
        (b"1", b"7", 0.5e-6),
        (b"3000000", b"8", 0.0),  # meant for a process above us
        (b"3000000", b"", 0.0),
        (None, b"7", 0.0),
        (b"", b"7", 0.0),
        (b"0", b"7", 0.0),
        (b"-1", b"7", 0.0),
        (b"soon", b"7", 0.0),
        (b"18446744073709551615", b"7", 0.0),  # infinity
        (b"9" * 5000, b"7", 0.0),
    ],
)
def test_how_often_the_manager_wants_a_keep_alive(
    usec: bytes | None, pid: bytes | None, expected: float
) -> None:
    values = {b"WATCHDOG_USEC": usec, b"WATCHDOG_PID": pid}
    environment = {name: value for name, value in values.items() if value is not None}
    assert keep_alive_interval(environment, 7) == expected


def test_what_its_store_keeps_waits_too(listener: Listener) -> None:
    """In its order, except what is closed meanwhile."""
    listener.fill()
    with open("/dev/null") as kept, open("/dev/null") as dropped:
        listener.manager.store("FDSTORE=1\nFDNAME=kept", kept.fileno())
        listener.manager.store("FDSTORE=1\nFDNAME=dropped", dropped.fileno())
        listener.manager.store("FDSTOREREMOVE=1\nFDNAME=old")
        listener.tell("STATUS=busy")
        listener.manager.forget(dropped.fileno())
        assert listener.received() == []
        listener.turns.turn()
        expected = [
            ["STATUS=busy"],
            ["FDSTORE=1", "FDNAME=kept"],
            ["FDSTOREREMOVE=1", "FDNAME=old"],
        ]
        assert listener.received() == expected
        assert listener.turns.watched == {}


def test_a_store_that_is_gone_is_nothing_to_wait_for(listener: Listener) -> None:
    """ECONNREFUSED: the messages are dropped."""
    listener.socket.close()
    with open("/dev/null") as file:
        listener.manager.store("FDSTORE=1", file.fileno())
    assert [event["event"] for event in listener.log] == ["manager_failed"]
    assert listener.turns.watched == {}
