"""Where the NOTIFY_SOCKET is, who can send to it, and what strangers can do there."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.conftest import open_directory
from tests.e2e.test_watchdog import notifier, statuses, told
from tests.helpers import JSON, OTHER_USER, PID1, PYTHON, eventually, run

STRANGER = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--inh-caps=-all"]
"""Another user, without any privilege."""


@pytest.fixture
def directory(monkeypatch):
    """A run directory of the test's own, as /run/rebound is one."""
    with open_directory() as directory:
        monkeypatch.setenv("REBOUND_RUN_DIR", str(directory / "run"))
        yield directory / "run"


def names(directory):
    return sorted(path.name for path in directory.glob("*.notify"))


# --- A path -------------------------------------------------------------------------------


def test_a_client_that_knows_only_paths(start, mode):
    script = """
import sd_notify
notifier = sd_notify.Notifier()
notifier.ready()
notifier.notify()
notifier.status("well")
input()
"""
    command = [sys.executable, "-c", script]
    rebound = start(*JSON, "-v", "-r1", "--watchdog", "1h", *command, wrapper=mode)
    rebound.wait_until(lambda: statuses(rebound) == ["well"])


def test_a_command_that_has_become_another_user(start, directory, mode):
    """It has not even the right to pass through closed directories."""
    script = (
        "echo ready NOTIFY_SOCKET=$NOTIFY_SOCKET; systemd-notify --status=well && exec sleep 1000"
    )
    command = [*STRANGER, "sh", "-c", script]
    rebound = start(*JSON, "-v", "--watchdog", "1h", *command, wrapper=mode)
    rebound.wait_until(lambda: statuses(rebound) == ["well"])
    [line] = rebound.lines("ready")
    assert line.removeprefix("ready NOTIFY_SOCKET=").startswith(f"{directory}/")


def test_each_run_has_its_own_path_which_goes_with_it(start, directory):
    rebound = start("--watchdog", "20s", "-b0", "-r3", *notifier("announce", "exit:1"))
    assert rebound.wait() == 1
    addresses = told(rebound, "NOTIFY_SOCKET")
    assert len(set(addresses)) == 4
    assert all(Path(address).parent == directory for address in addresses)
    assert os.listdir(directory) == []


def test_a_relative_directory_and_links(start, directory, tmp_path):
    """The address is absolute, and the command may have no way through the link."""
    (tmp_path / "link").symlink_to(directory.parent)
    env = {**os.environ, "REBOUND_RUN_DIR": "link/run"}
    rebound = start("--watchdog", "1h", *notifier("announce", "asleep"), env=env, cwd=tmp_path)
    rebound.wait_ready()
    [address] = told(rebound, "NOTIFY_SOCKET")
    assert Path(address).parent == directory


def test_an_own_directory_of_another_user_than_root(start, directory):
    """Its command is the same user."""
    directory.mkdir(mode=0o700)
    os.chown(directory, 54321, 54321)
    command = notifier("announce", "STATUS=well", "asleep")
    rebound = start(*JSON, "-v", "--watchdog", "1h", *command, wrapper=OTHER_USER)
    rebound.wait_until(lambda: statuses(rebound) == ["well"])
    assert told(rebound, "NOTIFY_SOCKET")[0].startswith(f"{directory}/")


SENDING_DAEMON = """
import os, signal, socket, sys, time
if os.environ["REBOUND_RESTARTS"] == "0":
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        address = os.environ["NOTIFY_SOCKET"]
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        while True:
            try:
                sender.sendto(b"WATCHDOG=1", address)
                print("sent", flush=True)
                os.write(writer, b".")
            except OSError:
                print("no more", flush=True)
            time.sleep(0.02)  # goes on trying, as a daemon does
    os.read(reader, 1)
    sys.exit(1)
print("ready", flush=True)
if os.environ["REBOUND_LAST_EXIT"] != "hung":
    signal.pause()
"""


def test_the_daemon_of_an_earlier_run_speaks_for_no_later_one(start):
    rebound = start(*JSON, "--watchdog", "1s", *PYTHON, "-c", SENDING_DAEMON)
    rebound.wait_ready(2)
    assert rebound.lines("sent")
    assert rebound.lines("no more")
    assert rebound.events("hung")


def test_a_thousand_restarts_leave_nothing(start, directory):
    script = '[ "$REBOUND_RESTARTS" = {} ] || exit 1; echo ready; exec sleep 1000'
    few = start("--watchdog", "1h", "-b0", "sh", "-c", script.format(1))
    many = start("--watchdog", "1h", "-b0", "sh", "-c", script.format(1000))
    for rebound in (few, many):
        rebound.wait_ready()
    # Each has one for --status, which is made after the first start.
    eventually(lambda: len(os.listdir(directory)) == 4)
    assert len(names(directory)) == 2
    # What is open for a moment after the first start is closed again.
    few_fds, many_fds = (psutil.Process(rebound.pid).num_fds for rebound in (few, many))
    eventually(lambda: few_fds() == many_fds())


