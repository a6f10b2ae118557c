"""The server for status and control: whoever is slow, silent, too many or a stranger costs nobody."""

from __future__ import annotations

import json
import os
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from rebound.control.server import Control
from rebound.core.events import Event, RestartAnswered, RestartRequested
from tests.unit.turns import Turns

STATUS: dict[str, object] = {"pid": 1, "state": "RUNNING"}
MOST = 8
"""So many connections without a request, or waiting for a restart, are kept."""
BATCH = 16
LONGEST = 64


class Server:
    """The server under test, its clients, and what it has asked the service for."""

    def __init__(self, stack: ExitStack, name: str) -> None:
        self.turns = Turns()
        self.steps: list[Event] = []
        self.status = STATUS
        self._stack = stack
        self._name = name
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(name)
        listener.listen(100)
        listener.setblocking(False)
        self.control = Control(
            listener.fileno(), self.turns.as_loop, lambda: self.status, self.steps.append
        )
        stack.callback(self.control.close)

    def connect(self, request: bytes = b"") -> socket.socket:
        """Connect, and send that; it is not accepted yet."""
        client = self._stack.enter_context(socket.socket(socket.AF_UNIX))
        client.connect(self._name)
        client.setblocking(False)
        client.sendall(request)
        return client

    def accepted(self, request: bytes = b"") -> socket.socket:
        """Connect, send that, and be accepted."""
        client = self.connect(request)
        assert self.control.accept()
        return client


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Its socket is an abstract one: no file, and no permissions in the way."""
    with ExitStack() as stack:
        yield Server(stack, f"\0rebound-test-{os.getpid()}-{request.node.name}"[:100])


def answer(client: socket.socket) -> object:
    """The answer, after which the connection is closed; None without one."""
    received = b""
    while more := client.recv(65536):
        received += more
    if not received:
        return None
    assert received.endswith(b"\n")
    assert received.count(b"\n") == 1
    return json.loads(received)


def waits(client: socket.socket) -> bool:
    """Whether it is neither answered nor closed."""
    try:
        client.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    return False


# --- Requests ---------------------------------------------------------------------------


def test_a_request_that_is_there_is_answered_at_once(server: Server) -> None:
    """And nothing is left of the connection."""
    client = server.accepted(b"status\n")
    assert answer(client) == STATUS
    assert server.turns.watched == {}


def test_one_without_a_connection_does_nothing(server: Server) -> None:
    assert server.control.accept()
    server.turns.turn()
    assert server.turns.watched == {}


def test_a_slow_request_is_waited_for(server: Server) -> None:
    """A byte at a time; meanwhile others are served."""
    slow = server.accepted()
    for byte in b"status":
        slow.send(bytes([byte]))
        server.turns.turn()
        assert waits(slow)
    assert answer(server.accepted(b"status\n")) == STATUS
    slow.send(b"\n")
    server.turns.turn()
    assert answer(slow) == STATUS


@pytest.mark.parametrize("request_", [b"\n", b"stop\n", b"status \n", b"STATUS\n", b"\0\xff\n"])
def test_an_unknown_request_is_told_so(server: Server, request_: bytes) -> None:
    assert answer(server.accepted(request_)) == {"error": "unknown request"}
    assert (server.turns.watched, server.steps) == ({}, [])


def test_what_comes_after_the_line_is_not_looked_at(server: Server) -> None:
    assert answer(server.accepted(b"status\nrestart\n")) == STATUS
    assert server.steps == []


def test_a_request_without_an_end_is_dropped(server: Server) -> None:
    """As soon as it is longer than any request."""
    client = server.accepted(b"x" * LONGEST)
    assert waits(client)
    client.send(b"x" * 10_000)
    server.turns.turn()
    with pytest.raises(ConnectionResetError):  # closed with what it has sent unread
        client.recv(1)
    assert server.turns.watched == {}


@pytest.mark.parametrize("sent", [b"", b"sta", b"status"])
def test_who_has_gone_before_the_request_is_dropped(server: Server, sent: bytes) -> None:
    client = server.accepted(sent)
    client.shutdown(socket.SHUT_WR)
    server.turns.turn()
    assert answer(client) is None
    gone = server.accepted(sent)
    gone.close()
    server.turns.turn()
    assert server.turns.watched == {}


def test_who_does_not_take_the_answer_gets_a_part_of_it(server: Server) -> None:
    """The server waits for nobody."""
    server.status = {"long": "x" * 10**7}
    client = server.accepted(b"status\n")
    assert server.turns.watched == {}
    received = b""
    while more := client.recv(2**20):
        received += more
    assert received.startswith(b'{"long": "xxx')
    assert 0 < len(received) < 10**7


def test_a_stranger_is_sent_away(server: Server) -> None:
    """Another user, root excepted; by the socket's own account of who has connected."""
    os.seteuid(54321)
    try:
        stranger = server.connect(b"restart\n")
    finally:
        os.seteuid(0)
    assert server.control.accept()
    with pytest.raises(ConnectionResetError):
        stranger.recv(1)
    assert (server.turns.watched, server.steps) == ({}, [])


# --- Too many ---------------------------------------------------------------------------


def test_of_too_many_silent_ones_the_oldest_is_dropped(server: Server) -> None:
    clients = [server.accepted() for _ in range(MOST)]
    assert all(waits(client) for client in clients)
    clients.append(server.accepted())
    assert [waits(client) for client in clients] == [False, *[True] * MOST]
    assert answer(clients[0]) is None
    clients[1].send(b"status\n")
    server.turns.turn()
    assert answer(clients[1]) == STATUS


