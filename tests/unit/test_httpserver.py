"""The server of `--http`: whoever is slow, silent, too many or sends rubbish costs nobody."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from rebound.kernel.aside import Aside
from rebound.kernel.log import Log
from rebound.parts.http import Http
from tests.unit.test_server import descriptors
from tests.unit.turns import Turns

MOST = 16
PATIENCE = 5


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


class Server:
    """The server under test, its clients, its clock, and what it tells."""

    def __init__(self, stack: ExitStack, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.turns = Turns()
        self.fields: dict[str, Any] = {"pid": 7, "ok": True, "child_pid": 8, "adopted": 0}
        self.described = 0
        self.takes = 0.0
        self.is_ready = True
        self.now = 1000.0
        self.cpu_time = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "thread_time", lambda: self.cpu_time)
        self._stack = stack
        self.log_read, log = os.pipe()
        os.set_blocking(self.log_read, False)
        stack.callback(os.close, self.log_read)
        stack.callback(os.close, log)
        as_loop = self.turns.as_loop
        told = Log(fd=log)
        stack.callback(told.close)
        self.part = Http(address, as_loop, told, self._describe, lambda: self.is_ready)
        stack.callback(self.part.close)
        self.address = str(self.part.describe()["http"])

    def _describe(self) -> dict[str, object]:
        self.described += 1
        self.cpu_time += self.takes
        if "error" in self.fields:
            raise self.fields["error"]
        return self.fields

    def connect(self, request: bytes = b"") -> socket.socket:
        """Connect, and send that; it is not accepted yet."""
        client = self._stack.enter_context(socket.socket(socket.AF_UNIX))
        client.connect("\0" + self.address[1:])
        client.setblocking(False)
        client.sendall(request)
        return client

    def accepted(self, request: bytes = b"") -> socket.socket:
        """Connect, send that, and be accepted."""
        client = self.connect(request)
        self.turns.turn()
        return client

    def ask(self, path: str, method: str = "GET") -> tuple[str, bytes]:
        """Give status line and body."""
        return answer(self.accepted(get(path, method)))

    @property
    def is_ticking(self) -> bool:
        return bool(self.turns.repeated)

    def tick(self, seconds: float) -> None:
        """Let time pass, and the server look what is due."""
        self.now += seconds
        for handler, _seconds in list(self.turns.repeated):
            handler()

    def settle(self) -> None:
        """Turn until nothing is to be done."""
        while self.turns.ready():
            self.turns.turn()

    @property
    def log(self) -> str:
        try:
            return os.read(self.log_read, 65536).decode()
        except BlockingIOError:
            return ""


@pytest.fixture
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """At an abstract socket."""
    with ExitStack() as stack:
        name = f"@rebound-test-{os.getpid()}-{request.node.name}"[:100]
        yield Server(stack, name, monkeypatch)


def receive(client: socket.socket) -> bytes:
    """All that has come, up to the end."""
    received = b""
    while more := client.recv(2**20):
        received += more
    return received


def answer(client: socket.socket) -> tuple[str, bytes]:
    head, _, body = receive(client).partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode(), body


def waits(client: socket.socket) -> bool:
    """Whether it is neither answered nor closed."""
    try:
        client.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    return False


# --- Pages ------------------------------------------------------------------------------


def test_the_pages(server: Server) -> None:
    """One turn each, and no timer; nothing is left of the connections."""
    assert server.ask("/livez") == ("HTTP/1.1 200 OK", b"ok\n")
    assert server.ask("/readyz") == ("HTTP/1.1 200 OK", b"ok\n")
    line, body = server.ask("/metrics")
    assert line == "HTTP/1.1 200 OK"
    assert b"rebound_ready 1\n" in body
    assert body.endswith(b"# EOF\n")
    line, body = server.ask("/status")
    assert (line, json.loads(body)) == ("HTTP/1.1 200 OK", server.fields)
    server.is_ready = False
    assert server.ask("/readyz")[0] == "HTTP/1.1 503 Service Unavailable"
    assert server.ask("/livez")[0] == "HTTP/1.1 200 OK"
    assert server.ask("/livez", "HEAD") == ("HTTP/1.1 200 OK", b"")
    assert len(server.turns.watched) == 1
    assert not server.is_ticking


def test_what_is_wrong_with_a_request(server: Server) -> None:
    for path, method, status in (
        ("/", "GET", "404 Not Found"),
        ("/livez/", "GET", "404 Not Found"),
        ("/nothing", "POST", "404 Not Found"),
        ("/livez", "POST", "405 Method Not Allowed"),
        ("/status", "DELETE", "405 Method Not Allowed"),
        ("livez", "GET", "400 Bad Request"),
    ):
        assert server.ask(path, method)[0] == f"HTTP/1.1 {status}"
    assert answer(server.accepted(b"x" * 4097))[0].startswith("HTTP/1.1 431")
    assert server.described == 0


def test_who_asks_again_soon_gets_the_same(server: Server) -> None:
    """A description serves all who ask within a moment, and longer if it took long."""
    for _ in range(20):
        server.ask("/metrics")
        server.ask("/status")
    assert server.described == 1
    server.now += 0.25
    server.takes = 0.01
    server.ask("/metrics")
    assert server.described == 2
    server.now += 1.9
    server.ask("/status")
    assert server.described == 2
    server.now += 0.2
    server.ask("/status")
    assert server.described == 3
    server.is_ready = False
    assert server.ask("/readyz")[0].startswith("HTTP/1.1 503")  # no matter what is kept


def test_a_command_of_any_bytes(server: Server) -> None:
    server.fields |= {"version": "1", "command": "a\n\x1b\udcff"}
    assert b'command="a\\\\n\\\\x1b\\\\udcff"' in server.ask("/metrics")[1]
    assert json.loads(server.ask("/status")[1])["command"] == "a\n\x1b\udcff"


def test_a_mistake_of_ours_costs_the_connection(server: Server) -> None:
    """It is logged by the supervisor, who has called us."""
    server.fields["error"] = KeyError("x")
    client = server.connect(get("/status"))
    with pytest.raises(KeyError):
        server.turns.turn()
    assert receive(client) == b""
    assert server.ask("/livez")[0] == "HTTP/1.1 200 OK"


# --- Who is slow ------------------------------------------------------------------------


def test_a_slow_request_is_waited_for(server: Server) -> None:
    """A byte at a time; meanwhile others are served."""
    request = get("/livez")
    slow = server.accepted()
    for byte in request[:-1]:
        slow.send(bytes([byte]))
        server.turns.turn()
        assert waits(slow)
    assert server.is_ticking
    assert server.ask("/livez")[0] == "HTTP/1.1 200 OK"
    slow.send(request[-1:])
    server.turns.turn()
    assert answer(slow)[0] == "HTTP/1.1 200 OK"
    server.tick(1)
    assert not server.is_ticking


def test_whoever_takes_too_long_is_dropped(server: Server) -> None:
    """However busy it is; a second later nothing is left to wait for."""
    silent = server.accepted()
    slow = server.accepted(b"GET /livez")
    for _ in range(PATIENCE - 1):
        server.tick(1)
        slow.send(b"x")
        server.turns.turn()
        late = server.accepted()
    assert waits(silent)
    assert waits(slow)
    server.tick(1)
    assert receive(silent) == receive(slow) == b""
    assert waits(late)
    assert server.is_ticking
    for _ in range(PATIENCE - 1):
        server.tick(1)
    assert not server.is_ticking
    assert len(server.turns.watched) == 1


def test_an_answer_longer_than_any_buffer_arrives_whole(server: Server) -> None:
    """The server waits for nobody meanwhile."""
    server.fields = {"long": "x" * 10**7}
    client = server.accepted(get("/status"))
    assert not server.turns.ready()
    assert server.ask("/livez")[0] == "HTTP/1.1 200 OK"
    received = b""
    while True:
        try:
            more = client.recv(2**20)
        except BlockingIOError:
            server.turns.turn()
            continue
        if not more:
            break
        received += more
    assert json.loads(received.partition(b"\r\n\r\n")[2]) == server.fields
    server.tick(1)
    assert not server.is_ticking


def test_who_does_not_take_the_answer_is_dropped(server: Server) -> None:
    server.fields = {"long": "x" * 10**7}
    stuck, gone = (server.accepted(get("/status")) for _ in range(2))
    gone.close()
    server.settle()
    server.tick(PATIENCE)
    assert 0 < len(receive(stuck)) < 10**7
    assert not server.is_ticking


# --- Who sends what is no request ---------------------------------------------------------


def test_the_answer_reaches_whoever_has_sent_more(server: Server) -> None:
    """No reset overtakes it; what follows is thrown away, up to a limit."""
    for more in (b"x", get("/status"), b"\0" * 100_000):
        client = server.accepted(get("/livez") + more)
        head = receive(client)
        assert head.count(b"HTTP/1.1 ") == 1
        client.close()
        server.settle()
        server.tick(1)
        assert not server.is_ticking


def test_who_sends_on_and_on_is_cut_off(server: Server) -> None:
    client = server.accepted(b"\0")
    assert answer(client)[0] == "HTTP/1.1 400 Bad Request"
    with pytest.raises((BrokenPipeError, ConnectionResetError)):  # noqa: PT012  until then
        for _ in range(100):
            client.send(b"x" * 65536)
            server.turns.turn()
    server.tick(1)
    assert not server.is_ticking


@pytest.mark.parametrize("sent", [b"", b"GET", get("/livez") + b"x", b"\0"])
def test_who_goes_at_any_time_is_no_matter(server: Server, sent: bytes) -> None:
    server.connect(sent).close()
    server.settle()
    if server.is_ticking:
        server.tick(1)
    assert not server.is_ticking


# --- Who are many -------------------------------------------------------------------------


def test_of_too_many_the_oldest_is_dropped(server: Server) -> None:
    """So those who hold connections keep nobody from asking."""
    clients = [server.accepted() for _ in range(MOST)]
    assert all(map(waits, clients))
    assert server.ask("/livez")[0] == "HTTP/1.1 200 OK"
    assert [waits(client) for client in clients] == [False, *[True] * (MOST - 1)]


def test_a_turn_does_one_thing(server: Server) -> None:
    """However many are ready: in between the loop looks for signals."""
    silent = [server.accepted() for _ in range(4)]
    for client in silent:
        client.send(get("/livez"))
    clients = [server.connect(get("/livez")) for _ in range(4)]
    for answered in range(8):
        assert sum(not waits(client) for client in (*silent, *clients)) == answered
        [handler] = server.turns.ready()
        handler()
    assert not server.turns.ready()


# --- No descriptors -----------------------------------------------------------------------


def test_with_the_spare_descriptor_a_client_is_sent_away(server: Server) -> None:
    clients = [server.connect(get("/livez")) for _ in range(3)]
    with descriptors(0):
        server.settle()
    for client in clients:
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert server.ask("/livez")[0] == "HTTP/1.1 200 OK"
    assert server.log == ""


def test_where_not_even_the_spare_one_helps_it_waits(server: Server) -> None:
    """It looks again each second, and says so once."""
    client = server.connect(get("/livez"))
    with descriptors(-1):
        for _ in range(3):
            server.turns.turn()
            assert not server.turns.ready()
            server.tick(1)
            assert not server.is_ticking
    assert "no descriptor left for --http" in server.log
    server.settle()
    assert answer(client)[0] == "HTTP/1.1 200 OK"
    assert not server.is_ticking
    assert server.log == ""


def test_one_that_cannot_be_watched_is_dropped(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC, ENOMEM of epoll_ctl(2)."""

    def refuse(*_args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Aside, "watch", refuse)
    assert receive(server.accepted()) == b""
    assert server.ask("/livez")[0] == "HTTP/1.1 200 OK"
    assert not server.is_ticking


# --- The address --------------------------------------------------------------------------


def test_an_address_that_cannot_be_had_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is left open."""
    before = os.listdir("/proc/self/fd")
    with ExitStack() as stack, pytest.raises(OSError, match=r"cannot serve at 192\.0\.2\.1:80: "):
        Server(stack, "192.0.2.1:80", monkeypatch)
    assert os.listdir("/proc/self/fd") == before
    with ExitStack() as stack, pytest.raises(OSError, match=f"cannot serve at {tmp_path}: "):
        Server(stack, str(tmp_path), monkeypatch)
    assert os.listdir("/proc/self/fd") == before


def test_the_end_closes_all(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And removes the file of a socket, if it is ours."""
    silent = server.accepted()
    server.part.close()
    assert receive(silent) == b""
    assert (server.turns.watched, server.is_ticking) == ({}, False)
    with ExitStack() as stack:
        Server(stack, f"{tmp_path}/mine", monkeypatch)
        Server(stack, f"{tmp_path}/other", monkeypatch)
        os.unlink(f"{tmp_path}/other")
        (tmp_path / "other").touch()
    assert os.listdir(tmp_path) == ["other"]
