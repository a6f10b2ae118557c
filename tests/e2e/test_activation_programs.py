"""Programs that know systemd's socket activation and descriptor store, unmodified, below rebound."""

from __future__ import annotations

import os
import re
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import NamedTuple

import psutil
import pytest

from tests.helpers import DEADLINE, JSON, PROGRAMS, REBOUND, kill_family

LISTEN = ("--listen", "web=127.0.0.1:0")
STOPPED = (0, 1, 128 + signal.SIGTERM)
"""The exit statuses after a SIGTERM: 1 is that of pgbouncer 1.18."""
SYSTEM_PYTHON = ["/usr/bin/python3", "-I"]
"""Debian's, for its package python3-systemd."""


class Server(NamedTuple):
    """A program that serves on a socket that it is given."""

    command: list[str]
    question: bytes
    answer: str
    """What it answers, as a pattern.  Some tell in its group which run they are."""


# --- The programs -------------------------------------------------------------------------


@contextmanager
def gunicorn(_directory):
    """If it is given no socket it would take an address of its own, which here is an error."""
    options = ("--no-control-socket", "--pythonpath", str(PROGRAMS), "--bind", "unix:/dev/null")
    command = [sys.executable, "-I", "-m", "gunicorn", *options, "web:wsgi"]
    yield Server(command, b"GET / HTTP/1.0\r\n\r\n", r"\brun (\d+)\n")


@contextmanager
def uvicorn(_directory):
    """It has no need of LISTEN_PID."""
    options = ("--app-dir", str(PROGRAMS), "--fd", "3", "--lifespan", "off")
    command = [sys.executable, "-I", "-m", "uvicorn", *options, "web:asgi"]
    yield Server(command, b"GET / HTTP/1.0\r\n\r\n", r"\brun (\d+)\n")


PGBOUNCER = """
[databases]
[pgbouncer]
auth_type = any
listen_addr =
unix_socket_dir =
"""


def packet(kind: bytes, *words: str, code: bytes = b"") -> bytes:
    """A message of PostgreSQL's protocol."""
    body = code + b"".join(word.encode() + b"\0" for word in words)
    return kind + (4 + len(body)).to_bytes(4, "big") + body


@contextmanager
def pgbouncer(directory):
    """Its own administration console answers without a database."""
    config = directory / "pgbouncer.ini"
    config.write_text(PGBOUNCER)
    login = packet(b"", "user", "pgbouncer", "database", "pgbouncer", "", code=b"\0\3\0\0")
    question = login + packet(b"Q", "SHOW CONFIG")
    command = ["/usr/sbin/pgbouncer", "-u", "postgres", str(config)]
    yield Server(command, question, r"unix_socket_dir")


@contextmanager
def node_exporter(_directory):
    collectors = ("--collector.disable-defaults", "--collector.loadavg")
    command = ["prometheus-node-exporter", "--web.systemd-socket", *collectors]
    yield Server(command, b"GET /metrics HTTP/1.0\r\n\r\n", r"\nnode_load1 [\d.]+\n")


class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"echo of " + self.rfile.readline())


@contextmanager
def socket_proxyd(_directory):
    with socketserver.TCPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            address = "{}:{}".format(*server.server_address)
            command = ["/lib/systemd/systemd-socket-proxyd", address]
            yield Server(command, b"a line\n", r"echo of a line\n")
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def sshd(directory):
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # its service makes this
    key = directory / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    command = ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-h", str(key)]
    yield Server(command, b"SSH-2.0-test\r\n", r"^SSH-2\.0-OpenSSH\S*")


SERVERS = {
    "gunicorn": gunicorn,
    "node-exporter": node_exporter,
    "pgbouncer": pgbouncer,
    "socket-proxyd": socket_proxyd,
    "sshd": sshd,
    "uvicorn": uvicorn,
}


@pytest.fixture(params=list(SERVERS))
def server(request, tmp_path):
    with SERVERS[request.param](tmp_path) as server:
        yield server


# --- Their clients ------------------------------------------------------------------------


def address_of(rebound, name):
    """Where the socket of that name listens, as the log tells."""

    def found():
        return [e["address"] for e in rebound.events("listening") if e["name"] == name]

    host, _, port = rebound.wait_until(found)[0].rpartition(":")
    return host, int(port)


def ask(address, server):
    """Connect at once, ask, wait for the answer, and give what it tells of the run, or None."""
    family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
    with socket.socket(family) as client:
        client.settimeout(DEADLINE)
        client.connect(address)
        client.sendall(server.question)
        received = b""
        while not (found := re.search(server.answer, received.decode("latin-1"))):
            more = client.recv(4096)
            assert more, f"ended after {received!r}"
            received += more
    return int(found[1]) if found.groups() else None


