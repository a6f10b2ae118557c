"""Health checks by HTTP and TCP: what passes, and that they run wherever rebound does."""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import suppress

import psutil
import pytest

from tests.helpers import JSON, denied, program

FAST = ["--health-interval", "50ms", "--health-retries", "1"]
COMMAND = program("notifier.py", "announce", "asleep")


class Server:
    """Answers each connection with `answer`, whatever it asks; None keeps it waiting."""

    def __init__(self, family=socket.AF_INET, host="127.0.0.1"):
        self.answer: bytes | None = b"HTTP/1.1 200 OK\r\n\r\n"
        self.requests: list[bytes] = []
        self._open: list[socket.socket] = []
        self._socket = socket.socket(family)
        self._socket.bind((host, 0))
        self._socket.listen()
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                self._open.append(client)
                client.settimeout(5)
                with suppress(OSError):
                    self.requests.append(client.recv(4096))
                    if self.answer is not None:
                        client.sendall(self.answer)
                        self._open.pop().close()

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        for client in self._open:
            client.close()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def checked(start, *options, **places):
    return start(*JSON, *FAST, *options, *COMMAND, **places)


def failures(rebound):
    return [it["msg"].partition("): ")[2] for it in rebound.events("health_failed")]


def test_an_unhealthy_run_is_started_again(start, mode, server):
    """Until the next one is well; the log says why."""
    server.answer = b"HTTP/1.1 503 Service Unavailable\r\n\r\n"
    where = f"localhost:{server.port}"
    rebound = checked(start, "--health-http", f"http://{where}/healthz?x=1", wrapper=mode)
    rebound.wait_ready(2)
    server.answer = b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n"
    rebound.wait_until(lambda: rebound.events("healthy"))
    assert set(failures(rebound)) == {f"{where}: HTTP status 503"}
    assert rebound.events("exited")[0]["reason"] == "unhealthy"
    head, *fields = server.requests[0].decode().split("\r\n")
    assert head == "GET /healthz?x=1 HTTP/1.1"
    assert fields[0] == f"Host: {where}"
    assert fields[1].startswith("User-Agent: rebound/")
    assert fields[2:] == ["Accept: */*", "Connection: close", "", ""]
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 199 Odd\r\n\r\n", "no answer"),  # an interim answer, and no other
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\n", "HTTP status 404"),
        (b"HTTP/1.0 400 Bad\n\n", "HTTP status 400"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the answer is no HTTP"),
        (b"HTTP/1.1 20\r\n", "the answer is no HTTP"),
        (b"", "no answer"),
        (b"HTTP/1.1 2", "the answer is no HTTP"),
        (b"x" * 100_000, "no HTTP"),
    ],
)
def test_what_fails(start, server, answer, why):
    server.answer = answer
    rebound = checked(start, "--health-http", f"http://127.0.0.1:{server.port}")
    rebound.wait_until(lambda: rebound.events("unhealthy"))
    assert why in failures(rebound)[0] or "reset" in failures(rebound)[0]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 399 x\n",
        b"HTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 204 \r\n",
    ],
)
def test_what_passes(start, server, answer):
    server.answer = answer
    rebound = checked(start, "--health-http", f"http://127.0.0.1:{server.port}")
    rebound.wait_until(lambda: rebound.events("healthy"))
    assert not rebound.events("health_failed")


def test_a_connection_is_enough(start):
    """Of localhost's addresses any; and its end is a failure."""
    server = Server(socket.AF_INET6, "::1")
    server.answer = None
    rebound = checked(start, "--health-tcp", f"localhost:{server.port}")
    try:
        rebound.wait_until(lambda: rebound.events("healthy"))
    finally:
        server.close()
    rebound.wait_until(lambda: rebound.events("unhealthy"))
    assert failures(rebound)[0].endswith(": Connection refused")


def test_one_that_does_not_answer_is_killed_and_holds_nothing_of_ours(start, server):
    """Sockets and pipes of rebound would stay open in it when rebound closes them."""
    server.answer = None
    url = f"http://127.0.0.1:{server.port}"
    handed = ["--listen", "127.0.0.1:0"]
    options = [*handed, "--health-http", url, "--health-timeout", "500ms", "--health-retries=3"]
    rebound = checked(start, *options)
    rebound.wait_until(lambda: server.requests)
    [check] = rebound.children(lambda child: child.name() == "rebound")
    targets = set()
    with suppress(psutil.NoSuchProcess, FileNotFoundError):
        for fd in os.listdir(f"/proc/{check.pid}/fd"):
            targets.add(os.readlink(f"/proc/{check.pid}/fd/{fd}").partition(":")[0])
        assert targets == {"pipe", "socket"}
        assert len(check.net_connections()) == 1
    rebound.wait_until(lambda: rebound.events("health_timeout"))
    rebound.wait_until(lambda: "killed by signal 9 (SIGKILL)" in failures(rebound))


def test_a_check_without_a_socket_says_nothing(start, server):
    """Such as under a profile that refuses one: no reason to restart the command."""
    rebound = checked(
        start,
        "--health-tcp",
        f"127.0.0.1:{server.port}",
        wrapper=denied("socket:EPERM"),
    )
    rebound.wait_until(lambda: len(rebound.events("health_unknown")) >= 3)
    assert "socket: Operation not permitted" in rebound.events("health_unknown")[0]["error"]
    assert len(rebound.lines("ready")) == 1


def test_a_stop_ends_a_check(start, server):
    server.answer = None
    rebound = checked(start, "--health-http", f"http://127.0.0.1:{server.port}")
    rebound.wait_until(lambda: server.requests)
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    assert not rebound.events("draining")
