"""`rebound --status` and `--restart-now`, and the socket between them and a living rebound."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from rebound.control.status import FIELDS
from tests.helpers import (
    DEADLINE,
    JSON,
    OTHER_USER,
    PID1,
    PYTHON,
    as_user,
    eventually,
    program,
    run,
)

ANOTHER_USER = [word.replace("54321", "54322") for word in OTHER_USER]
SLEEP = ["sh", "-c", "echo ready $REBOUND_RESTARTS $REBOUND_LAST_EXIT; exec sleep 1000"]
STUBBORN = program("notifier.py", "first[", "ignore:SIGTERM", "]", "announce", "asleep")


@pytest.fixture(autouse=True)
def own_directory(tmp_path, monkeypatch):
    """Nobody else's sockets."""
    directory = tmp_path / "run"
    monkeypatch.setenv("REBOUND_RUN_DIR", str(directory))
    return directory


def ready(rebound):
    """Wait until the command has announced itself, and there is a socket by its final name."""
    rebound.wait_ready()
    rebound.wait_until(lambda: list(Path(os.environ["REBOUND_RUN_DIR"]).glob("[0-9]*.sock")))


def status(*args):
    """The only rebound's status, and the exit status."""
    result = run("--status", "--json", *args)
    [fields] = json.loads(result.stdout)
    return fields, result.returncode


def state_is(state):
    def check():
        result = run("--status", "--json")
        return any(fields["state"] == state for fields in json.loads(result.stdout))

    return check


def answers_as(pid):
    return lambda: run("--status", pid).returncode == 0


