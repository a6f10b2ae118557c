"""On a terminal: ^C once, ^Z and fg, the foreground with -g, hang-up.

A real shell with job control (bash) on a pseudo-terminal does what a person would.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys

import pexpect
import psutil
import pytest

from tests.helpers import (
    DEADLINE,
    PID1,
    REBOUND,
    eventually,
    is_running,
    kill_family,
    program,
)

RECORDER = shlex.join(program("record_signals.py"))

# Says when it is stopped and continued, by the shell's word; has no handlers of its own.
IDLER = shlex.join(
    [sys.executable, "-ISc", "print('ready', flush=True); import signal; signal.pause()"]
)


@pytest.fixture
def shell():
    child = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile", "--noediting"],
        encoding="utf-8",
        timeout=DEADLINE,
        echo=False,
    )
    child.delaybeforesend = None
    child.sendline("PS1='$ '; set -o monitor")
    child.expect_exact("$ ")
    yield child
    assert child.pid
    kill_family(child.pid)
    if not child.closed:
        child.close(force=True)


@pytest.fixture(
    params=[[], ["-g"], ["-g", "--listen", "127.0.0.1:0"]],
    ids=["same-group", "own-group", "own-group, by fork"],
)
def group(request):
    return request.param


def start(shell, *options, command=RECORDER):
    shell.sendline(shlex.join([REBOUND, *options]) + " " + command)
    shell.expect("ready.*\n")
    return eventually(lambda: rebound_below(shell))


def rebound_below(shell):
    for process in psutil.Process(shell.pid).children(recursive=True):
        if process.name() == "rebound" and process.children():
            return process
    return None


def test_one_key_is_one_signal(shell, group):
    """The kernel sends ^C to the whole foreground group: command and, without -g, rebound."""
    rebound = start(shell, "-q", *group)
    shell.sendintr()
    shell.expect(r"signal 2 \S+ -\r\n")
    if not group:
        shell.expect(r"signal 18 \S+ -\r\n")  # the SIGCONT of the shutdown
    shell.send("\x1c")
    shell.expect(r"signal (\d+) \S+ -\r\n")
    assert shell.match[1] == "3"
    rebound.send_signal(signal.SIGTERM)
    shell.expect(r"signal (\d+) \S+ -\r\n")
    assert shell.match[1] == "15"


def test_window_size_change_comes_once(shell, group):
    rebound = start(shell, "-q", *group)
    shell.setwinsize(50, 100)
    shell.expect(r"signal (28) \S+ -\r\n")
    rebound.send_signal(signal.SIGUSR1)
    shell.expect(r"signal (\d+) \S+ -\r\n")
    assert shell.match[1] == "10"


def test_interrupt_ends_rebound(shell, group):
    start(shell, "-q", *group, command=IDLER)
    shell.sendintr()
    shell.expect_exact("$ ")
    shell.sendline("echo status $?")
    shell.expect_exact("status 130")


def test_suspend_and_foreground(shell, group):
    rebound = start(shell, "-q", *group, command=IDLER)
    (command,) = rebound.children()
    for _ in range(3):
        shell.send("\x1a")
        shell.expect_exact("Stopped")
        shell.expect_exact("$ ")
        eventually(lambda: command.status() == "stopped" == rebound.status())
        shell.sendline("echo shell has the terminal")
        shell.expect_exact("shell has the terminal")
        shell.sendline("fg")
        eventually(lambda: command.status() == "sleeping" == rebound.status())
    shell.sendintr()
    shell.sendline("echo status $?")
    shell.expect_exact("status 130")


def test_suspend_and_background(shell, group):
    rebound = start(shell, "-q", *group, command=IDLER)
    (command,) = rebound.children()
    shell.send("\x1a")
    shell.expect_exact("Stopped")
    shell.sendline("bg")
    eventually(lambda: command.status() == "sleeping" == rebound.status())
    shell.sendline("echo still with the shell; kill %1; wait; echo status $?")
    shell.expect_exact("still with the shell")
    shell.expect_exact("status")
    eventually(lambda: not is_running(rebound.pid))


def test_the_command_reads_from_the_terminal_in_each_run(shell, group):
    command = shlex.join(["sh", "-c", "echo ready; read line; echo got $line; exit 1"])
    start(shell, "-q", "-r", "2", *group, command=command)
    for run in range(3):
        shell.sendline(f"line{run}")
        shell.expect_exact(f"got line{run}")
    shell.expect_exact("$ ")
    shell.sendline("echo back in the shell")
    shell.expect_exact("back in the shell")


def test_started_in_the_background_then_foreground(shell, group):
    """A background job that reads is stopped by SIGTTIN; the shell must see rebound stop."""
    shell.sendline(shlex.join([REBOUND, "-q", *group]) + " sh -c 'read line; echo got $line' &")
    shell.expect_exact("$ ")
    rebound = eventually(lambda: rebound_below(shell))
    eventually(lambda: rebound.status() == "stopped")
    shell.sendline("fg")
    eventually(lambda: rebound.status() == "sleeping")
    shell.sendline("hello")
    shell.expect_exact("got hello")


def test_own_group_is_in_the_foreground(shell):
    rebound = start(shell, "-q", "-g", command=IDLER)
    (command,) = rebound.children()
    assert os.getpgid(command.pid) == command.pid
    assert os.tcgetpgrp(shell.child_fd) == command.pid


def hang_up(child):
    os.close(child.child_fd)
    child.child_fd, child.closed = -1, True


def test_hang_up_is_a_shutdown(shell, group):
    """Neither is there a restart, although the command dies of SIGHUP."""
    rebound = start(shell, "-q", *group, command=IDLER)
    hang_up(shell)
    eventually(lambda: not is_running(rebound.pid))


def test_a_hang_up_signal_by_kill_is_none(shell, group):
    """It is forwarded, the command dies of it, and is restarted."""
    rebound = start(shell, "-q", *group, command=IDLER)
    rebound.send_signal(signal.SIGHUP)
    shell.expect("ready.*\n")
    assert is_running(rebound.pid)


def test_as_pid_1_and_session_leader_a_hang_up_reaches_the_command(tmp_path):
    """The kernel sends a hang-up to the session leader alone: rebound passes it on."""
    out = tmp_path / "out"
    command = f"{RECORDER} >{out}"
    child = pexpect.spawn(
        PID1[0],
        [*PID1[1:], "setsid", "--ctty", REBOUND, "-q", "sh", "-c", f"exec {command}"],
        timeout=DEADLINE,
    )
    eventually(lambda: out.exists() and "ready" in out.read_text())
    hang_up(child)
    eventually(lambda: "signal 1 " in out.read_text())
    assert child.pid
    kill_family(child.pid)
    child.wait()


def test_as_pid_1_suspend_stops_neither_for_good():
    """Nobody could continue them; as in a container with a terminal."""
    child = pexpect.spawn(
        PID1[0],
        [
            *PID1[1:],
            "setsid",
            "--ctty",
            REBOUND,
            "-q",
            "-g",
            "sh",
            "-c",
            "echo ready; while read line; do echo got $line; done; exit 0",
        ],
        timeout=DEADLINE,
        encoding="utf-8",
    )
    child.expect_exact("ready")
    child.send("\x1a")
    child.sendline("hello")
    child.expect_exact("got hello")
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
