"""The store of descriptors, with the loop moved by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebound.core.notify import Message
from rebound.kernel import descriptors
from rebound.kernel.closer import Closer
from rebound.kernel.log import Log
from rebound.parts.fdstore import FdStore
from tests.helpers import eventually
from tests.unit.turns import Turns


class Shelf:
    """A store of three, and a pipe's reading ends."""

    def __init__(self, log: Path) -> None:
        self.turns = Turns()
        self._path = log
        self._log = Log("verbose", "json", str(log))
        self.store = FdStore(3, self.turns.as_loop, Closer(self.turns.as_loop), self._log)

    def put(self, *fds: int, name: str = "x", is_polled: bool = True) -> None:
        """Have these stored."""
        self.store.take(Message(stores=True, stored_name=name, is_polled=is_polled), fds)

    @property
    def names(self) -> list[str]:
        """What is there."""
        return [name for name, _fd in self.store.descriptors()]

    @property
    def log(self) -> list[tuple[object, object, object]]:
        """What was logged."""
        events = [json.loads(line) for line in self._path.read_text().splitlines()]
        return [(event["event"], event["name"], event["count"]) for event in events]

    def close(self) -> None:
        """Close all."""
        fds = [fd for _name, fd in self.store.descriptors()]
        self.store.close()
        assert all(map(is_closed, fds))
        self._log.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    """An empty one."""
    shelf = Shelf(tmp_path / "log")
    yield shelf
    shelf.close()


def is_closed(fd: int) -> bool:
    """Whether it is; that may take a moment."""
    return eventually(lambda: not os.path.lexists(f"/proc/self/fd/{fd}"))


def memory() -> int:
    """A descriptor that cannot hang up."""
    return os.memfd_create("memory")


def test_they_come_back_in_order(shelf: Shelf) -> None:
    """With their names."""
    one, two, three = memory(), memory(), memory()
    shelf.put(one, name="b")
    shelf.put(two, three, name="a")
    assert list(shelf.store.descriptors()) == [("b", one), ("a", two), ("a", three)]
    assert shelf.store.describe() == {"stored": 3}
    assert shelf.turns.watched == {}
    assert shelf.log == [("fd_stored", "b", 1), ("fd_stored", "a", 2), ("fd_stored", "a", 3)]
    environment: dict[bytes, bytes] = {}
    shelf.store.prepare(environment)
    assert environment == {b"FDSTORE": b"3"}


def test_one_too_many_is_closed(shelf: Shelf) -> None:
    """At once, and no other."""
    fds = [memory() for _ in range(5)]
    shelf.put(*fds)
    assert [fd for _name, fd in shelf.store.descriptors()] == fds[:3]
    assert all(is_closed(fd) for fd in fds[3:])


def test_one_that_is_there_is_closed(shelf: Shelf) -> None:
    """The first name stays."""
    first = memory()
    second = os.dup(first)
    shelf.put(first, name="a")
    shelf.put(second, name="b")
    assert shelf.names == ["a"]
    assert is_closed(second)


def test_one_that_nobody_asks_to_be_stored_is_closed(shelf: Shelf) -> None:
    """Whatever else the message says."""
    fd = memory()
    shelf.store.take(Message(ready=True), [fd])
    assert is_closed(fd)
    assert shelf.names == []


def test_one_that_hangs_up_is_dropped(shelf: Shelf) -> None:
    """Once, and the others stay."""
    reader, writer = os.pipe()
    shelf.put(writer, memory())
    shelf.turns.turn()
    assert len(shelf.names) == 2
    os.close(reader)
    handlers = shelf.turns.ready()
    for handler in handlers * 2:  # without an epoll it is called for no reason
        handler()
    assert len(shelf.names) == 1
    assert is_closed(writer)
    assert shelf.log[-1] == ("fd_removed", "x", 1)


def test_one_that_is_not_to_be_polled_is_kept(shelf: Shelf) -> None:
    """FDPOLL=0."""
    reader, writer = os.pipe()
    shelf.put(writer, is_polled=False)
    os.close(reader)
    assert shelf.turns.watched == {}


def test_one_that_cannot_be_watched_is_kept(shelf: Shelf) -> None:
    """ENOSPC, ENOMEM of epoll_ctl(2)."""
    shelf.turns.is_full = True
    reader, writer = os.pipe()
    shelf.put(writer)
    os.close(reader)
    assert shelf.names == ["x"]


def test_one_whose_hang_up_cannot_be_seen_is_kept_in_peace(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A seccomp profile refuses poll(2): the epoll would report it for ever."""
    reader, writer = os.pipe()
    shelf.put(writer)
    os.close(reader)

    def refuse(_fd: int) -> bool:
        raise PermissionError

    monkeypatch.setattr(descriptors, "is_hung_up", refuse)
    shelf.turns.turn()
    assert shelf.names == ["x"]
    assert shelf.turns.watched == {}


def test_removal(shelf: Shelf) -> None:
    """All of a name, and the same message may store others."""
    shelf.put(memory(), memory(), name="a")
    shelf.put(memory(), name="b")
    fd = memory()
    shelf.store.take(Message(stores=True, stored_name="a", removed_name="a"), [fd])
    assert list(shelf.store.descriptors())[1:] == [("a", fd)]
    assert shelf.names == ["b", "a"]


def test_when_the_stop_begins_all_go_and_none_comes(shelf: Shelf) -> None:
    """Nor is any watched."""
    reader, writer = os.pipe()
    shelf.put(writer)
    shelf.store.stopping()
    assert os.read(reader, 1) == b""
    os.close(reader)
    late = memory()
    shelf.put(late)
    assert is_closed(late)
    assert shelf.names == []
    assert shelf.turns.watched == {}


def test_where_few_descriptors_are_left_none_is_stored(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs need some."""
    fd = memory()
    monkeypatch.setattr(os, "sysconf", lambda _name: 2 * fd)
    shelf.put(fd)
    assert shelf.names == []
    assert is_closed(fd)
    monkeypatch.setattr(os, "sysconf", lambda _name: -1)  # no limit
    shelf.put(memory())
    assert shelf.names == ["x"]


def test_where_nothing_is_known_of_a_descriptor_it_is_kept(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not watched: it may be one that blocks."""
    monkeypatch.setattr(descriptors, "identify", lambda _fd: None)
    reader, writer = os.pipe()
    shelf.put(writer, os.dup(writer))
    assert shelf.names == ["x"]
    assert shelf.turns.watched == {}
    os.close(reader)
