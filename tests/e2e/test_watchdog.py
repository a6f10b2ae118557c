"""The sd_notify(3) protocol: keep-alives from the command, and what our own manager is told."""

from __future__ import annotations

import array
import os
import shutil
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from tests.helpers import DEADLINE, JSON, OTHER_USER, PID1, PYTHON, program


def notifier(*words):
    return program("notifier.py", *words)


def told(rebound, name):
    """What the runs so far were told in an environment variable."""
    words = [
        dict(word.split("=", 1) for word in line.split()[2:]) for line in rebound.lines("ready")
    ]
    return [run[name] for run in words]


def statuses(rebound):
    """What its runs have said of themselves, as the log tells with -v."""
    return [event["status"] for event in rebound.events("status")]


def send(address, message, *ancillary, timeout=DEADLINE):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(timeout)
        sender.sendmsg([message], ancillary, 0, address.replace("@", "\0", 1))


# --- Hung runs ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["busy", "asleep"])
def test_a_run_that_hangs_is_started_again(start, mode, how):
    command = notifier("announce", "READY=1", "first[", how, "]", "keep:0.05")
    rebound = start(*JSON, "--watchdog", "1s", *command, wrapper=mode)
    rebound.wait_ready(2)
    assert told(rebound, "REBOUND_LAST_EXIT") == ["None", "hung"]
    hung, end = rebound.events("hung")[0], rebound.events("exited")[0]
    assert hung["pid"] == end["pid"]
    assert hung["reason"] == "no keep-alive for 1s"
    assert (end["reason"], end["signal"]) == ("hung", "SIGABRT")
    assert end["run_time"] >= 1
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143


def test_a_run_that_is_alive_is_left_alone(start):
    """For many times the watchdog's time."""
    beats = ["WATCHDOG=1", "sleep:0.05"] * 40
    rebound = start(
        "--watchdog", "500ms", *notifier("announce", *beats, "print:survived", "exit:0")
    )
    assert rebound.wait() == 0
    assert rebound.lines("survived")
    assert len(rebound.lines("ready")) == 1


def test_silence_is_not_forgiven_for_other_messages(start):
    """The negative control of the one before."""
    words = ["STATUS=busy", "sleep:0.05"] * 60
    rebound = start("--watchdog", "500ms", *notifier("announce", "first[", *words, "]", "asleep"))
    rebound.wait_ready(2)
    assert told(rebound, "REBOUND_LAST_EXIT")[1] == "hung"


def test_a_run_that_ignores_the_abort_is_killed(start):
    """After 5 s."""
    command = notifier("ignore:SIGABRT", "announce", "first[", "asleep", "]", "exit:0")
    rebound = start(*JSON, "--watchdog", "300ms", *command)
    assert rebound.wait() == 0
    assert told(rebound, "REBOUND_LAST_EXIT")[1] == "hung"
    [killing], [end, _] = rebound.events("killing_child"), rebound.events("exited")
    assert killing["pid"] == end["pid"]
    assert (end["reason"], end["signal"]) == ("hung", "SIGKILL")


def test_a_stopped_run_is_aborted_all_the_same(start):
    command = notifier("announce", "first[", "READY=1", "asleep", "]", "keep:0.05")
    rebound = start(*JSON, "--watchdog", "1s", *command)
    rebound.wait_ready()
    rebound.children()[0].suspend()
    rebound.wait_ready(2)
    assert rebound.events("exited")[0]["signal"] == "SIGABRT"


def test_a_slow_start_that_asks_for_more_time(start):
    words = ["EXTEND_TIMEOUT_USEC=30000000", "sleep:1.5", "READY=1", "print:loaded", "exit:0"]
    rebound = start("--watchdog", "300ms", *notifier("announce", *words))
    assert rebound.wait() == 0
    assert rebound.lines("loaded")


def test_a_run_that_says_itself_that_it_is_broken(start):
    command = notifier("announce", "first[", "WATCHDOG=trigger", "asleep", "]", "exit:0")
    rebound = start(*JSON, "--watchdog", "1h", *command)
    assert rebound.wait() == 0
    [hung] = rebound.events("hung")
    assert hung["reason"] == "it says so (WATCHDOG=trigger)"