def test_one_that_is_dropped_in_the_turn_in_which_it_is_ready(server: Server) -> None:
    """Its handler is called in vain; its descriptor may be that of another connection by then."""
    first, *others = [server.accepted() for _ in range(MOST)]
    first.send(b"status\n")
    [handler] = server.turns.ready()
    newest = server.accepted()
    handler()
    assert all(waits(client) for client in (*others, newest))
    with pytest.raises(ConnectionResetError):
        first.recv(1)


def test_no_more_than_a_batch_is_accepted_at_once(server: Server) -> None:
    """Whoever connects all the time does not keep the loop from all else."""
    clients = [server.connect(b"status\n") for _ in range(BATCH + 2)]
    assert server.control.accept()
    assert [waits(client) for client in clients] == [*[False] * BATCH, True, True]
    assert server.control.accept()
    assert [answer(client) for client in clients] == [STATUS] * len(clients)


def test_one_that_cannot_be_watched_is_dropped(server: Server) -> None:
    """ENOSPC, ENOMEM of epoll_ctl(2)."""
    server.turns.is_full = True
    assert answer(server.accepted()) is None
    server.turns.is_full = False
    assert answer(server.accepted(b"status\n")) == STATUS


# --- Restarts ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (RestartAnswered(), STATUS),
        (RestartAnswered("shutting down"), {"error": "shutting down"}),
    ],
    ids=["made", "refused"],
)
def test_all_who_wait_for_a_restart_are_answered(
    server: Server, action: RestartAnswered, expected: dict[str, object]
) -> None:
    """And nobody else is."""
    waiting = [server.accepted(b"restart\n") for _ in range(3)]
    silent = server.accepted()
    assert server.steps == [RestartRequested()] * 3
    assert all(waits(client) for client in (*waiting, silent))
    server.control.answer_restart(action)
    assert [answer(client) for client in waiting] == [expected] * 3
    assert waits(silent)


def test_an_answer_that_comes_at_once(server: Server) -> None:
    """Within the step, as during a shutdown."""
    step: Callable[[Event], None] = lambda _event: server.control.answer_restart(  # noqa: E731
        RestartAnswered("shutting down")
    )
    server.control._step = step
    assert answer(server.accepted(b"restart\n")) == {"error": "shutting down"}
    assert server.turns.watched == {}


def test_who_waits_keeps_nobody_from_asking(server: Server) -> None:
    """They are counted apart from those without a request, and limited as those are."""
    waiting = [server.accepted(b"restart\n") for _ in range(MOST)]
    assert answer(server.accepted(b"restart\n")) == {"error": "too many wait for a restart"}
    assert len(server.steps) == MOST
    silent = [server.accepted() for _ in range(MOST)]
    assert answer(server.accepted(b"status\n")) == STATUS
    assert [waits(client) for client in silent] == [False, *[True] * (MOST - 1)]
    assert all(waits(client) for client in waiting)


def test_who_waits_and_has_no_more_to_say_still_listens(server: Server) -> None:
    """As `nc -N` does; the end of its input must not wake the loop again and again."""
    client = server.accepted(b"restart\n")
    client.shutdown(socket.SHUT_WR)
    server.turns.turn()
    assert server.turns.watched == {}
    assert waits(client)
    server.control.answer_restart(RestartAnswered())
    assert answer(client) == STATUS


def test_who_waits_and_says_more_is_dropped(server: Server) -> None:
    client = server.accepted(b"restart\n")
    client.send(b"x")
    server.turns.turn()
    assert answer(client) is None


def test_who_waits_and_has_gone_is_no_matter(server: Server) -> None:
    """Whether that was noticed or not."""
    noticed, unnoticed, there = (server.accepted(b"restart\n") for _ in range(3))
    noticed.close()
    server.turns.turn()
    unnoticed.close()
    server.control.answer_restart(RestartAnswered())
    assert answer(there) == STATUS
    assert server.turns.watched == {}


# --- No descriptors ---------------------------------------------------------------------


@contextmanager
def descriptors(more: int) -> Iterator[None]:
    """Leave room for so many more; with less than none, those that are open are too many."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3 if more < 0 else free + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_with_the_spare_descriptor_a_client_is_sent_away(server: Server) -> None:
    """Else it would wait for ever, and the loop spin; the spare one is had again each time."""
    clients = [server.connect(b"status\n") for _ in range(3)]
    with descriptors(0):
        for client in clients:
            assert waits(client)
            assert server.control.accept()
            with pytest.raises(ConnectionResetError):
                client.recv(1)
    assert answer(server.accepted(b"status\n")) == STATUS


def test_without_descriptors_and_without_a_client_the_spare_one_is_kept(server: Server) -> None:
    """The kernel looks for a descriptor first (accept(2)); who waited may have gone."""
    client = server.connect()
    with descriptors(0):
        for _ in range(3):
            assert server.control.accept()
        with pytest.raises(OSError, match="Too many open files"):
            os.dup(0)
    assert answer(client) is None
    assert answer(server.accepted(b"status\n")) == STATUS


def test_where_not_even_the_spare_one_helps_it_says_so(server: Server) -> None:
    """Whoever asks it to accept must not do so again and again."""
    client = server.connect(b"status\n")
    with descriptors(-1):
        assert not server.control.accept()
        assert not server.control.accept()
    assert waits(client)
    assert server.control.accept()
    assert answer(client) == STATUS


# --- The end ----------------------------------------------------------------------------


def test_the_end_closes_all_connections_but_not_the_listening_socket(server: Server) -> None:
    silent, waiting = server.accepted(), server.accepted(b"restart\n")
    server.control.close()
    assert (answer(silent), answer(waiting)) == (None, None)
    assert server.turns.watched == {}
    assert waits(server.connect())
