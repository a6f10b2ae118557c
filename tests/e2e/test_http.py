"""`--http`: what probes and scrapers get, whatever the command does, and what no client can do."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import struct
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.helpers import DEADLINE, JSON, MODES, eventually, program, run

ANY = "127.0.0.1:0"
VERBOSE = [*JSON, "-v"]
REQUEST = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"
MOST = 16

# It crashes at USR1, leaves a daemon that takes its time at the end, and is not ready for long.
COMMAND = """
trap 'exit 7' USR1
(setsid sh -c 'trap "sleep 0.5; exit" TERM; echo daemon; while :; do sleep 1000 & wait $!; done' &)
echo ready $(ls /proc/self/fd | wc -l)
while :; do sleep 1000 & wait $!; done
"""


@pytest.fixture
def directory():
    """A short path: a socket's has 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="http") as path:
        yield Path(path)


@pytest.fixture(params=["plain", "pid1"])
def wrapper(request):
    """What to put before rebound."""
    return MODES[request.param]


def address_of(rebound):
    """Where it serves, by its log."""
    [event] = rebound.wait_until(lambda: rebound.events("serving"))
    return event["address"]


def connect(address, request=b""):
    """Connect, and send that."""
    if address.startswith(("/", "@")):
        client = socket.socket(socket.AF_UNIX)
        target = address if address.startswith("/") else "\0" + address[1:]
    else:
        host, _, port = address.rpartition(":")
        client = socket.socket(socket.AF_INET6 if host.startswith("[") else socket.AF_INET)
        target = (host.strip("[]"), int(port))
    client.settimeout(DEADLINE)
    try:
        client.connect(target)
        client.sendall(request)
    except OSError:
        client.close()
        raise
    return client


def receive(client):
    """All that comes, to the end; whoever is cut off has got nothing more."""
    received = b""
    with suppress(ConnectionResetError):
        while more := client.recv(65536):
            received += more
    return received


def exchange(address, request):
    """Give status, headers and body."""
    with connect(address, request) as client:
        head, _, body = receive(client).partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    return int(first.split()[1]), dict(field.split(": ") for field in fields), body


def get(address, path):
    """Give status and body."""
    status, _headers, body = exchange(address, REQUEST % path.encode())
    return status, body.decode()


def metrics(address):
    """The samples, by name and the labels' values, as the strict parser reads them."""
    status, text = get(address, "/metrics")
    assert status == 200
    return samples_of(text)


def samples_of(text):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def is_refused(address):
    try:
        connect(address).close()
    except (ConnectionRefusedError, ConnectionResetError, FileNotFoundError):
        return True
    return False


# --- What they get ------------------------------------------------------------------------


def test_from_the_start_to_the_end(start, mode):
    """Through crash, back-off, restart and drain: one socket, and rebound answers at once."""
    options = ["-b1", "--http", ANY, "--listen", f"api={ANY}"]
    rebound = start(*VERBOSE, *options, "sh", "-c", COMMAND, wrapper=mode)
    rebound.wait_ready()
    address = address_of(rebound)
    assert get(address, "/livez") == (200, "ok\n")
    assert get(address, "/readyz") == (200, "ok\n")
    before = metrics(address)
    assert before["rebound_starts_total",] == before["rebound_up",] == 1
    assert before["rebound_command_resident_bytes",] > 100_000
    [queue] = [labels for labels in before if labels[0] == "rebound_waiting_connections"]
    assert queue[1:3] == ("3", "api")

    command = rebound.events("started")[0]["pid"]
    rebound.send(signal.SIGUSR1)
    rebound.wait_until(lambda: rebound.events("delayed"))
    assert get(address, "/readyz") == (503, "not ready\n")
    assert get(address, "/livez") == (200, "ok\n")
    after = eventually(lambda: (now := metrics(address))["rebound_up",] == 0 and now)
    assert after["rebound_exits_total", "exit"] == 1
    assert after["rebound_backoff_seconds",] > 0.5
    assert after["rebound_adopted_processes",] == 2  # the daemon, and what the shell waited for
    assert after["rebound_last_exit_time_seconds",] >= before["rebound_run_start_time_seconds",]
    assert ("rebound_command_resident_bytes",) not in after
    rebound.wait_ready(2)
    status, text = get(address, "/status")
    fields = eventually(lambda: (now := json.loads(get(address, "/status")[1]))["ok"] and now)
    assert (status, fields["starts"], fields["http"]) == (200, 2, address)
    assert fields["child_pid"] != command
    assert text.endswith("}\n")

    rebound.send(signal.SIGTERM)
    rebound.wait_until(lambda: rebound.events("draining"))
    assert get(address, "/livez") == (200, "ok\n")
    assert get(address, "/readyz") == (503, "not ready\n")
    assert rebound.wait() in (143, 0)
    assert is_refused(address)
    assert not rebound.events("internal_error")