def test_a_hung_run_is_a_rapid_failure_like_any_other(start):
    options = [*JSON, "--watchdog", "50ms", "-b", 2, "-r", 2, "--max-delay", "10ms"]
    rebound = start(*options, *notifier("asleep"))
    assert rebound.wait() == 128 + signal.SIGABRT
    assert len(rebound.events("hung")) == 3
    [delayed] = rebound.events("delayed")
    assert 0.009 <= delayed["delay"] <= 0.01


def test_a_stop_while_a_hung_run_is_being_ended(start):
    command = notifier("ignore:SIGABRT", "announce", "asleep")
    rebound = start(*JSON, "--watchdog", "300ms", *command)
    rebound.wait_until(lambda: rebound.events("hung"))
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    assert len(rebound.lines("ready")) == 1


# --- Who may speak ------------------------------------------------------------------------


def test_each_run_has_a_socket_of_its_own(start):
    env = {**os.environ, "NOTIFY_SOCKET": "/outer", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}
    rebound = start("--watchdog", "20s", "-b0", "-r3", *notifier("announce", "exit:1"), env=env)
    assert rebound.wait() == 1
    addresses = told(rebound, "NOTIFY_SOCKET")
    assert len(set(addresses)) == 4
    assert set(told(rebound, "WATCHDOG_USEC")) == {"20000000"}
    assert set(told(rebound, "WATCHDOG_PID")) == {"None"}
    assert told(rebound, "REBOUND_RESTARTS") == ["0", "1", "2", "3"]


def test_without_the_option_an_outer_socket_passes_through(start):
    env = {**os.environ, "NOTIFY_SOCKET": "/outer", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}
    rebound = start(*notifier("announce", "exit:0"), env=env)
    rebound.wait()
    names = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
    assert [told(rebound, name) for name in names] == [["/outer"], ["1"], ["1"]]


@pytest.mark.parametrize("kind", ["path", "abstract"])
@pytest.mark.parametrize("wrapper", [[], PID1], ids=["same namespace", "another"])
def test_senders_of_other_pid_namespaces_do_not_count(start, wrapper, kind, monkeypatch):
    """As another container of the pod, which can see the abstract socket, or shares a directory."""
    if kind == "abstract":
        monkeypatch.setenv("REBOUND_RUN_DIR", "")
    options = [*JSON, "-v", "--watchdog", "1h"]
    rebound = start(*options, *notifier("announce", "asleep"), wrapper=wrapper)
    rebound.wait_ready()
    [address] = told(rebound, "NOTIFY_SOCKET")
    send(address, b"STATUS=from outside")
    if wrapper:
        # What comes in the right way later is seen; the other was not.
        namespace = ["nsenter", "--pid", "--mount", f"--target={rebound.pid}"]
        env = {**os.environ, "NOTIFY_SOCKET": address}
        subprocess.run([*namespace, *notifier("STATUS=from inside")], env=env, check=True)
        rebound.wait_until(lambda: statuses(rebound))
        assert statuses(rebound) == ["from inside"]
    else:
        rebound.wait_until(lambda: statuses(rebound) == ["from outside"])


def test_other_users_do_not_count_but_the_commands_own(start, tmp_path):
    """The command may have given up being root."""
    tmp_path.chmod(0o755)
    command = [*OTHER_USER, *notifier("announce", "STATUS=from the command", "asleep")]
    rebound = start(*JSON, "-v", "--watchdog", "1h", *command)
    rebound.wait_until(lambda: statuses(rebound) == ["from the command"])
    rebound = start(*JSON, "-v", "--watchdog", "1h", *notifier("announce", "asleep"))
    rebound.wait_ready()
    env = {**os.environ, "NOTIFY_SOCKET": told(rebound, "NOTIFY_SOCKET")[0]}
    subprocess.run([*OTHER_USER, *notifier("STATUS=from a stranger")], env=env, check=True)
    subprocess.run(notifier("STATUS=from root"), env=env, check=True)
    rebound.wait_until(lambda: statuses(rebound))
    assert statuses(rebound) == ["from root"]


def test_garbage_and_descriptors_leave_no_trace(start):
    rebound = start(*JSON, "-v", "--watchdog", "1h", *notifier("announce", "asleep"))
    rebound.wait_ready()
    [address] = told(rebound, "NOTIFY_SOCKET")
    descriptors = psutil.Process(rebound.pid).num_fds()
    send(address, b"STATUS=" + b"x" * 100_000)
    send(address, b"STATUS=long\n" + b"x" * 4085)
    send(address, bytes(range(256)))
    send(address, b"")
    for _ in range(20):
        passed = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))
        send(address, b"FDSTORE=1", passed)
    send(address, b"STATUS=\x1b[2J\xff end")
    rebound.wait_until(lambda: statuses(rebound))
    assert statuses(rebound) == ["\x1b[2J\ufffd end"]
    assert "\x1b" not in rebound.log
    rebound.wait_until(lambda: psutil.Process(rebound.pid).num_fds() == descriptors)