@contextmanager
def listening(path):
    """Somebody who answers nothing, but takes connections."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield listener


@contextmanager
def answering(path, answers):
    """Somebody who gives these answers, by request."""

    def serve():
        while True:
            connection = listener.accept()[0]
            with connection:
                request = connection.recv(100)
                if request == b"end":
                    return
                if request:
                    connection.sendall(answers[request])

    with listening(path) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(path))
            last.send(b"end")
        thread.join(DEADLINE)


def connect(rebound, directory):
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(directory / f"{rebound.pid}.sock"))
    client.settimeout(DEADLINE)
    return client


# --- Status -------------------------------------------------------------------------------


def test_running(start):
    rebound = start(*SLEEP)
    ready(rebound)
    fields, code = status()
    assert code == 0
    assert fields["pid"] == rebound.pid
    assert fields["child_pid"] == rebound.children()[0].pid
    assert (fields["command"], fields["state"], fields["ok"]) == ("sh", "RUNNING", True)
    assert (fields["restarts"], fields["adopted"]) == (0, 0)
    for name in ("last_exit", "last_exit_text", "next_start", "health", "status", "ending"):
        assert fields[name] is None


def test_all_that_there_is_to_know(start):
    """After a crash, with an orphan, a status text and a health command."""
    words = ["first[", "exit:1", "]", "READY=1", "STATUS=serving 5 clients", "announce", "asleep"]
    command = " ".join(program("notifier.py", *(f"'{word}'" for word in words)))
    script = f"[ $REBOUND_RESTARTS = 1 ] || sleep 1000 & exec {command}"
    options = ["--watchdog", "1h", "--health-cmd", "true", "--health-interval", "50ms"]
    rebound = start(*options, "sh", "-c", script)
    ready(rebound)  # the second run; its first may have lasted for a check, too
    rebound.wait_until(lambda: status()[0]["health"] == "healthy")
    fields, code = status(rebound.pid)
    assert code == 0
    expected = {
        "restarts": 1,
        "last_exit": "exit:1",
        "last_exit_text": "exited with status 1",
        "health": "healthy",
        "status": "serving 5 clients",
        "adopted": 1,
    }
    assert expected.items() <= fields.items()
    lines = [line.split(None, 1) for line in run("--status").stdout.splitlines()]
    block = {label: text for label, text in lines if label.endswith(":")}
    assert block["pid:"] == str(rebound.pid)
    assert block["state:"].startswith("RUNNING for ")
    assert (block["status:"], block["health:"]) == ("serving 5 clients", "healthy")
    assert ["last", "exit: exited with status 1"] in lines
    other = start(*SLEEP)
    rebound.wait_until(lambda: run("--status", other.pid).returncode == 0)
    # There is no terminal.
    table = run("--status", env={**os.environ, "COLUMNS": "200"}).stdout.splitlines()
    heads = ["PID", "STATE", "SINCE", "RESTARTS", "LAST EXIT", "HEALTH", "ADOPTED"]
    assert re.split(" {2,}", table[0]) == [*heads, "COMMAND", "STATUS"]
    assert [len(re.split(" {2,}", line)) for line in table] == [9, 9, 9]
    narrow = run("--status").stdout.splitlines()
    assert all(len(line) <= 80 for line in narrow)
    assert len(narrow) == 3


def test_not_yet_ready(start):
    rebound = start("--watchdog", "1h", *program("notifier.py", "announce", "asleep"))
    ready(rebound)
    fields, code = status()
    assert (fields["state"], fields["ok"], code) == ("RUNNING", False, 1)
    assert "RUNNING (not ready)" in run("--status").stdout


def test_backing_off(start):
    start("-b1", "sh", "-c", "kill -SEGV $$")
    eventually(lambda: run("--status").returncode != 3)
    eventually(state_is("BACKOFF"))
    fields, code = status()
    assert code == 1
    assert fields["last_exit"] == "signal:SIGSEGV"
    assert 0 <= fields["next_start_in"] <= 60
    assert fields["child_pid"] is None
    assert "in " in run("--status").stdout


def test_hung(start):
    command = program("notifier.py", "ignore:SIGABRT", "asleep")
    rebound = start(*JSON, "--watchdog", "200ms", *command)
    rebound.wait_until(lambda: rebound.events("hung"))
    fields, code = status()
    assert (fields["state"], fields["ending"], code) == ("RESTARTING", "hung", 1)
    assert "RESTARTING (hung)" in run("--status").stdout


def test_shutting_down(start):
    rebound = start(*STUBBORN)
    ready(rebound)
    rebound.send(signal.SIGTERM)
    rebound.wait_until(state_is("STOPPING"))
    assert status()[1] == 1
    assert run("--restart-now").returncode == 1


def test_none(own_directory):
    for command in ("--status", "--restart-now"):
        result = run(command)
        assert (result.returncode, result.stderr) == (3, "")
        looked = f"{own_directory}: No such file or directory; abstract sockets: none"
        assert result.stdout == f"no rebound found: {looked} in this PID namespace\n"
        assert json.loads(run(command, "--json").stdout) == []
        result = run(command, 4711)
        assert (result.returncode, result.stderr) == (3, "")
        assert result.stdout == f"no rebound with pid 4711: {looked} of this pid\n"


def test_several(start):
    one, two = start(*SLEEP), start(*SLEEP)
    for rebound in (one, two):
        rebound.wait_ready()
        eventually(answers_as(rebound.pid))
    found = {fields["pid"] for fields in json.loads(run("--status", "--json").stdout)}
    assert found == {one.pid, two.pid}
    result = run("--restart-now")
    assert result.returncode == 125
    assert f"({min(found)}, {max(found)})" in result.stderr
    assert run("--restart-now", two.pid).returncode == 0
    two.wait_ready(2)
    assert len(one.lines("ready")) == 1


def test_as_pid_1(start):
    """As a probe sees it: another process of the same container."""
    rebound = start(*SLEEP, wrapper=PID1)
    ready(rebound)
    inside = ["nsenter", "--pid", "--mount", f"--target={rebound.pid}"]
    probe = [*inside, os.environ["REBOUND"], "--status", "--json"]
    result = subprocess.run(probe, capture_output=True, text=True, timeout=DEADLINE)
    assert (result.returncode, json.loads(result.stdout)[0]["pid"]) == (0, 1)


@pytest.mark.parametrize(
    "words",
    [
        *(["x"], ["1", "2"], ["-1"], ["1.5"], ["1", "--no-such-option"], ["--", "1", "sleep"]),
        *([""], ["0"], ["+5"], ["²"], ["007"], ["1" * 5000]),
        *(["\udcff"], ["1\n"], ["\x1b[2J" * 100]),
    ],
    ids=lambda words: ascii(words)[:30],
)
def test_what_is_no_pid(words):
    for command in ("--status", "--restart-now"):
        result = run(command, *words)
        assert (result.returncode, result.stderr.count("\n")) == (125, 1)
        assert len(result.stderr) < 300


@pytest.mark.parametrize("directory", ["", "relative", "/dev/null", "x" * 5000, "/tmp/a\nb\x1b[2J"])
def test_a_run_directory_that_is_none(monkeypatch, directory):
    monkeypatch.setenv("REBOUND_RUN_DIR", directory)
    for command in ("--status", "--restart-now"):
        result = run(command)
        assert (result.returncode, result.stderr, result.stdout.count("\n")) == (3, "", 1)
        assert "\x1b" not in result.stdout


def closed(stdout):
    """Give a command the write end of a pipe that nobody reads; or a stdout that is closed."""
    if stdout == "pipe":
        reader, writer = os.pipe()
        os.close(reader)
        return [], writer
    return ["sh", "-c", 'exec "$@" >&-', "sh"], os.open(os.devnull, os.O_WRONLY)


@pytest.mark.parametrize("stdout", ["closed", "pipe", "full"])
def test_an_output_that_cannot_be_written(stdout):
    wrapper, fd = ([], os.open("/dev/full", os.O_WRONLY)) if stdout == "full" else closed(stdout)
    command = [*wrapper, os.environ["REBOUND"], "--status"]
    result = subprocess.run(command, stdout=fd, stderr=subprocess.PIPE, text=True)
    os.close(fd)
    # The one file leaves SIGPIPE as it is.
    assert (result.returncode, result.stderr.count("\n")) in ((125, 1), (-signal.SIGPIPE, 0))


def test_options_after_the_pid(start):
    rebound = start(*SLEEP)
    ready(rebound)
    eventually(lambda: run("--status", rebound.pid, "--json").stdout.startswith("["))


def test_one_that_does_not_answer(start):
    rebound = start(*SLEEP)
    ready(rebound)
    rebound.send(signal.SIGSTOP)
    result = run("--status")
    assert (result.returncode, result.stdout) == (1, f"{rebound.pid}: no answer within 5 s\n")
    fields, code = status()
    assert fields == {"pid": rebound.pid, "ok": False, "error": "no answer within 5 s"}
    assert code == 1
    rebound.send(signal.SIGCONT)


WELL_FORMED = dict.fromkeys(FIELDS) | {"pid": 1, "command": "sh", "state": "RUNNING", "ok": True}
WELL_FORMED |= {"child_pid": 7, "since": "", "seconds": 2, "restarts": 0, "adopted": 0}


EMPTY: list[object] = []


def line(**fields):
    return json.dumps({**WELL_FORMED, **fields}).encode() + b"\n"


@pytest.mark.parametrize(
    "answer",
    [
        *(b"{}\n", b"[]\n", b"x\n", b"\xff\n", b"", b"\n", b"null\n", b"\0\n"),
        *(b"[" * 60_000 + b"\n", b'{"a":' * 10_000 + b"\n", b"x" * 300_000),
        *(b'{"error": 5}\n', b'{"error": null}\n', line() + line()),
        *(line(pid=True), line(pid="1"), line(pid=-1), line(command=None), line(ok=1)),
        *(
            line(seconds=value)
            for value in (None, "1", EMPTY, float("nan"), float("inf"), -1, 1e308)
        ),
        line().replace(b'"seconds": 2', b'"seconds": ' + b"1" * 5000),
        line().replace(b'"seconds": 2', b'"seconds": 1e999'),
    ],
    ids=lambda answer: ascii(answer[:30]),
)
def test_one_that_talks_nonsense(own_directory, answer):
    own_directory.mkdir()
    with answering(own_directory / "1.sock", {b"status\n": answer, b"restart\n": answer}):
        results = [run("--status"), run("--status", "--json")]
        results += [run("--restart-now"), run("--restart-now", "--json")]
    error = "its answer cannot be read" if answer else "it has closed the connection"
    fields = [{"pid": 1, "ok": False, "error": error}]
    assert [(result.returncode, result.stderr) for result in results] == [(1, "")] * 4
    assert results[0].stdout == f"1: {error}\n"
    assert results[2].stdout == f"not restarted: {error}\n"
    assert json.loads(results[1].stdout) == json.loads(results[3].stdout) == fields


EVIL, HARMLESS = "a\n\x1b[2J\ud800 \udcff\u202e", r"a\n\x1b[2J\ud800 \udcff\u202e"


def test_what_it_says_moves_no_cursor(own_directory):
    """Not even with the characters that no encoding has."""
    own_directory.mkdir()
    with answering(
        own_directory / "1.sock",
        {b"status\n": line(command=EVIL), b"restart\n": line(command=EVIL)},
    ):
        assert f"command:  {HARMLESS} (pid 7)" in run("--status").stdout.splitlines()
        assert json.loads(run("--status", "--json").stdout)[0]["command"] == EVIL
        assert run("--restart-now").stdout == f"restarted: {HARMLESS} (pid 7)\n"


def test_the_error_that_it_tells_is_shown(own_directory):
    own_directory.mkdir()
    error = json.dumps({"error": EVIL}).encode() + b"\n"
    with answering(own_directory / "1.sock", {b"status\n": error, b"restart\n": error}):
        result = run("--status")
        assert (result.returncode, result.stdout) == (1, f"1: {HARMLESS}\n")
        for command in ("--status", "--restart-now"):
            fields = json.loads(run(command, "--json").stdout)
            assert fields == [{"pid": 1, "ok": False, "error": EVIL}]
        result = run("--restart-now")
        assert (result.returncode, result.stdout) == (1, f"not restarted: {HARMLESS}\n")


def test_a_directory_of_any_name(monkeypatch):
    monkeypatch.setenv("REBOUND_RUN_DIR", "/tmp/no\udcff")
    result = run("--status", errors="surrogateescape")
    assert (result.returncode, result.stderr) == (3, "")


def test_files_that_are_no_sockets_are_left_alone(start, own_directory):
    """A symbolic link, too: it may lead to somebody else's."""
    own_directory.mkdir()
    for name in ("5.sock", "1.sock", ".1.sock"):
        (own_directory / name).write_text("x")
    os.mkfifo(own_directory / "6.sock")
    rebound = start("-v", *SLEEP, wrapper=PID1)
    eventually(lambda: run("--status", 1).returncode == 0)
    (own_directory / "7.sock").symlink_to("1-2.sock")
    names = [".1.sock", "1-2.sock", "1.sock", "5.sock", "6.sock", "7.sock"]
    assert sorted(os.listdir(own_directory)) == names
    assert len(json.loads(run("--status", "--json").stdout)) == 1
    for pid in (5, 6, 7):
        assert run("--status", pid).returncode == 3
        assert run("--restart-now", pid).returncode == 3
    rebound.send(signal.SIGTERM)
    rebound.wait()
    assert run("--status").returncode == 3
    names.remove("1-2.sock")
    assert sorted(os.listdir(own_directory)) == names