def test_the_client_prints_the_same(start, tmp_path):
    """What has not changed meanwhile; of several with their pids; without one nothing."""
    env = {**os.environ, "REBOUND_RUN_DIR": str(tmp_path / "run")}
    none = run("--status", "--openmetrics", env=env)
    assert (none.returncode, none.stdout, none.stderr) == (3, "# EOF\n", "")
    rebounds = [start(*VERBOSE, "--http", ANY, "sleep", "1000", env=env) for _ in range(2)]
    rebound = rebounds[0]
    address = address_of(rebound)
    for each in rebounds:
        each.wait_until(lambda each=each: run("--status", str(each.pid), env=env).returncode == 0)
    text = run("--status", "--openmetrics", str(rebound.pid), env=env).stdout
    moving = "rebound_command_resident_bytes"
    ours = {key: value for key, value in metrics(address).items() if key[0] != moving}
    assert {key: value for key, value in samples_of(text).items() if key[0] != moving} == ours
    both = run("--status", "--openmetrics", env=env)
    assert both.returncode == 0
    pids = {str(each.pid) for each in rebounds}
    assert {key[1] for key in samples_of(both.stdout) if key[0] == "rebound_up"} == pids
    os.kill(rebound.pid, signal.SIGSTOP)
    for words in (["--status", "--openmetrics"], ["--json", "--openmetrics"], ["--openmetrics"]):
        if words[0] == "--status":
            silent = run(*words, env=env)
            assert silent.returncode == 1
            samples = samples_of(silent.stdout)
            assert samples["rebound_ready", str(rebound.pid)] == 0
        else:
            wrong = run(*words, "true", env=env)
            assert (wrong.returncode, wrong.stderr.count("\n")) == (125, 1)
    os.kill(rebound.pid, signal.SIGCONT)
    wrong = run("--restart-now", "--openmetrics", env=env)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (125, 1)


def test_ready_is_what_the_watches_say(start, tmp_path):
    """With a watchdog once the command says so."""
    words = ["print:ready", f"await:{tmp_path}/go", "READY=1", "keep:0.05"]
    rebound = start(*VERBOSE, "--http", ANY, "--watchdog", "1h", *program("notifier.py", *words))
    address = address_of(rebound)
    rebound.wait_ready()
    assert get(address, "/readyz")[0] == 503
    (tmp_path / "go").touch()
    rebound.wait_until(lambda: get(address, "/readyz")[0] == 200)


def test_a_socket_has_any_form(start, directory):
    """All addresses; a path, which is removed at the end; an abstract name."""
    path = directory / "s"
    for text in (":0", "[::1]:0", str(path), f"@{directory.name}"):
        rebound = start(*VERBOSE, "--http", text, "sleep", "1000")
        address = address_of(rebound)
        assert get(address, "/readyz") == (200, "ok\n")
        if text == ":0":
            assert get(f"127.0.0.1:{address.rpartition(':')[2]}", "/livez") == (200, "ok\n")
        rebound.send(signal.SIGTERM)
        assert rebound.wait() == 143
        assert is_refused(address)
    assert not path.exists()


def test_an_address_that_cannot_be_had_is_one_line(directory):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for text, why in (
            (f"127.0.0.1:{port}", "Address already in use"),
            ("192.0.2.1:80", "Cannot assign requested address"),
            (str(directory), "Address already in use"),
            (f"{directory}/none/s", "No such file or directory"),
            ("udp::80", "NAME= and udp:"),
            ("a=:80", "NAME= and udp:"),
            ("example.com:80", "no name is resolved"),
            ("80", "is not an address"),
        ):
            ended = run("--http", text, "true")
            assert (ended.returncode, ended.stdout) == (125, "")
            assert ended.stderr.startswith("rebound: ")
            assert ended.stderr.count("\n") == 1
            assert why in ended.stderr


def test_the_command_never_gets_the_socket(start, wrapper):
    """Whichever way it is started; a socket of --listen is in its place all the same."""
    listing = ["sh", "-c", "ls /proc/self/fd | wc -l; exit 0"]
    ended = run("--http", ANY, *listing, wrapper=wrapper)
    assert ended.stdout == run(*listing, wrapper=wrapper).stdout
    rebound = start(
        *VERBOSE, "--http", ANY, "--listen", ANY, *program("activated.py"), wrapper=wrapper
    )
    rebound.wait_ready()
    [told] = [json.loads(line.partition(" ")[2]) for line in rebound.lines("ready")]
    assert told["open"][:4] == [0, 1, 2, 3]
    assert len(told["open"]) <= 5  # with that of its listing
    assert told["fds"][0]["where"][1] != int(address_of(rebound).rpartition(":")[2])