def test_without_proc_the_command_itself_is_believed(start, tmp_path):
    """Its uid cannot be told there, but its pid can."""
    tmp_path.chmod(0o755)
    hide = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$0" "$@"']
    beats = ["WATCHDOG=1", "sleep:0.05"] * 40
    command = [*OTHER_USER, *notifier("announce", *beats, "print:survived", "exit:0")]
    rebound = start("--watchdog", "500ms", *command, wrapper=hide)
    assert rebound.wait() == 0
    assert rebound.lines("survived")


def test_a_message_while_there_is_no_run_makes_no_busy_loop(start, tmp_path):
    """The socket of a start that failed is closed."""
    script = tmp_path / "command"
    script.write_text("#!/bin/sh\nrm $0\necho ready\nexit 1\n")
    script.chmod(0o755)
    rebound = start(*JSON, "--watchdog", "1h", script)
    rebound.wait_until(lambda: rebound.events("exec_failed"))
    kinds = [
        c
        for c in psutil.Process(rebound.pid).net_connections("unix")
        if c.type == socket.SOCK_DGRAM
    ]
    assert kinds == []


def test_a_socket_that_cannot_be_made_is_no_fault_of_the_command(start):
    strace = ["strace", "-o", "/dev/null", "--inject=socket:error=EACCES:when=1"]
    rebound = start(*JSON, "--watchdog", "1h", *notifier("announce", "exit:0"), wrapper=strace)
    assert rebound.wait() == 0
    [failed] = rebound.events("start_failed")
    assert (failed["error"], failed["delay"]) == ("no NOTIFY_SOCKET: Permission denied", 1)


FLOOD = """
import os, socket
if os.fork() == 0:
    address = os.environ["NOTIFY_SOCKET"].replace("@", chr(0), 1)
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    for number in range(10**9):
        try:
            sender.sendto(b"STATUS=%d" % number, address)
        except ConnectionRefusedError:
            os._exit(0)
        if number % 20000 == 19999:
            print("sent", number + 1, flush=True)
else:
    print("ready", os.getpid(), flush=True)
    os.waitpid(-1, 0)
"""


def test_a_flood_of_messages_delays_no_restart_and_takes_no_memory(start):
    """Far more than 10 000 a second, and each of them another status."""
    rebound = start("--watchdog", "1h", "-b0", *PYTHON, "-c", FLOOD)
    process = psutil.Process(rebound.pid)
    rebound.wait_until(lambda: rebound.lines("sent"))
    before = process.memory_info().rss
    rebound.wait_until(lambda: len(rebound.lines("sent")) >= 5)
    assert process.memory_info().rss - before < 500_000
    for times in range(2, 6):
        process.children()[0].kill()
        rebound.wait_ready(times)
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143


# --- Clients of the protocol that are not ours ----------------------------------------------


@pytest.mark.parametrize("wrapper", [[], PID1], ids=["plain", "pid1"])
def test_systemd_notify(start, wrapper):
    """It ends at once, before its message is read, and waits until it has been (BARRIER=1)."""
    assert shutil.which("systemd-notify")
    script = "systemd-notify --ready --status='ready for use' && echo sent; exec sleep 1000"
    rebound = start(*JSON, "-v", "--watchdog", "1h", "sh", "-c", script, wrapper=wrapper)
    rebound.wait_until(lambda: rebound.lines("sent"))
    rebound.wait_until(lambda: statuses(rebound) == ["ready for use"])
    rebound.wait_until(lambda: len(rebound.events("ready")) == 1)


def test_sdnotify_of_pypi(start):
    script = """
import sdnotify, time
notifier = sdnotify.SystemdNotifier()
notifier.notify("READY=1")
for _ in range(40):
    notifier.notify("WATCHDOG=1")
    time.sleep(0.05)
print("survived", flush=True)
"""
    rebound = start("--watchdog", "500ms", sys.executable, "-c", script)
    assert rebound.wait() == 0
    assert rebound.lines("survived")


