"""Forwarding: every signal, once, with its value; what was blocked or ignored stays so."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from rebound.core import narrate
from tests.helpers import JSON, PYTHON, REBOUND, eventually, is_running, program, run

libc = ctypes.CDLL(None, use_errno=True)
libc.sigqueue.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p)

STATUS = ["sh", "-c", "grep Sig /proc/self/status"]


@pytest.fixture
def recorder(start, mode):
    rebound = start("-v", *program("record_signals.py"), wrapper=mode)
    rebound.wait_ready()
    return rebound


def test_every_catchable_signal_is_forwarded_once(recorder):
    """TERM and INT come last, since they begin the shutdown."""
    uncatchable = {signal.SIGKILL, signal.SIGSTOP}
    ordinary = signal.valid_signals() - uncatchable - {signal.SIGTERM, signal.SIGINT}
    order = [*sorted(map(int, ordinary)), int(signal.SIGINT)]
    for count, signo in enumerate(order, 1):
        recorder.send(signo)
        recorder.wait_until(lambda n=count: len(recorder.lines("signal")) >= n)
        if signo == signal.SIGINT:  # SIGCONT follows the signal of a stop
            recorder.wait_until(lambda n=count: len(recorder.lines("signal")) > n)
    recorder.send(signal.SIGTERM)
    assert recorder.wait() == 0
    received = [int(line.split()[1]) for line in recorder.lines("signal")]
    assert received == [*order, signal.SIGCONT, signal.SIGTERM]


def test_queued_signals_keep_value_and_order(recorder):
    pid, signo = recorder.pid, signal.SIGRTMIN + 3
    for value in range(200):
        assert libc.sigqueue(pid, signo, value) == 0
    recorder.wait_until(lambda: len(recorder.lines("signal")) == 200)
    assert recorder.lines("signal") == [f"signal {signo} -1 {value}" for value in range(200)]


def test_value_zero_and_negative_and_standard_signals(recorder):
    for value in (0, 2**31 - 1, -1):
        libc.sigqueue(recorder.pid, signal.SIGUSR1, value & 2**64 - 1)
        recorder.wait_until(lambda v=value: f"signal 10 -1 {v}" in recorder.lines())


def test_signals_are_forwarded_to_each_run(start):
    rebound = start(*program("record_signals.py"))
    for times in (1, 2, 3):
        rebound.wait_ready(times)
        rebound.send(signal.SIGHUP)
        rebound.wait_until(lambda t=times: len(rebound.lines("signal 1 ")) == t)
        rebound.children()[0].kill()


def test_rewrite(start):
    rebound = start(
        "--rewrite",
        "TERM:USR2",
        "--rewrite",
        "USR1:0",
        "--rewrite",
        "hup:1",
        *program("record_signals.py"),
    )
    rebound.wait_ready()
    for signo in (signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM):
        rebound.send(signo)
        if signo == signal.SIGHUP:
            rebound.wait_until(lambda: rebound.lines("signal 1 "))
    rebound.wait_until(lambda: rebound.lines(f"signal {signal.SIGCONT:d} "))
    assert [line.split()[1] for line in rebound.lines("signal")] == ["1", "12", "18"]
    os.kill(rebound.children()[0].pid, signal.SIGKILL)
    assert rebound.wait() == 137  # the shutdown had begun: no restart


def test_signals_reach_the_leader_or_with_capital_g_the_group(start):
    script = f"{sys.executable} -IS $0 & {sys.executable} -IS $0; wait"
    command = ["sh", "-c", script, program("record_signals.py")[-1]]
    for options, count in ((["-g"], 0), (["-G"], 2)):
        rebound = start(*options, *command)
        rebound.wait_ready(2)
        (shell,) = rebound.children()
        assert os.getpgid(shell.pid) == shell.pid != os.getpgid(rebound.pid)
        rebound.send(signal.SIGWINCH)  # which sh ignores
        rebound.send(signal.SIGURG)
        if count:
            rebound.wait_until(lambda r=rebound, n=count: len(r.lines("signal 23 ")) == n)
        os.killpg(shell.pid, signal.SIGUSR2)
        rebound.wait_until(lambda r=rebound: len(r.lines("signal 12 ")) == 2)
        assert len(rebound.lines("signal 23 ")) == count


def test_a_command_that_left_its_group_is_still_told(start):
    code = "import os; os.setpgid(0, os.getpgid(os.getppid())); os.execv({0!r}, {1!r})"
    recorder = program("record_signals.py")
    rebound = start("-G", *PYTHON, "-c", code.format(recorder[0], recorder))
    rebound.wait_ready()
    rebound.send(signal.SIGUSR1)
    rebound.wait_until(lambda: rebound.lines("signal 10 "))


def test_without_g_the_command_shares_the_group(start):
    rebound = start(*program("record_signals.py"))
    rebound.wait_ready()
    assert os.getpgid(rebound.children()[0].pid) == os.getpgid(rebound.pid)


def test_kill_group_kills_what_a_crash_left_but_no_daemon(start, tmp_path):
    pids = tmp_path / "pids"
    script = f"sleep 1000 & setsid sleep 1000 & echo $! >>{pids}; echo ready; wait"
    rebound = start("-k", "sh", "-c", script)
    rebound.wait_ready()
    rebound.wait_until(lambda: len(psutil.Process(rebound.pid).children(recursive=True)) == 3)
    (shell,) = rebound.children()
    sleeps = shell.children()
    shell.kill()
    rebound.wait_ready(2)
    rebound.wait_until(lambda: sum(is_running(sleep.pid) for sleep in sleeps) == 1)
    (daemon,) = [sleep for sleep in sleeps if is_running(sleep.pid)]
    assert os.getsid(daemon.pid) == daemon.pid


def test_without_kill_group_they_are_left_alone(start):
    rebound = start("-g", "sh", "-c", "sleep 1000 & echo ready; wait")
    rebound.wait_ready()
    (shell,) = rebound.children()
    rebound.wait_until(shell.children)
    (sleep,) = shell.children()
    shell.kill()
    rebound.wait_ready(2)
    assert is_running(sleep.pid)
    assert sleep.ppid() == rebound.pid


def test_mask_and_dispositions_are_those_that_rebound_was_started_with(mode):
    def prepare():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGRTMIN])
        for signo in (signal.SIGHUP, signal.SIGPIPE, signal.SIGQUIT):
            signal.signal(signo, signal.SIG_IGN)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)

    def seen(command):
        lines = subprocess.run(command, preexec_fn=prepare, capture_output=True, text=True).stdout
        sets = {line.split()[0]: int(line.split()[1], 16) for line in lines.splitlines()[-4:]}
        # glibc's posix_spawn leaves its own two signals, 32 and 33, ignored (bug of glibc).
        return sets["SigBlk:"], sets["SigIgn:"] & ~0x180000000

    assert seen([*mode, REBOUND, "-q", *STATUS]) == seen([*mode, *STATUS])


def test_dispositions_are_the_default_by_default():
    for line in run("-q", *STATUS).stdout.splitlines():
        if line.startswith(("SigIgn", "SigBlk")):
            assert int(line.split()[1], 16) & ~0x180000000 == 0


def ignoring(*signos):
    def prepare():
        for signo in signos:
            signal.signal(signo, signal.SIG_IGN)

    return prepare


def test_a_signal_ignored_at_the_start_is_forwarded_and_no_stop(start, mode):
    """A shell has its jobs with & ignore INT and QUIT, nohup HUP: that is nobody's wish."""
    ignored = (signal.SIGHUP, signal.SIGQUIT, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    command = program("record_signals.py", "ignore")
    rebound = start("-v", *command, wrapper=mode, preexec_fn=ignoring(*ignored))
    rebound.wait_ready()
    for count, signo in enumerate(ignored, 1):
        rebound.send(signo)
        rebound.wait_until(lambda n=count: len(rebound.lines("signal")) >= n)
    assert [int(line.split()[1]) for line in rebound.lines("signal")] == list(ignored)
    rebound.children()[0].kill()
    rebound.wait_ready(2)  # no stop had begun


def test_a_command_without_a_handler_goes_on_ignoring_it(start):
    command = ["sh", "-c", "echo ready; exec sleep 1000"]
    rebound = start(*JSON, "-v", *command, preexec_fn=ignoring(signal.SIGINT))
    rebound.wait_ready()
    rebound.send(signal.SIGINT)
    [received] = rebound.wait_until(lambda: rebound.events("signal"))
    # No stop, of which the log would tell without -v.
    assert (received["signal"], received["level"]) == ("SIGINT", "debug")
    assert received["msg"].endswith(narrate.FORWARDED)
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143


def test_a_stop_signal_that_is_named_is_one_although_it_was_ignored(start):
    command = program("record_signals.py", "ignore")
    options = ["--stop-signal", "QUIT", *command]
    rebound = start(*options, preexec_fn=ignoring(signal.SIGQUIT))
    rebound.wait_ready()
    rebound.send(signal.SIGQUIT)
    rebound.wait_until(lambda: rebound.lines("signal 3 "))
    rebound.children()[0].kill()
    assert rebound.wait() == 137


def test_ignored_sigchld_is_reset_since_children_could_not_be_waited_for():
    result = run(
        "-r",
        1,
        "sh",
        "-c",
        "exit 5",
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
    )
    assert result.returncode == 5


def test_with_sigchld_ignored_at_the_start_orphans_are_reaped_all_the_same(start):
    rebound = start(
        *program("orphans.py", 3),
        stdin=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
    )
    rebound.wait_ready()
    rebound.wait_until(lambda: len(rebound.children()) == 4)
    rebound.popen.stdin.close()
    rebound.wait_until(lambda: len(rebound.children()) == 1)


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGUSR1, signal.SIGRTMIN + 1])
def test_no_signal_is_lost_while_rebound_starts(start, signo):
    """Pending and blocked from before its first instruction, it reaches the command."""

    def prepare():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signo])
        os.kill(os.getpid(), signo)

    rebound = start(*program("record_signals.py"), preexec_fn=prepare)
    rebound.wait_until(lambda: rebound.lines("signal"))
    assert int(rebound.lines("signal")[0].split()[1]) == signo