def test_what_is_no_request_is_answered(start):
    """By status and headers; then the connection is closed."""
    rebound = start(*VERBOSE, "--http", ANY, "sleep", "1000")
    address = address_of(rebound)
    for request, status in (
        (REQUEST % b"/", 404),
        (b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 404),
        (b"DELETE /status HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"POST /status HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n" + b"x" * 99999, 405),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /livez\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 5000 + b"\r\n\r\n", 431),
        (b"x" * 100_000, 431),
        (REQUEST % b"/livez" + b"GET /status HTTP/1.1\r\n\r\n" * 1000, 200),
        (b"HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    ):
        found, headers, body = exchange(address, request)
        assert (found, headers["Connection"]) == (status, "close"), request[:50]
        assert (headers.get("Allow") == "GET, HEAD") == (status == 405)
        assert len(body) == (0 if request.startswith(b"HEAD") else int(headers["Content-Length"]))
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0;")
    assert int(headers["Content-Length"]) > 500


def test_an_answer_longer_than_the_buffer_arrives_whole(start, directory):
    """At a client that takes it slowly; others are served meanwhile."""
    name, place = '"' * 250, f"@{os.getpid()}" + "é" * 45  # in JSON they are longer
    listen = [f"--listen={name}={place}{number}" for number in range(400)]
    path = str(directory / "s")
    rebound = start(*VERBOSE, "--http", path, *listen, "sleep", "1000")
    with connect(address_of(rebound), REQUEST % b"/status") as slow:
        eventually(lambda: slow.recv(1, socket.MSG_PEEK))
        assert get(path, "/livez") == (200, "ok\n")
        _head, _, body = receive(slow).partition(b"\r\n\r\n")
    assert len(body) > 256 * 1024
    assert len(json.loads(body)["sockets"]) == 400


# --- What no client can do ----------------------------------------------------------------


def reset(client):
    """Close it by a reset."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_hostile_clients_disturb_nobody(start, wrapper):
    """Slow, silent, gone, a thousand at once: probes, signals, restarts and the end go on."""
    rebound = start(*VERBOSE, "-b0", "--http", ANY, *program("record_signals.py"), wrapper=wrapper)
    rebound.wait_ready()
    address = address_of(rebound)
    assert metrics(address)
    process = psutil.Process(rebound.pid)
    before = process.num_fds()
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(address)) for _ in range(MOST - 2)]
        slow = stack.enter_context(connect(address, b"GET /livez HT"))
        half_open = stack.enter_context(connect(address, b"GET /livez"))
        half_open.shutdown(socket.SHUT_WR)
        assert receive(half_open) == b""
        for junk in (b"", b"GET", b"\0" * 5000, REQUEST % b"/status"):
            reset(connect(address, junk))
        assert get(address, "/readyz") == (200, "ok\n")
        crowd = [stack.enter_context(connect(address, REQUEST % b"/livez")) for _ in range(1000)]
        rebound.send(signal.SIGUSR1)
        rebound.wait_until(lambda: rebound.lines("signal 10 "))
        process.children()[0].kill()
        rebound.wait_ready(2)
        assert get(address, "/livez") == (200, "ok\n")
        for client in crowd:
            client.close()
        assert process.num_fds() <= before + MOST + 1
        for client in (*silent, slow):
            assert receive(client) == b""  # each within its five seconds
    eventually(lambda: process.num_fds() == before)
    used = process.cpu_times()
    assert used.user + used.system < 3  # of some seven seconds
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 0
    assert not rebound.events("internal_error")
    assert not rebound.events("error")


def test_without_descriptors_clients_are_sent_away(start):
    """The loop does not spin, signals are forwarded, and later probes are served again."""
    rebound = start(*VERBOSE, "--http", ANY, *program("record_signals.py", 143))
    rebound.wait_ready()
    address = address_of(rebound)
    assert get(address, "/status")[0] == 200
    process = psutil.Process(rebound.pid)
    limits = process.rlimit(resource.RLIMIT_NOFILE)
    with connect(address, b"GET /livez") as waiting:
        process.rlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        others = [connect(address, REQUEST % b"/livez") for _ in range(20)]
        rebound.wait_until(lambda: rebound.events("error"))
        rebound.send(signal.SIGUSR1)
        rebound.wait_until(lambda: rebound.lines("signal 10 "))
        process.rlimit(resource.RLIMIT_NOFILE, limits)
        for client in others:
            client.close()
        waiting.sendall(b" HTTP/1.1\r\nHost: a\r\n\r\n")
        receive(waiting)  # its answer, or nothing
    rebound.wait_until(lambda: get(address, "/readyz") == (200, "ok\n"))
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    assert not rebound.events("internal_error")