def test_an_ordinary_user_does_not_believe_another_one(own_directory):
    """Else whoever may make a socket in a shared directory could lie to all."""
    own_directory.mkdir()
    for directory in (own_directory, *own_directory.parents[:-2]):
        directory.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(own_directory / "4242.sock"))
        (own_directory / "4242.sock").chmod(0o666)
        fd = bound.fileno()
        code = f"import os, socket; socket.socket(fileno={fd}).listen(); print(); os.read(0, 1)"
        command = [*ANOTHER_USER, *PYTHON, "-uc", code]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, pass_fds=[fd], stdin=pipe, stdout=pipe) as other:
            assert other.stdout
            assert other.stdout.readline() == b"\n"
            result = run("--status", wrapper=OTHER_USER)
    assert (result.returncode, result.stdout) == (
        1,
        "4242: only its own user and root may ask it\n",
    )


# As with --cap-drop=all: access to files is by their modes.
POOR_ROOT = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-all"]


@pytest.mark.parametrize("uid", [54321, 65534])
def test_root_may_ask_everybody(start, own_directory, uid):
    own_directory.mkdir()
    own_directory.parent.chmod(0o755)
    os.chown(own_directory, uid, uid)
    rebound = start(*SLEEP, wrapper=as_user(uid))
    ready(rebound)
    for times, root in enumerate(([], POOR_ROOT), 2):
        fields = json.loads(run("--status", "--json", wrapper=root).stdout)
        assert [(one["pid"], one["state"]) for one in fields] == [(rebound.pid, "RUNNING")]
        assert run("--restart-now", wrapper=root).returncode == 0
        rebound.wait_ready(times)
    for command in ("--status", "--restart-now"):
        result = run(command, wrapper=ANOTHER_USER)
        assert (result.returncode, result.stderr) == (1, "")
        assert result.stdout.endswith(": only its own user and root may ask it\n")