def test_what_a_killed_rebound_left_behind_is_removed(start, directory):
    """But not what is in use, nor what is no socket of rebound's."""
    killed, lives = (start("--watchdog", "1h", *notifier("announce", "asleep")) for _ in range(2))
    for rebound in (killed, lives):
        rebound.wait_ready()
    [left] = told(killed, "NOTIFY_SOCKET")
    used = told(lives, "NOTIFY_SOCKET")
    children = killed.children()
    killed.popen.kill()
    killed.popen.wait()
    for child in children:
        child.kill()
    (directory / "1-f.notify").touch()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(directory / "theirs.notify"))
    rebound = start("--watchdog", "1h", *notifier("announce", "asleep"))
    rebound.wait_until(lambda: not os.path.exists(left))
    rebound.wait_ready()
    used += told(rebound, "NOTIFY_SOCKET")
    expected = ["1-f.notify", "theirs.notify", *map(os.path.basename, used)]
    assert names(directory) == sorted(expected)


def test_the_client_for_status_does_not_take_it_for_a_rebound(start, directory):
    rebound = start("--watchdog", "1h", *notifier("announce", "READY=1", "asleep"))
    rebound.wait_until(lambda: run("--status").returncode == 0)
    assert names(directory)
    assert len(json.loads(run("--status", "--json").stdout)) == 1


# --- No path ------------------------------------------------------------------------------

READ_ONLY = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o ro none "$0" && exec "$@"']


@pytest.mark.parametrize(
    "how", ["off", "read-only", "closed", "closed above", "too long", "a file", "another user's"]
)
def test_where_there_can_be_no_path(start, directory, how):
    """The command can tell that it lives, all the same; -v says why."""
    wrapper, used = [], directory
    directory.mkdir()
    if how == "off":
        used = ""
    elif how == "read-only":
        wrapper = [*READ_ONLY, directory]
    elif how == "closed":
        directory.chmod(0o750)
    elif how == "closed above":
        directory.chmod(0o700)
        used = directory / "deeper"
    elif how == "too long":
        used = directory / ("x" * 90)
    elif how == "a file":
        used = directory / "file"
        used.touch()
    else:
        wrapper = OTHER_USER
    env = {**os.environ, "REBOUND_RUN_DIR": str(used)}
    beats = ["WATCHDOG=1", "sleep:0.05"] * 30
    command = notifier("announce", *beats, "exit:0")
    options = ["-v", "-r2", *JSON, "--watchdog", "1s"]
    rebound = start(*options, *command, env=env, wrapper=[*map(str, wrapper)])
    assert rebound.wait() == 0
    [address] = told(rebound, "NOTIFY_SOCKET")
    assert address.startswith("@")
    assert len(rebound.events("no_notify_path")) == 1


# --- Floods -------------------------------------------------------------------------------

FLOOD = """
import socket, sys
address = sys.argv[1].replace("@", chr(0), 1)
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
number = 0
while True:
    try:
        sender.sendto(b"WATCHDOG=1", address)
    except OSError:
        break
    number += 1
    if number == 1000:
        print("flooding", flush=True)
"""


@pytest.fixture
def flood():
    """Have a stranger send as fast as it can; return once it does."""
    with ExitStack() as stack:

        def flood(address, *wrapper):
            command = [*wrapper, *PYTHON, "-c", FLOOD, address]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
            stack.callback(process.kill)
            assert process.stdout
            assert process.stdout.readline() == b"flooding\n"

        yield flood


@pytest.mark.parametrize("who", ["another container", "another user"])
def test_strangers_do_not_have_a_command_restarted(start, flood, who, monkeypatch, tmp_path):
    """Its keep-alives may have found no room; it is silent here for thrice its time."""
    wrapper, stranger = [], OTHER_USER
    if who == "another container":
        # In the same network namespace, as in a pod.
        monkeypatch.setenv("REBOUND_RUN_DIR", "")
        wrapper, stranger = PID1, []
    words = ["announce", f"await:{tmp_path}/flooded", "WATCHDOG_USEC=500000", "sleep:1.6"]
    words += ["READY=1", "print:survived", "exit:0"]
    options = ["-r1", *JSON, "--watchdog", "1h"]
    rebound = start(*options, *notifier(*words), wrapper=wrapper)
    rebound.wait_ready()
    flood(told(rebound, "NOTIFY_SOCKET")[0], *stranger)
    (tmp_path / "flooded").touch()
    assert rebound.wait() == 0
    assert rebound.lines("survived")
    assert len(rebound.lines("ready")) == 1
    assert len(rebound.events("flooded")) == 1


def test_strangers_do_not_keep_what_hangs(start, flood, tmp_path):
    words = ["first[", "announce", f"await:{tmp_path}/flooded", "WATCHDOG_USEC=200000", "asleep"]
    rebound = start("--watchdog", "1h", *notifier(*words, "]", "announce", "exit:0"))
    rebound.wait_ready()
    flood(told(rebound, "NOTIFY_SOCKET")[0], *OTHER_USER)
    (tmp_path / "flooded").touch()
    assert rebound.wait() == 0
    assert told(rebound, "REBOUND_LAST_EXIT") == ["None", "hung"]
