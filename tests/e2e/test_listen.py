"""`--listen`: what a run gets, what its clients see, and what is said when it cannot be."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.helpers import (
    DEADLINE,
    JSON,
    PYTHON,
    REBOUND,
    denied,
    events,
    eventually,
    program,
    run,
)

ANY = "127.0.0.1:0"
SERVER = program("activated.py")
VERBOSE = [*JSON, "-v"]


@pytest.fixture
def directory():
    """A short path: a socket's has 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="listen") as path:
        yield Path(path)


def addresses(rebound, count=1):
    """Where it listens, by its log."""
    rebound.wait_until(lambda: len(rebound.events("listening")) >= count)
    return [event["address"] for event in rebound.events("listening")]


def runs(rebound, times=1):
    """What each run says that it got."""
    rebound.wait_ready(times)
    return [json.loads(line.partition(" ")[2]) for line in rebound.lines("ready")]


def connect(address):
    """Connect by what `--listen` or the log says."""
    if address.startswith(("/", "@")):
        client = socket.socket(socket.AF_UNIX)
        target = address if address.startswith("/") else "\0" + address[1:]
    else:
        host, _, port = address.rpartition(":")
        client = socket.socket(socket.AF_INET6 if host.startswith("[") else socket.AF_INET)
        target = (host.strip("[]") or "127.0.0.1", int(port))
    client.settimeout(DEADLINE)
    try:
        client.connect(target)
    except OSError:
        client.close()
        raise
    return client


def ask(address, request=b"who"):
    """Give the pid of the run that answers."""
    with connect(address) as client:
        client.send(request)
        return int(client.recv(100) or 0)


def crash(address):
    """Have the run that accepts this kill itself; the connection goes with it."""
    with connect(address) as client:
        client.send(b"crash")
        client.recv(100)


def is_refused(address):
    try:
        connect(address).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    except ConnectionResetError:  # it was just being closed
        pass
    return False


# --- What a run gets ------------------------------------------------------------------------


def test_each_run_gets_the_sockets_in_their_order(start, mode, directory):
    path = directory / "s"
    listen = [ANY, f"path={path}", f"a b=@{directory.name}", "udp=udp:[::1]:0"]
    options = [word for text in listen for word in ("--listen", text)]
    rebound = start(*VERBOSE, *options, *SERVER, wrapper=mode)
    where = addresses(rebound, 4)
    assert where[1:3] == [str(path), f"@{directory.name}"]
    first = ask(where[0])
    with connect(where[0]) as client:
        client.send(b"crash")
        assert client.recv(100) == b""
    assert ask(where[0]) != first
    for run_ in runs(rebound, 2):
        assert run_["for_me"]
        names = "unknown:path:a b:udp"
        told = {"LISTEN_PID": str(run_["pid"]), "LISTEN_FDS": "4", "LISTEN_FDNAMES": names}
        assert run_["told"] == told
        kinds = [fd["kind"] for fd in run_["fds"]]
        assert kinds == ["SOCK_STREAM"] * 3 + ["SOCK_DGRAM"]
        assert all(fd["blocking"] and fd["inherited"] for fd in run_["fds"])
        port = int(where[0].rpartition(":")[2])
        found = [fd["where"] for fd in run_["fds"]]
        assert found[:3] == [["127.0.0.1", port], str(path), f"\0{directory.name}"]
        assert run_["open"][:7] == [0, 1, 2, 3, 4, 5, 6]
        assert len(run_["open"]) <= 8  # with that of its listing: rebound's own are not passed on


def test_all_addresses_are_those_of_both_families(start):
    rebound = start(*VERBOSE, "--listen", ":0", *SERVER)
    (where,) = addresses(rebound)
    port = where.rpartition(":")[2]
    assert where == f"[::]:{port}"
    assert ask(f"127.0.0.1:{port}") == ask(f"[::1]:{port}")