def test_more_sockets_than_anybody_asks(own_directory):
    """One, linked again and again, makes a directory that nobody would be through with."""
    own_directory.mkdir()
    with listening(own_directory / "1.sock"):
        for pid in range(2, 600):
            os.link(own_directory / "1.sock", own_directory / f"{pid}.sock")
        for command in ("--status", "--restart-now"):
            result = run(command)
            assert (result.returncode, result.stderr.count("\n")) == (125, 1)
            assert "too many sockets" in result.stderr


# --- Restart ------------------------------------------------------------------------------


def test_restart(start, mode):
    """Neither -r, nor --restart never, nor a delay is about restarts that were asked for."""
    options = ["--restart", "never", "-r1", "-d", "1h", "-b1"]
    rebound = start(*JSON, *options, *SLEEP, wrapper=mode)
    ready(rebound)
    inside = ["nsenter", "--pid", "--mount", f"--target={rebound.pid}"] if mode else []
    for times in range(2, 6):
        command = [*inside, os.environ["REBOUND"], "--restart-now"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
        assert result.returncode == 0
        assert result.stdout.startswith("restarted: sh (pid ")
        rebound.wait_ready(times)
    assert rebound.lines("ready")[-1] == "ready 4 signal:SIGTERM"
    assert not rebound.events("delayed")
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143


def test_restart_of_a_run_that_ignores_the_term(start):
    """KILL after 10 s; the answer comes then."""
    rebound = start(*STUBBORN)
    ready(rebound)
    fields = json.loads(run("--restart-now", "--json").stdout)
    assert fields[0]["restarts"] == 1
    assert fields[0]["last_exit"] == "signal:SIGKILL"
    rebound.wait_ready(2)


def test_restart_ends_a_back_off(start, tmp_path):
    marker = tmp_path / "works"
    script = f"test -e {marker} && echo ready && exec sleep 1000; exit 3"
    rebound = start("-b1", "-d", "1h", "sh", "-c", script)
    rebound.wait_until(state_is("BACKOFF"))
    marker.touch()
    assert run("--restart-now").returncode == 0
    ready(rebound)
    assert status()[0]["restarts"] == 1


def test_restart_whose_exec_fails(start, tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho ready\nexec sleep 1000\n")
    program.chmod(0o755)
    rebound = start("--max-delay", "10ms", program)
    ready(rebound)
    program.rename(tmp_path / "away")
    result = run("--restart-now")
    assert (result.returncode, result.stdout) == (
        1,
        f"not restarted: exec {program}: No such file or directory\n",
    )
    (tmp_path / "away").rename(program)
    rebound.wait_ready(2)


def test_a_stop_answers_those_who_wait_for_a_restart(start):
    rebound = start(*JSON, *STUBBORN)
    ready(rebound)
    client = subprocess.Popen(
        [os.environ["REBOUND"], "--restart-now"], stdout=subprocess.PIPE, text=True
    )
    rebound.wait_until(lambda: rebound.events("restart_requested"))
    rebound.send(signal.SIGTERM)
    assert client.communicate(timeout=DEADLINE)[0] == "not restarted: shutting down\n"
    assert client.returncode == 1
    assert rebound.wait() == 137  # TERM is ignored, and the patience for the restart stays


def test_an_interrupt_ends_the_one_who_waits_without_a_word(start):
    rebound = start(*JSON, *STUBBORN)
    ready(rebound)
    with subprocess.Popen(
        [os.environ["REBOUND"], "--restart-now"], stderr=subprocess.PIPE
    ) as client:
        rebound.wait_until(lambda: rebound.events("restart_requested"))
        client.send_signal(signal.SIGINT)
        assert client.wait(DEADLINE) == -signal.SIGINT
        assert client.stderr
        assert client.stderr.read() == b""


# --- The socket ---------------------------------------------------------------------------


def test_the_socket_is_ours_alone_and_goes_with_us(start, own_directory):
    """Whatever the umask."""
    rebound = start(*SLEEP, umask=0o777)
    ready(rebound)
    path = own_directory / f"{rebound.pid}.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(own_directory.stat().st_mode) == 0o755
    assert os.listdir(own_directory) == [path.name]
    rebound.send(signal.SIGTERM)
    rebound.wait()
    assert os.listdir(own_directory) == []


def test_the_umask_of_the_command_is_the_inherited_one(start):
    rebound = start("sh", "-c", "umask; [ $REBOUND_RESTARTS = 2 ]", umask=0o27)
    assert rebound.wait() == 0
    assert rebound.lines() == ["0027"] * 3


def test_the_socket_of_a_killed_rebound_is_removed(start, own_directory):
    rebound = start(*SLEEP)
    ready(rebound)
    path = own_directory / f"{rebound.pid}.sock"
    rebound.popen.kill()
    rebound.wait()
    assert path.exists()
    assert run("--status").returncode == 3
    assert not path.exists()


def test_a_new_rebound_takes_the_name_of_a_killed_one(start, own_directory):
    """A container that is started again: the same pid, the same file system."""
    own_directory.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(own_directory / "1.sock"))
    rebound = start(*SLEEP, wrapper=PID1)
    rebound.wait_until(lambda: run("--status", 1).returncode == 0)
    assert os.listdir(own_directory) == ["1.sock"]


def inside(rebound):
    """What to put before a probe of this container."""
    return ["nsenter", "--pid", "--mount", f"--target={rebound.pid}"]


def test_two_pid_1_with_one_run_directory(start, own_directory):
    """Each of a container of its own: a probe finds its own one."""
    first = start(*JSON, "--watchdog=1h", *SLEEP, wrapper=PID1)
    first.wait_until(lambda: run("--status", 1).returncode == 1)  # it never is ready
    second = start(*JSON, *SLEEP, wrapper=PID1)
    second.wait_until(lambda: run("--status", wrapper=inside(second)).returncode == 0)
    assert run("--status", 1, wrapper=inside(second)).returncode == 0
    assert run("--status", wrapper=inside(first)).returncode == 1
    assert len(json.loads(run("--status", "--json").stdout)) == 2
    assert run("--restart-now", wrapper=inside(second)).returncode == 0
    second.wait_ready(2)
    assert not first.events("restart_requested")
    second.send(signal.SIGTERM)
    assert second.wait() == 143
    assert os.listdir(own_directory) == ["1.sock"]
    assert run("--status", wrapper=inside(first)).returncode == 1


def test_one_of_another_container_is_not_found(start, own_directory):
    first = start(*JSON, *SLEEP, wrapper=PID1)
    first.wait_until(lambda: run("--status", 1).returncode == 0)
    second = start(*JSON, *SLEEP, wrapper=PID1)
    second.wait_until(lambda: run("--status", wrapper=inside(second)).returncode == 0)
    (own_directory / "1-2.sock").unlink()
    for command in ("--status", "--restart-now"):
        result = run(command, 1, wrapper=inside(second))
        assert (result.returncode, result.stdout) == (
            3,
            (
                f"no rebound with pid 1: {own_directory}: 1 of another PID namespace; "
                "abstract sockets: none of this pid\n"
            ),
        )
    assert not first.events("restart_requested")


def test_two_pid_1_of_different_users(start, own_directory):
    """Neither may ask the other one, nor is that one's business."""
    own_directory.mkdir()
    own_directory.chmod(0o1777)
    for user in (OTHER_USER, ANOTHER_USER):
        rebound = start(*SLEEP, wrapper=[*PID1, *user])
        probe = [*inside(rebound), *user]
        rebound.wait_until(lambda probe=probe: run("--status", wrapper=probe).returncode == 0)
        assert run("--restart-now", wrapper=probe).returncode == 0
        rebound.wait_ready(2)
    assert sorted(os.listdir(own_directory)) == ["1-2.sock", "1.sock"]


def test_many_pid_1_that_start_at_one_moment(start, own_directory):
    """After a reboot, say: a socket is left there, which each finds to be nobody's."""
    own_directory.mkdir()
    for name in ("1.sock", "1-2.sock"):
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(own_directory / name))
    rebounds = [start(*SLEEP, wrapper=PID1) for _ in range(8)]
    for rebound in rebounds:
        rebound.wait_until(lambda r=rebound: run("--status", wrapper=inside(r)).returncode == 0)
    names = {"1.sock", *(f"1-{number}.sock" for number in range(2, 9))}
    assert set(os.listdir(own_directory)) == names