# --- Our own service manager ----------------------------------------------------------------


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A service manager's socket, with its address."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address.replace("@", "\0", 1))
        listener.settimeout(DEADLINE)
        yield listener, address


def until(listener, wanted):
    """All assignments that come, up to the wanted one."""
    received = []
    while wanted not in received:
        received += listener.recv(4096).decode().split("\n")
    return received


def test_the_manager_is_told_when_the_command_is_ready(start, manager):
    listener, address = manager
    env = {**os.environ, "NOTIFY_SOCKET": address}
    words = ["STATUS=loading", "READY=1", "first[", "exit:1", "]", "announce", "keep:0.1"]
    rebound = start("--notify", "--watchdog", "5s", *notifier(*words), env=env)
    rebound.wait_ready()
    received = until(listener, "READY=1")
    assert "STATUS=loading" in received[:-1]
    rebound.send(signal.SIGTERM)
    received += until(listener, "STOPPING=1")
    assert received.count("READY=1") == 1
    assert f"MAINPID={rebound.pid}" in received
    assert told(rebound, "NOTIFY_SOCKET") != [address]
    assert rebound.wait() == 143


def test_the_manager_is_told_at_once_of_a_command_without_the_protocol(start, manager):
    listener, address = manager
    env = {**os.environ, "NOTIFY_SOCKET": address}
    rebound = start("--notify", "sleep", "1000", env=env)
    until(listener, "READY=1")
    rebound.send(signal.SIGTERM)
    until(listener, "STOPPING=1")


def test_the_manager_gets_keep_alives_if_it_wants_them(start, manager):
    """Half of the time before they are due, until the end; the drain is part of it."""
    listener, address = manager
    env = {**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
    ignoring = "trap '' TERM; while :; do sleep 1000; done"
    command = ("sh", "-c", f'(exec setsid sh -c "$0" &) ; echo ready; {ignoring}', ignoring)
    rebound = start("--notify", "--stop-timeout", "100s", *command, env=env)
    rebound.wait_ready()
    for _ in range(3):
        until(listener, "WATCHDOG=1")
    rebound.send(signal.SIGTERM)
    until(listener, "STOPPING=1")
    for _ in range(3):
        until(listener, "WATCHDOG=1")


@pytest.mark.parametrize("pid", ["1", ""], ids=["another's", "nobody's"])
def test_keep_alives_that_others_have_to_send_are_left_to_them(start, manager, pid):
    listener, address = manager
    wanted = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": pid}
    rebound = start("--notify", "sh", "-c", "exec sleep 0.3", env={**os.environ, **wanted})
    assert rebound.wait() == 0
    assert "WATCHDOG=1" not in until(listener, "STOPPING=1")


def test_a_manager_that_has_gone_is_no_reason_to_stay(start, manager):
    listener, address = manager
    env = {**os.environ, "NOTIFY_SOCKET": address}
    rebound = start(*JSON, "-v", "--notify", "sleep", "1000", env=env)
    until(listener, "READY=1")
    listener.close()
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    assert rebound.events("manager_failed")[0]["msg"].endswith(": Connection refused")


def test_a_manager_that_is_busy_is_told_later(start, manager):
    """Its queue is full: READY=1 must neither be lost nor hold rebound up."""
    listener, address = manager
    filled = 0
    while True:
        try:
            send(address, b"X", timeout=0)
            filled += 1
        except BlockingIOError:
            break
    env = {**os.environ, "NOTIFY_SOCKET": address}
    rebound = start(
        "--notify", "-b0", *notifier("announce", "first[", "exit:1", "]", "asleep"), env=env
    )
    rebound.wait_ready(2)
    for _ in range(filled):
        assert listener.recv(10) == b"X"
    until(listener, "READY=1")
    rebound.send(signal.SIGTERM)
    until(listener, "STOPPING=1")
    assert rebound.wait() == 143


@pytest.mark.parametrize("address", ["", "/no/such/socket", "vsock:2:1", "@nobody-listens"])
def test_a_manager_that_cannot_be_told(start, address):
    env = {**os.environ, "NOTIFY_SOCKET": address}
    rebound = start(*JSON, "--notify", "-r1", "false", env=env)
    assert rebound.wait() == 1
    assert "Traceback" not in rebound.log
    said = [event["msg"].partition(":")[0] for event in rebound.events("error")]
    assert said == (["no service manager at $NOTIFY_SOCKET"] if address else [])