def test_without_ipv6_all_addresses_are_those_of_ipv4(start):
    strace = ["strace", "-o", "/dev/null", "--inject=socket:error=EAFNOSUPPORT:when=1"]
    rebound = start(*VERBOSE, "--listen", ":0", *SERVER, wrapper=strace)
    (where,) = addresses(rebound)
    assert where.startswith("0.0.0.0:")
    assert ask(where)


def test_ipv6_alone_leaves_the_port_to_ipv4(start):
    rebound = start(*VERBOSE, "--listen", "[::]:0", *SERVER)
    (where,) = addresses(rebound)
    port = where.rpartition(":")[2]
    assert is_refused(f"127.0.0.1:{port}")
    start(*VERBOSE, "--listen", f"127.0.0.1:{port}", *SERVER).wait_ready()


def test_programs_are_told_and_people_who_ask():
    """The events are in JSON always, in text with -v."""
    listen = ["--listen", f"api={ANY}", "true"]
    assert len(events(run(*JSON, *listen).stderr, "listening")) == 1
    assert events(run(*JSON, "-q", *listen).stderr, "listening") == []
    assert "listening" not in run(*listen).stderr
    assert "rebound: listening: api (127.0.0.1:" in run("-v", *listen).stderr


def test_datagrams_wait_for_the_next_run(start):
    rebound = start(*VERBOSE, "--listen", f"udp:{ANY}", *SERVER)
    (where,) = addresses(rebound)
    assert where.startswith("udp:127.0.0.1:")
    (first,) = runs(rebound)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(DEADLINE)
        client.connect(("127.0.0.1", int(where.rpartition(":")[2])))
        client.send(b"?")
        assert int(client.recv(100)) == first["pid"]
        os.kill(first["pid"], signal.SIGKILL)
        rebound.wait_until(lambda: not os.path.exists(f"/proc/{first['pid']}"))
        client.send(b"?")
        assert int(client.recv(100)) == runs(rebound, 2)[1]["pid"]


def test_what_a_run_did_to_the_socket_is_undone(start):
    rebound = start(*VERBOSE, "--listen", ANY, *SERVER, "nonblocking")
    (where,) = addresses(rebound)
    crash(where)
    assert [run_["fds"][0]["blocking"] for run_ in runs(rebound, 2)] == [True, True]


def test_a_process_that_is_left_goes_on_with_the_socket_as_it_was(start):
    """Made blocking again, its accept would wait for ever if another process was faster."""
    rebound = start(*VERBOSE, "--listen", ANY, *SERVER, "worker")
    (first,) = runs(rebound)
    rebound.wait_until(lambda: rebound.lines("worker"))
    os.kill(first["pid"], signal.SIGKILL)
    _, second = runs(rebound, 2)
    assert not second["fds"][0]["blocking"]


def test_other_descriptors_keep_their_numbers_and_what_is_in_the_way_is_told(start, tmp_path):
    with open(tmp_path / "in", "w") as file:
        script = f'exec 3<&{file.fileno()} 4<&3 20<&3 {file.fileno()}<&-; exec "$@"'
        wrapper = ["bash", "-c", script, "sh"]
        options = [*VERBOSE, "--listen", ANY, "-r1"]
        rebound = start(*options, *SERVER, wrapper=wrapper, pass_fds=[file.fileno()])
    (where,) = addresses(rebound)
    ask(where)
    crash(where)
    for run_ in runs(rebound, 2):
        assert {0, 1, 2, 3, 4, 20} <= set(run_["open"])
        assert run_["fds"][0]["where"]
    assert [event["fd"] for event in rebound.events("in_the_way")] == [3]


def test_the_command_is_not_told_of_sockets_that_it_has_not():
    """Without --listen all variables are passed on as they are."""
    foreign = ["LISTEN_PID=1234567", "LISTEN_FDS=3", "LISTEN_PIDFDID=9", "LISTEN_FDNAMES=x"]
    result = run("-q", "env", wrapper=["env", *foreign])
    assert set(foreign) <= set(result.stdout.splitlines())
    result = run("-q", "--listen", ANY, "env", wrapper=["env", *foreign])
    (pid,) = [line for line in result.stdout.splitlines() if line.startswith("LISTEN_PID")]
    assert pid not in foreign
    assert "PIDFDID" not in result.stdout