def test_an_empty_variable_switches_it_off(start):
    rebound = start(*JSON, "-v", *SLEEP, env={**os.environ, "REBOUND_RUN_DIR": ""})
    rebound.wait_ready()
    assert not any(c.laddr for c in psutil.Process(rebound.pid).net_connections("unix"))
    rebound.wait_until(lambda: rebound.events("started"))
    assert not rebound.events("no_control")


# --- Bad clients --------------------------------------------------------------------------


def test_slow_silent_and_flooding_clients_cost_only_their_own(start, own_directory):
    rebound = start("-b0", *SLEEP)
    ready(rebound)
    silent = [connect(rebound, own_directory) for _ in range(100)]
    slow = connect(rebound, own_directory)
    slow.send(b"sta")
    flooding = connect(rebound, own_directory)
    try:
        for _ in range(1000):
            flooding.send(b"x" * 10_000)
    except (BrokenPipeError, ConnectionResetError):
        pass
    else:
        raise AssertionError("a flood was taken")
    assert status()[1] == 0
    slow.send(b"tus\n")
    assert b'"RUNNING"' in slow.recv(4096)
    rebound.children()[0].kill()
    rebound.wait_ready(2)
    assert psutil.Process(rebound.pid).num_fds() < 30
    for client in (*silent, slow, flooding):
        client.close()
    rebound.wait_until(lambda: psutil.Process(rebound.pid).num_fds() < 12)
    assert status()[0]["restarts"] == 1
    cpu = psutil.Process(rebound.pid).cpu_times()
    assert cpu.user + cpu.system < DEADLINE


