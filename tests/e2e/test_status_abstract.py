"""`rebound --status` and `--restart-now` where there is no run directory: an abstract socket.

Its name belongs to the network namespace, which a pod's containers share.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from contextlib import ExitStack

import pytest

from tests.helpers import DEADLINE, JSON, OTHER_USER, PID1, PYTHON, Supervised, as_user, run

ANOTHER_USER = as_user(54322)
SLEEP = ["sh", "-c", "echo ready $REBOUND_RESTARTS; exec sleep 1000"]
NOWHERE = {**os.environ, "REBOUND_RUN_DIR": "/dev/null/run"}
POD = ["env", "REBOUND_RUN_DIR=/dev/null/run"]
READ_ONLY = 'mount -t tmpfs none "$0" && mount -o remount,ro "$0" && exec "$@"'
WITHOUT_PROC = ["sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]


def inside(rebound: Supervised) -> list[str]:
    """What to put before a probe of this container, which has no run directory either."""
    return ["nsenter", "--pid", "--mount", f"--target={rebound.pid}", *POD]


def listens(rebound):
    """Wait until it does, at an abstract name; give that, with the NUL."""
    rebound.wait_until(lambda: rebound.events("no_control_path"))
    [event] = rebound.events("no_control_path")
    return "\0" + event["msg"].partition("@")[2].partition(",")[0]


@pytest.mark.parametrize("how", ["a file", "no parent", "too long", "another user's", "read-only"])
def test_no_run_directory(start, tmp_path, how):
    """It works, and says so only with -v."""
    directory, wrapper, owner = tmp_path / "run", [], []
    if how == "a file":
        directory.touch()
    elif how == "no parent":
        directory /= "deeper/still"
    elif how == "too long":
        directory /= "x" * 100
    else:
        directory.mkdir(mode=0o755)
    if how == "another user's":
        wrapper = owner = OTHER_USER
    elif how == "read-only":
        wrapper = ["unshare", "--mount", "sh", "-c", READ_ONLY, str(directory)]
    env = {**os.environ, "REBOUND_RUN_DIR": str(directory)}
    rebound = start(*JSON, "-v", *SLEEP, env=env, wrapper=wrapper)
    name = listens(rebound)
    assert name == f"\0rebound/{os.stat('/proc/self/ns/pid').st_ino}/{rebound.pid}"
    for client in ([], owner):
        for words in ([], [rebound.pid]):
            result = run("--status", "--json", *words, wrapper=client, env=env)
            assert (result.returncode, json.loads(result.stdout)[0]["pid"]) == (0, rebound.pid)
    for times, client in enumerate([[], owner], 2):
        assert run("--restart-now", wrapper=client, env=env).returncode == 0
        rebound.wait_ready(times)
    for command in ("--status", "--restart-now"):
        result = run(command, wrapper=ANOTHER_USER, env=env)
        assert result.returncode == 1
        assert result.stdout.endswith(": only its own user and root may ask it\n")
    rebound.popen.kill()
    rebound.wait()
    result = run("--status", env=env)
    assert (result.returncode, result.stdout.count("\n")) == (3, 1)
    quiet = start(*JSON, "-r1", "false", env=env, wrapper=wrapper)
    assert quiet.wait() == 1
    assert not quiet.events("no_control_path")


def test_without_proc(start):
    """As in an empty root: the name has no namespace, and the client guesses PID 1."""
    rebound = start(*JSON, "-v", *SLEEP, env=NOWHERE, wrapper=[*PID1, *WITHOUT_PROC])
    assert listens(rebound) == "\0rebound/0/1"
    probe = inside(rebound)
    for words in (["--status"], ["--status", 1], ["--restart-now"]):
        assert run(*words, wrapper=probe).returncode == 0
    result = run("--status", 7, wrapper=probe)
    assert (result.returncode, result.stdout) == (
        3,
        (
            "no rebound with pid 7: /dev/null/run: Not a directory; "
            "abstract sockets: cannot be listed (No such file or directory), none of pid 7\n"
        ),
    )


def test_two_containers_with_one_network(start):
    """Each probe finds its own; root of the one gives the other no orders."""
    pair = [start(*JSON, "-v", *SLEEP, env=NOWHERE, wrapper=PID1) for _ in range(2)]
    names = [listens(rebound) for rebound in pair]
    assert names[0] != names[1]
    for rebound in pair:
        for words in ([], [1]):
            assert run("--restart-now", *words, wrapper=inside(rebound)).returncode == 0
        rebound.wait_ready(3)
    with socket.socket(socket.AF_UNIX) as stranger:  # root, but not below them
        stranger.connect(names[0])
        stranger.settimeout(DEADLINE)
        try:
            stranger.send(b"restart\n")
            assert not stranger.recv(1)
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert [len(rebound.events("restart_requested")) for rebound in pair] == [2, 2]
    # Their outer namespace has neither of them.
    assert run("--status", env=NOWHERE).returncode == 3


LOOK_ALIKE = """
import os, socket, sys
where = os.stat("/proc/self/ns/pid").st_ino
sockets = [socket.socket(socket.AF_UNIX) for _ in range(2)]
for one, name in zip(sockets, (f"1-{os.getpid() + 1000}", os.getpid())):
    one.bind(f"\\0rebound/{where}/{name}")
    one.listen()
print("ready", flush=True)
sys.stdin.read()
"""


def test_squatters(start, tmp_path):
    """Neither who was first, nor 500 of them, nor another user of our container hides it."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    wait = ["sh", "-c", 'read go <"$0" && exec "$@"', str(fifo)]
    rebound = start(*JSON, "-v", *SLEEP, env=NOWHERE, wrapper=[*PID1, *wait])
    waiting = rebound.wait_until(lambda: rebound.find("sh"))
    space = os.stat(f"/proc/{waiting.pid}/ns/pid").st_ino
    probe = ["nsenter", "--pid", "--mount", f"--target={waiting.pid}", *POD, *OTHER_USER]
    with ExitStack() as stack:

        def squat(number):
            name = f"1-{number}" if number > 1 else "1"
            squatter = stack.enter_context(socket.socket(socket.AF_UNIX))
            squatter.bind(f"\0rebound/{space}/{name}")
            squatter.listen(0)
            if number % 100 == 0:  # its queue is full
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.connect(squatter.getsockname())

        for number in range(1, 500):
            squat(number)
        result = run("--status", wrapper=probe)
        assert result.returncode == 3
        assert "of other processes\n" in result.stdout
        fifo.write_text("go\n")
        assert int(listens(rebound).rpartition("-")[2]) >= 500
        look_alike = [*probe, *PYTHON, "-c", LOOK_ALIKE]
        pipe = subprocess.PIPE
        with subprocess.Popen(look_alike, stdin=pipe, stdout=pipe) as liar:
            assert liar.stdout
            assert liar.stdout.readline() == b"ready\n"
            for client, code in ((inside(rebound), 0), ([*inside(rebound), *ANOTHER_USER], 1)):
                result = run("--status", "--json", 1, wrapper=client)
                answers = json.loads(result.stdout)
                assert [answer["pid"] for answer in answers] == [1]
                assert result.returncode == code
            assert run("--restart-now", 1, wrapper=inside(rebound)).returncode == 0
            liar.stdin.close()  # type: ignore[union-attr]
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