@pytest.mark.parametrize("wrapper", [[], "activated"], ids=["", "activated"])
def test_health_checks_get_no_socket(start, tmp_path, wrapper):
    seen = tmp_path / "seen"
    check = f"(env; ls -l /proc/$$/fd) >{seen}.new; mv {seen}.new {seen}"
    options = ["--health-interval", "50ms", "--health-cmd", check]
    wrapper = wrapper and activate("web:")
    rebound = start(*VERBOSE, "--listen", ANY, *options, *SERVER, wrapper=wrapper)
    rebound.wait_until(seen.exists)
    assert "LISTEN" not in seen.read_text()
    assert "socket:" not in seen.read_text()
    assert "REBOUND_RESTARTS=0" in seen.read_text()


def test_many_sockets(start):
    count = 200
    rebound = start("--listen", ANY, *["--listen", ANY] * (count - 1), *VERBOSE, *SERVER)
    where = addresses(rebound, count)
    (run_,) = runs(rebound)
    found = [f"{host}:{port}" for host, port in (fd["where"] for fd in run_["fds"])]
    assert found == where


# --- What its clients see -------------------------------------------------------------------


def test_clients_wait_while_no_run_is_there(start, mode):
    rebound = start(*VERBOSE, "--listen", ANY, "-d", "1000", *SERVER, wrapper=mode)
    (where,) = addresses(rebound)
    crash(where)
    rebound.wait_until(lambda: rebound.events("delayed"))
    with connect(where) as client:
        client.send(b"who")
        inside = ["nsenter", "-t", str(rebound.pid), "-p", "-m"] if mode else []
        asked = run("--restart-now", wrapper=inside)
        assert asked.returncode == 0, asked.stderr
        assert int(client.recv(100)) == runs(rebound, 2)[1]["pid"]


def test_the_port_can_be_had_again_at_once(start):
    """Connections that the server has closed are in TIME_WAIT."""
    rebound = start(*VERBOSE, "--listen", ANY, *SERVER)
    (where,) = addresses(rebound)
    ask(where)
    rebound.send(signal.SIGTERM)
    rebound.wait()
    again = start(*VERBOSE, "--listen", where, *SERVER)
    assert addresses(again) == [where]
    assert ask(where) == runs(again)[0]["pid"]


def test_a_stop_refuses_clients_although_the_command_takes_its_time(start, mode):
    rebound = start(*VERBOSE, "--listen", ANY, *SERVER, "keep", wrapper=mode)
    (where,) = addresses(rebound)
    ask(where)
    rebound.send(signal.SIGTERM)
    rebound.wait_until(lambda: rebound.lines("closed"))
    eventually(lambda: is_refused(where))
    assert rebound.popen.poll() is None


@pytest.mark.parametrize("ending", ["gives up", "ends well"])
def test_so_does_an_end_that_waits_for_others(start, ending):
    options = ["-r1", "--stop-timeout", "1000"] if ending == "gives up" else ["-e", "SIGKILL"]
    rebound = start(*VERBOSE, "--listen", ANY, *options, *SERVER, "orphan")
    (where,) = addresses(rebound)
    for run_ in range(2 if ending == "gives up" else 1):
        rebound.wait_until(lambda count=run_ + 1: len(rebound.lines("orphan")) == count)
        crash(where)
    eventually(lambda: is_refused(where))
    assert rebound.popen.poll() is None
    rebound.wait_until(lambda: rebound.events("draining") or rebound.events("not_asked"))