HANG_UP = """
import socket, sys
for _ in range(500):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(sys.argv[1])
"""


def test_clients_that_hang_up_at_once(start, own_directory):
    """Many of them: some are dropped for others in the moment in which they do."""
    rebound = start(*JSON, "-b0", *SLEEP)
    ready(rebound)
    path = own_directory / f"{rebound.pid}.sock"
    clients = [subprocess.Popen(["python3", "-c", HANG_UP, path]) for _ in range(20)]
    for client in clients:
        assert client.wait(DEADLINE) == 0
    assert status()[1] == 0
    rebound.children()[0].kill()
    rebound.wait_ready(2)
    assert not rebound.events("internal_error")


def test_a_client_that_has_no_more_to_say_still_listens(start, own_directory):
    """As `nc -N` does."""
    rebound = start(*SLEEP)
    ready(rebound)
    with connect(rebound, own_directory) as client:
        client.send(b"restart\n")
        client.shutdown(socket.SHUT_WR)
        assert json.loads(client.recv(4096))["restarts"] == 1


def test_who_waits_for_a_restart_keeps_nobody_from_asking(start, own_directory):
    rebound = start(*STUBBORN)
    ready(rebound)
    clients = []
    for _ in range(10):
        clients.append(connect(rebound, own_directory))
        clients[-1].send(b"restart\n")
    assert status()[0]["ending"] == "requested"
    answers = [json.loads(client.recv(4096)) for client in clients]
    assert [answer.get("error") for answer in answers].count("too many wait for a restart") == 2
    for client in clients:
        client.close()