def test_signals_sent_while_python_starts_arrive(start, mode):
    """Even to PID 1, to which the kernel gives no signal that it does not handle or block."""
    command = ["sh", "-c", "echo ready; exec sleep 1000"]
    sent = 0
    while not sent:  # the start may be over before it is noticed
        rebound = start(*JSON, "-v", "--rewrite", "RTMIN:0", *command, wrapper=mode)
        while not rebound.lines("ready") and sent < 1000:
            process = rebound.find("rebound", "python3", os.path.basename(REBOUND))
            if process and blocks_all(process):
                os.kill(process.pid, signal.SIGRTMIN)
                sent += 1
    rebound.wait_until(lambda: len(rebound.events("signal")) == sent)
    assert {event["signal"] for event in rebound.events("signal")} == {"SIGRTMIN"}


def blocks_all(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return "SigBlk:\tfffffffffffbfeff" in status


def test_parent_death_signal(start):
    """Its parent is a shell that is killed."""
    script = '"$0" "$@" & echo parent; wait'
    rebound = start("-p", "TERM", *program("record_signals.py"), wrapper=["sh", "-c", script])
    rebound.wait_ready()
    pid = rebound.pid
    rebound.popen.kill()
    eventually(lambda: not is_running(pid))
    assert rebound.lines("signal 15 ")


def test_without_it_rebound_outlives_its_parent(start):
    rebound = start(*program("record_signals.py"), wrapper=["sh", "-c", '"$0" "$@" & wait'])
    rebound.wait_ready()
    pid = rebound.pid
    rebound.popen.kill()
    rebound.popen.wait()
    os.kill(pid, signal.SIGUSR1)
    eventually(lambda: rebound.lines("signal 10 "))
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: not is_running(pid))


def test_descriptors_reach_each_run_and_no_more(tmp_path):
    listing = [
        PYTHON[0],
        "-IS",
        "-c",
        "import os, sys; print(sorted(os.listdir('/proc/self/fd'))); sys.exit(1)",
    ]
    with open(tmp_path / "file", "w") as file:
        options: dict[str, Any] = {"pass_fds": [file.fileno()], "stdin": subprocess.DEVNULL}
        alone = subprocess.run(listing, capture_output=True, text=True, **options).stdout
        assert run("-q", "-r", 2, *listing, **options).stdout == alone * 3


@pytest.mark.parametrize("closed", [[0], [2], [0, 2]])
def test_closed_standard_descriptors_stay_closed(tmp_path, closed):
    output = tmp_path / "output"
    listing = ["sh", "-c", f"ls /proc/self/fd >>{output}; exit 3"]

    def close():
        for fd in closed:
            os.close(fd)

    for command in (listing, [REBOUND, "-r", "1", *listing]):
        assert subprocess.run(command, preexec_fn=close).returncode == 3
    lines = output.read_text().split()
    assert lines == lines[: len(lines) // 3] * 3