def test_a_stop_in_a_back_off_refuses_those_that_wait(start):
    rebound = start(*VERBOSE, "--listen", ANY, "-d", "1000", *SERVER, "orphan")
    (where,) = addresses(rebound)
    crash(where)
    rebound.wait_until(lambda: rebound.events("delayed"))
    with connect(where) as client:
        rebound.send(signal.SIGTERM)
        with pytest.raises(ConnectionResetError):
            client.recv(100)
    assert is_refused(where)


def test_the_status_names_the_sockets_and_who_waits(start, directory):
    path = directory / "s"
    rebound = start(*VERBOSE, "--listen", f"api={ANY}", "--listen", str(path), "sleep", "1000")
    where, _ = addresses(rebound, 2)
    rebound.wait_until(lambda: run("--status", rebound.pid).returncode == 0)
    with connect(where), connect(where), connect(str(path)):
        answer = json.loads(run("--status", "--json", rebound.pid).stdout)[0]
        assert answer["sockets"] == [
            {"name": "api", "address": where, "waiting": 2},
            {"name": "unknown", "address": str(path), "waiting": 1},
        ]
        assert answer["stored"] is None
        text = run("--status", rebound.pid).stdout
        assert f"\nlistens at: {where} (api), 2 waiting\n" in text
    plain = start(*VERBOSE, "sleep", "1000")
    plain.wait_until(lambda: run("--status", plain.pid).returncode == 0)
    assert json.loads(run("--status", "--json", plain.pid).stdout)[0]["sockets"] is None


# --- Socket files ---------------------------------------------------------------------------


def test_a_socket_file_goes_at_the_end(start, directory):
    path = directory / "s"
    rebound = start(*VERBOSE, "--listen", str(path), *SERVER)
    addresses(rebound)
    assert ask(str(path)) == runs(rebound)[0]["pid"]
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    assert not path.exists()


def test_one_that_a_killed_rebound_has_left_is_replaced(start, directory):
    path = directory / "s"
    first = start(*VERBOSE, "--listen", str(path), *SERVER)
    (run_,) = runs(first)
    first.send(signal.SIGKILL)
    first.wait()
    os.kill(run_["pid"], signal.SIGKILL)
    eventually(lambda: is_refused(str(path)))
    assert path.exists()
    second = start(*VERBOSE, "--listen", str(path), *SERVER)
    addresses(second)
    assert ask(str(path)) == runs(second)[0]["pid"]
    assert os.listdir(directory) == ["s"]


@pytest.mark.parametrize("kind", ["stream", "datagram", "file", "directory"])
def test_what_is_in_use_is_not_touched(directory, kind):
    path = directory / "s"
    kinds = {"datagram": socket.SOCK_DGRAM}
    with socket.socket(socket.AF_UNIX, kinds.get(kind, socket.SOCK_STREAM)) as owner:
        if kind == "file":
            path.write_text("precious")
        elif kind == "directory":
            path.mkdir()
        else:
            owner.bind(str(path))
            if kind == "stream":
                owner.listen()
        before = path.lstat().st_ino
        result = run("--listen", path, "echo", "started")
        assert (result.returncode, result.stdout) == (125, "")
        assert result.stderr == f"rebound: cannot listen at {path}: Address already in use\n"
        assert path.lstat().st_ino == before
    assert os.listdir(directory) == ["s"]


def test_one_that_another_has_put_there_stays(start, directory):
    path = directory / "s"
    rebound = start(*VERBOSE, "--listen", str(path), *SERVER)
    rebound.wait_ready()
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        rebound.send(signal.SIGTERM)
        rebound.wait()
        assert path.exists()


def test_its_mode_is_that_of_the_umask(start, directory):
    path = directory / "s"
    wrapper = ["sh", "-c", 'umask 027; exec "$@"', "sh"]
    start(*VERBOSE, "--listen", str(path), *SERVER, wrapper=wrapper).wait_ready()
    assert path.lstat().st_mode & 0o777 == 0o750