@pytest.mark.parametrize("request_line", [b"\n", b"stop\n", b"status", b"\0" * 64, b"status " * 20])
def test_wrong_requests(start, own_directory, request_line):
    rebound = start(*SLEEP)
    ready(rebound)
    with connect(rebound, own_directory) as client:
        client.send(request_line)
        client.shutdown(socket.SHUT_WR)
        try:
            assert client.recv(1000) in (b"", b'{"error": "unknown request"}\n')
        except ConnectionResetError:
            pass
    assert status()[1] == 0


def test_other_users_are_strangers(start, own_directory):
    """Even if somebody has opened the file to them."""
    rebound = start(*JSON, *SLEEP)
    ready(rebound)
    path = own_directory / f"{rebound.pid}.sock"
    for directory in (own_directory, *own_directory.parents[:-2]):
        directory.chmod(0o755)
    path.chmod(0o666)
    command = [*OTHER_USER, os.environ["REBOUND"], "--restart-now"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert result.returncode == 1
    assert result.stdout == "not restarted: only its own user and root may ask it\n"
    # A client of their own may send what it likes.
    code = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
    code += "s.send(b'restart\\n'); print(s.recv(1))"
    taken = subprocess.run([*OTHER_USER, *PYTHON, "-c", code, path], capture_output=True)
    assert b"{" not in taken.stdout
    assert len(rebound.lines("ready")) == 1
    assert not rebound.events("restart_requested")


def test_without_descriptors_it_neither_spins_nor_dies(start, own_directory):
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (14, 14))  # noqa: E731
    rebound = start("-b0", *SLEEP, preexec_fn=limit)
    ready(rebound)
    silent = [connect(rebound, own_directory) for _ in range(12)]
    rebound.children()[0].kill()
    rebound.wait_ready(2)
    process = psutil.Process(rebound.pid)
    rebound.wait_until(lambda: process.status() == psutil.STATUS_SLEEPING)
    for client in silent:
        client.close()
    rebound.wait_until(lambda: run("--status").returncode in (0, 3))
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143


def test_the_command_inherits_none_of_it(start):
    rebound = start("--watchdog=1h", "sh", "-c", "ls -l /proc/self/fd; echo ready; exec sleep 1000")
    ready(rebound)
    assert "socket:" not in rebound.stdout


def test_the_uid_of_strangers_gives_no_orders(start, tmp_path):
    """In a user namespace without us, a rebound has the uid that we have there, too."""
    env = {**os.environ, "REBOUND_RUN_DIR": str(tmp_path / "run")}
    rebound = start(*JSON, "sleep", "1000", wrapper=["unshare", "--user"], env=env)
    rebound.wait_until(lambda: list((tmp_path / "run").glob("[0-9]*.sock")))
    assert psutil.Process(rebound.pid).uids().real == os.getuid() == 0
    result = run("--restart-now", env=env)
    assert result.returncode == 1
    assert not rebound.events("restart_requested")