def crash(command: psutil.Process) -> None:
    """Kill it with its workers, which would go on to accept connections."""
    kill_family(command.pid)


# --- Sockets ------------------------------------------------------------------------------


def test_no_client_is_refused_while_it_is_restarted(start, mode, server):
    rebound = start(*JSON, "-v", *LISTEN, *server.command, wrapper=mode)
    address = address_of(rebound, "web")
    assert ask(address, server) in (0, None)
    # What serves a connection of sshd may outlive its parent, and is adopted then.
    [command] = rebound.wait_until(lambda: len(found := rebound.children()) == 1 and found)
    crash(command)
    assert ask(address, server) in (1, None)
    assert [event["reason"] for event in rebound.events("exited")] == ["signal:SIGKILL"]
    rebound.send(signal.SIGTERM)
    assert rebound.wait() in STOPPED
    with pytest.raises(ConnectionRefusedError):
        ask(address, server)


@pytest.mark.parametrize("server", ["gunicorn", "node-exporter", "socket-proxyd"], indirect=True)
def test_sockets_for_another_process_are_not_taken(start, server):
    """Negative control: the same descriptors, with a LISTEN_PID that is not its own."""
    rebound = start("--restart", "never", *LISTEN, "env", "LISTEN_PID=1", *server.command)
    assert rebound.wait() != 0


# --- Around rebound -----------------------------------------------------------------------


@pytest.mark.parametrize("server", ["gunicorn"], indirect=True)
def test_below_systemd_socket_activate(start, mode, server, tmp_path):
    path = str(tmp_path / "socket")
    activate = ("systemd-socket-activate", f"--listen={path}", "--fdname=web")
    passed = (f"--setenv=REBOUND_RUN_DIR={os.environ['REBOUND_RUN_DIR']}", "--setenv=PATH")
    rebound = start(*JSON, "-v", *server.command, wrapper=[*mode, *activate, *passed])
    rebound.wait_until(lambda: "Listening on " in rebound.log)
    assert ask(path, server) == 0
    assert [event["name"] for event in rebound.events("listening")] == ["web"]
    [command] = rebound.children()
    crash(command)
    assert ask(path, server) == 1
    rebound.send(signal.SIGTERM)
    assert rebound.wait() in STOPPED
    with pytest.raises(ConnectionRefusedError):
        ask(path, server)


@pytest.mark.parametrize("server", ["gunicorn"], indirect=True)
def test_below_another_rebound(start, mode, server):
    """No client sees the crash of the command, nor that of the rebound above it."""
    rebound = start(*JSON, "-v", *LISTEN, REBOUND, *JSON, *server.command, wrapper=mode)
    address = address_of(rebound, "web")
    assert ask(address, server) == 0
    [inner] = rebound.children()
    [command] = inner.children()
    crash(command)
    assert ask(address, server) == 1
    crash(inner)
    assert ask(address, server) == 0
    rebound.send(signal.SIGTERM)
    assert rebound.wait() in STOPPED
    with pytest.raises(ConnectionRefusedError):
        ask(address, server)


# --- The descriptor store -----------------------------------------------------------------


def clients():
    """The ways to the store that are here: systemd-notify has --fd from systemd 254 on."""
    usage = subprocess.run(["systemd-notify", "--help"], capture_output=True, text=True).stdout
    return ["python3-systemd", "libsystemd", *(["systemd-notify"] if "--fd=" in usage else [])]


@pytest.mark.parametrize("client", clients())
def test_a_count_outlives_crashes(start, mode, client):
    keeper = [*SYSTEM_PYTHON, str(PROGRAMS / "keeper.py"), client]
    rebound = start(*JSON, "-v", *LISTEN, "--fd-store", 4, *keeper, wrapper=mode)
    for runs in range(1, 4):
        rebound.wait_until(lambda runs=runs: f"ready {runs}" in rebound.lines())
        rebound.wait_until(lambda: rebound.events("fd_stored"))
        [command] = rebound.children()
        command.kill()
    rebound.wait_until(lambda: "ready 4" in rebound.lines())
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 128 + signal.SIGTERM
    assert rebound.lines("got") == ["got web", *["got web runs"] * 3]
    assert [event["name"] for event in rebound.events("fd_stored")] == ["runs"]


def test_systemd_notify_waits_until_its_message_is_read(start, mode):
    """Its barrier (BARRIER=1) is a pipe that rebound closes; unanswered for 5 s, it fails."""
    script = "systemd-notify --ready --status='ready for use' && echo sent; exec sleep 1000"
    rebound = start(*JSON, "-v", "--fd-store", 4, "sh", "-c", script, wrapper=mode)
    rebound.wait_until(lambda: rebound.lines("sent"))
    rebound.wait_until(lambda: len(rebound.events("ready")) == 1)
    assert [event["status"] for event in rebound.events("status")] == ["ready for use"]