# --- What cannot be -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("/no/such/directory/s", "No such file or directory"),
        ("192.0.2.1:80", "Cannot assign requested address"),
        ("/proc/s", "Operation not permitted"),
    ],
)
def test_a_socket_that_cannot_be_had_is_an_error_of_our_own(directory, address, error):
    """In one line, and nothing is left or started."""
    before = directory / "s"
    result = run("--listen", before, "--listen", address, "echo", "started")
    assert (result.returncode, result.stdout) == (125, "")
    assert result.stderr in {
        f"rebound: cannot listen at {address}: {error}\n",
        f"rebound: cannot listen at {address}: Permission denied\n",
        f"rebound: cannot listen at {address}: No such file or directory\n",
    }
    assert not before.exists()


def test_a_port_in_use_is_one():
    with socket.create_server(("127.0.0.1", 0)) as owner:
        where = f"127.0.0.1:{owner.getsockname()[1]}"
        result = run("--listen", where, "echo", "started")
    assert (result.returncode, result.stdout) == (125, "")
    assert result.stderr == f"rebound: cannot listen at {where}: Address already in use\n"


@pytest.mark.parametrize("call", ["socket", "bind", "listen"])
def test_a_refused_call_is_one(call):
    result = run("--listen", ANY, "echo", "started", wrapper=denied(f"{call}:EACCES"))
    assert (result.returncode, result.stdout) == (125, "")
    assert result.stderr == f"rebound: cannot listen at {ANY}: Permission denied\n"


@pytest.mark.parametrize("address", ["example.com:80", "8080", "a:b=:80", ":99999", "@"])
def test_a_bad_address_is_one(address):
    for options in (["--listen", address], ["--listen", ANY, f"--listen={address}"]):
        result = run(*options, "echo", "started")
        assert (result.returncode, result.stdout) == (125, "")
        assert result.stderr.startswith("rebound: option --listen: ")
        assert result.stderr.count("\n") == 1


def test_a_socket_that_cannot_listen_leaves_no_file(directory):
    path = directory / "s"
    result = run("--listen", path, "echo", "started", wrapper=denied("listen:EACCES"))
    assert (result.returncode, result.stdout) == (125, "")
    assert not path.exists()


def test_a_command_that_is_not_there_leaves_no_socket(directory):
    path = directory / "s"
    result = run("--listen", path, "no-such-command")
    assert result.returncode == 127
    assert not path.exists()


def test_a_start_that_finds_no_process_is_tried_again(start):
    """A fork that fails, with a client that waits meanwhile."""
    strace = ["strace", "-o", "/dev/null", "-e", "inject=clone:error=EAGAIN:when=1..2"]
    rebound = start(*VERBOSE, "--listen", ANY, "--max-delay", "1ms", *SERVER, wrapper=strace)
    (where,) = addresses(rebound)
    assert ask(where) == runs(rebound)[0]["pid"]
    assert [event["error"] for event in rebound.events("start_failed")] == [
        "fork: Resource temporarily unavailable"
    ] * 2


# --- Activated itself -----------------------------------------------------------------------

ACTIVATE = """
import os, socket, sys
names, count, pid, command = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:]
for fd in range(3, 3 + count):
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(fd != 4)
    keep = listener.detach()
    if keep != fd:
        os.dup2(keep, fd)
        os.close(keep)
    os.set_inheritable(fd, True)
    print("socket", fd, socket.socket(fileno=os.dup(fd)).getsockname()[1], flush=True)
os.environ["LISTEN_PID"] = str(os.getpid()) if pid == "own" else pid
os.environ["LISTEN_FDS"] = os.environ.get("COUNT", str(count))
os.environ["LISTEN_FDNAMES"] = names
os.environ["LISTEN_PIDFDID"] = "77"
os.execvp(command[0], command)
"""


def activate(names, count=2, pid="own"):
    return [sys.executable, "-c", ACTIVATE, names, str(count), pid]


