"""The descriptor store of rebound's own service manager, below `--notify --fd-store`."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

import pytest

from tests.helpers import DEADLINE, JSON

COMMAND = """
import json, os, signal, socket, sys
names = os.environ.get("LISTEN_FDNAMES", "").split(":") if "LISTEN_FDS" in os.environ else []
kept = {}
for fd, name in enumerate(names, 3):
    if name.startswith("state"):
        kept[name] = os.pread(fd, 100, 0).decode()
print("ready", json.dumps([names, kept, os.environ.get("LISTEN_PID") == str(os.getpid())]), flush=True)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.connect(os.environ["NOTIFY_SOCKET"])
    for word in sys.argv[1:]:
        if word.startswith("remove="):
            notify.send(f"FDSTOREREMOVE=1\\nFDNAME={word[7:]}".encode())
        elif word not in names:
            memfd = os.memfd_create(word)
            os.write(memfd, f"this is {word}".encode())
            socket.send_fds(notify, [f"FDSTORE=1\\nFDNAME={word}\\nFDPOLL=0".encode()], [memfd])
            os.close(memfd)
    notify.send(b"READY=1")
signal.pause()
"""
OPTIONS = [*JSON, "-v", "--notify", "--fd-store", "8"]

HAND_OVER = """
import os, sys
fds, names, command = sys.argv[1].split(","), sys.argv[2], sys.argv[3:]
for target, fd in enumerate(fds, 3):
    os.dup2(int(fd), 100 + target)
for target in range(3, 3 + len(fds)):
    os.dup2(100 + target, target)
    os.close(100 + target)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=names)
os.execvp(command[0], command)
"""


@pytest.fixture
def manager():
    """A service manager's socket, with a name that the kernel picks."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("")
        listener.settimeout(DEADLINE)
        yield listener


def environment(manager, **more):
    name = manager.getsockname()[1:].decode()
    return {**os.environ, "NOTIFY_SOCKET": f"@{name}", **more}


def next_for_store(manager):
    """The next message for the store, with the contents of its descriptor."""
    while True:
        data, fds, _flags, _address = socket.recv_fds(manager, 4096, 253)
        contents = [os.pread(fd, 100, 0).decode() for fd in fds]
        for fd in fds:
            os.close(fd)
        if b"FDSTORE" in data:
            return data.decode().split("\n"), contents


def command(*words):
    return [sys.executable, "-c", COMMAND, *words]


def test_what_a_run_stores_reaches_the_manager(start, manager):
    start(*OPTIONS, *command("state", "remove=other"), env=environment(manager, FDSTORE="16"))
    stored = (["FDSTORE=1", "FDNAME=state", "FDPOLL=0"], ["this is state"])
    assert next_for_store(manager) == stored
    assert next_for_store(manager) == (["FDSTOREREMOVE=1", "FDNAME=other"], [])


def test_without_a_store_it_does_not(start, manager):
    rebound = start(*OPTIONS, *command("state"), env=environment(manager))
    rebound.wait_until(lambda: rebound.events("fd_stored"))
    rebound.wait_until(lambda: rebound.events("ready"))
    rebound.send(signal.SIGTERM)
    rebound.wait()
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        next_for_store(manager)


def test_it_comes_back_after_rebound_itself_was_killed(start, manager):
    """To the command's store, behind the sockets; and what is there is not stored again."""
    memfd = os.memfd_create("state")
    os.write(memfd, b"from before")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fds = f"{listener.fileno()},{memfd}"
        wrapper = [sys.executable, "-c", HAND_OVER, fds, "web:state"]
        env = environment(manager, FDSTORE="16")
        options = [*OPTIONS, "--listen", "own=127.0.0.1:0"]
        rebound = start(
            *options,
            *command("state", "state2"),
            wrapper=wrapper,
            env=env,
            pass_fds=[listener.fileno(), memfd],
        )
        os.close(memfd)
        rebound.wait_ready()
        seen = [json.loads(line.partition(" ")[2]) for line in rebound.lines("ready")]
        assert seen == [[["web", "own", "state"], {"state": "from before"}, True]]
        assert next_for_store(manager)[1] == ["this is state2"]
        rebound.wait_until(lambda: rebound.events("ready"))
        rebound.children()[0].kill()
        rebound.wait_ready(2)
        last = json.loads(rebound.lines("ready")[1].partition(" ")[2])
        assert last[0] == ["web", "own", "state", "state2"]
        assert [event["count"] for event in rebound.events("fd_stored")] == [1, 2]


def test_a_manager_that_does_not_read_holds_nothing_up(start, manager):
    """What it should keep waits for it; a stop does not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        filled = 0
        try:
            while True:
                other.sendto(b"X", manager.getsockname())
                filled += 1
        except BlockingIOError:
            pass
    env = environment(manager, FDSTORE="16")
    rebound = start(*OPTIONS, *command("state1", "state2"), env=env)
    rebound.wait_until(lambda: len(rebound.events("fd_stored")) == 2)
    for _ in range(filled):
        manager.recv(10)
    assert next_for_store(manager)[1] == ["this is state1"]
    assert next_for_store(manager)[1] == ["this is state2"]
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