def test_sockets_that_rebound_was_handed_come_first(start):
    rebound = start(*VERBOSE, "--listen", f"own={ANY}", *SERVER, wrapper=activate("web:"))
    (first,) = runs(rebound)
    ports = [int(line.split()[2]) for line in rebound.lines("socket")]
    assert [event["name"] for event in rebound.events("listening")] == ["web", "", "own"]
    crash(f"127.0.0.1:{ports[0]}")
    assert ask(f"127.0.0.1:{ports[0]}") != first["pid"]
    for run_ in runs(rebound, 2):
        assert run_["for_me"]
        assert run_["told"]["LISTEN_FDNAMES"] == "web::own"
        assert run_["told"].keys() == {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}
        assert [fd["where"][1] for fd in run_["fds"]][:2] == ports
        assert [fd["blocking"] for fd in run_["fds"]] == [True, False, True]
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143


def test_sockets_that_another_was_handed_are_not_ours(start):
    rebound = start(*VERBOSE, *SERVER, wrapper=activate("web:", pid="1"))
    (run_,) = runs(rebound)
    assert not run_["for_me"]
    assert run_["told"]["LISTEN_PID"] == "1"
    assert not rebound.events("listening")


@pytest.mark.parametrize("count", ["0", "-1", "x", ""])
def test_a_wrong_count_is_none(start, count):
    """What remains are the descriptors, which are passed on as any others, and no variables."""
    env = {**os.environ, "COUNT": count}
    rebound = start(*VERBOSE, *SERVER, wrapper=activate("web:"), env=env)
    (run_,) = runs(rebound)
    assert run_["told"] == {}
    assert {3, 4} <= set(run_["open"])


def test_a_descriptor_that_is_not_there_is_told(start):
    env = {**os.environ, "COUNT": "3"}
    rebound = start(*VERBOSE, *SERVER, wrapper=activate("a:b:c"), env=env)
    (run_,) = runs(rebound)
    assert run_["told"]["LISTEN_FDNAMES"] == "a:b"
    assert len(rebound.events("error")) == 1


def test_below_another_rebound(start):
    outer = ["env", f"REBOUND_OPTIONS=--listen=web={ANY}", REBOUND, *VERBOSE]
    rebound = start("-q", *SERVER, wrapper=["env", "-u", "REBOUND_OPTIONS", *outer, "--"])
    (where,) = addresses(rebound)
    (run_,) = runs(rebound)
    assert run_["for_me"]
    assert run_["told"]["LISTEN_FDNAMES"] == "web"
    assert ask(where) == run_["pid"]


# --- In Python ------------------------------------------------------------------------------


def test_the_library_gives_everything_back(directory):
    """No descriptor and no file is left after an error, or an end."""
    script = f"""
import os, rebound
before = os.listdir("/proc/self/fd")
path = {str(directory / "s")!r}
assert rebound.supervise(["true"], rebound.Config(listen=(path, "127.0.0.1:0"), fd_store=2)) == 0
assert os.listdir("/proc/self/fd") == before and not os.path.exists(path)
try:
    rebound.supervise(["true"], rebound.Config(listen=(path, "/no/such/s")))
except OSError as error:
    assert str(error).endswith("cannot listen at /no/such/s: No such file or directory"), error
else:
    raise AssertionError
assert os.listdir("/proc/self/fd") == before and not os.path.exists(path)
"""
    subprocess.run([*PYTHON[:1], "-c", script], check=True, timeout=DEADLINE)


def test_a_part_that_cannot_be_loaded_leaves_no_socket(directory):
    """What was made before it is undone."""
    path = directory / "s"
    script = f"""
import os, sys, rebound
from rebound import assembly
sys.modules["rebound.parts.notifysocket"] = None
before = os.listdir("/proc/self/fd")
try:
    rebound.supervise(["true"], rebound.Config(listen=({str(path)!r},), fd_store=2))
except ImportError:
    assert not os.path.exists({str(path)!r})
    assert os.listdir("/proc/self/fd") == before
else:
    raise AssertionError
"""
    subprocess.run([*PYTHON[:1], "-c", script], check=True, timeout=DEADLINE)
