"""Commands that mean harm: rebound survives or ends properly, and a stop always works."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests import cgroups
from tests.helpers import JSON, PID1, PYTHON, eventually, is_running, program, run

# Groups and sessions are the subject here: nobody else is to be in rebound's.
WRAPPERS = {"plain": ["setsid"], "pid1": [*PID1, "setsid"]}


@pytest.fixture(params=list(WRAPPERS))
def alone(request):
    """Each of: an ordinary process, PID 1; leader of a session of its own."""
    return WRAPPERS[request.param]


@pytest.fixture
def start(start):
    """With a log for programs."""
    return lambda *args, **options: start(*JSON, *args, **options)


@pytest.fixture(autouse=True)
def bystander():
    """A process that none of this is about is there at the end."""
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as other:
        yield
        assert is_running(other.pid)
        other.kill()


def adversary(*words):
    return program("adversary.py", *words)


def ends(rebound, status=143):
    """A stop works, and leaves nobody."""
    assert no_zombies(rebound)
    family = psutil.Process(rebound.pid).children(recursive=True)
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == status
    eventually(lambda: not any(process.is_running() for process in family))
    assert not rebound.events("internal_error")


def no_zombies(rebound):
    return eventually(lambda: not rebound.zombies())


def is_idle(rebound):
    """Whether rebound takes no CPU time to speak of while half a second passes."""
    process = psutil.Process(rebound.pid)
    before = sum(process.cpu_times()[:2])
    with pytest.raises(psutil.TimeoutExpired):
        process.wait(0.5)
    return sum(process.cpu_times()[:2]) - before < 0.1


@pytest.fixture
def pids():
    """A cgroup in which there are few processes at most."""
    with cgroups.new("pids", pids__max=40) as cgroup:
        yield cgroup


# --- Processes ------------------------------------------------------------------------------


@pytest.mark.parametrize("ignored", [[], ["SIGTERM"]], ids=["asked", "killed"])
def test_a_bomb_of_orphans(pids, start, alone, ignored):
    options = ["-b", 0, *(["--stop-timeout", "300ms"] if ignored else [])]
    command = adversary("bomb", 4, *ignored)
    rebound = start(*options, *command, wrapper=[*cgroups.inside(pids), *alone])
    for runs in (1, 2, 3):
        rebound.wait_ready(runs)
        if runs < 3:
            os.kill(command_of(rebound), signal.SIGKILL)
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == (137 if ignored else 143)
    eventually(lambda: not (pids / "cgroup.procs").read_text())
    assert not rebound.events("internal_error")


def command_of(rebound):
    """The pid of the present run, as seen from here."""
    ready = rebound.lines("ready")[-1].split()[1]
    for child in Path(f"/proc/{rebound.pid}/task/{rebound.pid}/children").read_text().split():
        with suppress(OSError):
            if f"\t{ready}\n" in Path(f"/proc/{child}/status").read_text():
                return int(child)
    raise AssertionError(f"no child {ready}")


def test_no_pid_left_for_a_restart_until_there_is(pids, start, alone):
    reading, writing = os.pipe()
    command = adversary("fill")
    options = ["-b", 0, "--max-delay", "10ms"]
    rebound = start(*options, *command, wrapper=[*cgroups.inside(pids), *alone], stdin=reading)
    os.close(reading)
    rebound.wait_ready()
    held = int((pids / "pids.current").read_text())
    (pids / "pids.max").write_text(str(held - 1))  # its own pid, too, goes to somebody else
    os.kill(command_of(rebound), signal.SIGKILL)
    refused = rebound.wait_until(lambda: rebound.events("start_failed"))
    assert "Resource temporarily unavailable" in refused[0]["error"]
    os.close(writing)  # its children end
    rebound.wait_ready(2)
    ends(rebound)


def test_one_that_becomes_a_daemon(start, alone):
    rebound = start("-b", 0, *adversary("daemon", 9), wrapper=alone)
    assert rebound.wait() == 0
    assert len(rebound.lines("ready")) == 2
    assert rebound.events("draining")
    assert not rebound.events("internal_error")


# --- Signals --------------------------------------------------------------------------------


def test_one_that_stops_itself(start, alone):
    rebound = start(*adversary("stop"), wrapper=alone)
    for runs in (1, 2):
        rebound.wait_ready(runs)
        (child,) = rebound.children()
        eventually(lambda: child.status() == psutil.STATUS_STOPPED)  # noqa: B023
        if runs == 1:
            child.kill()
    ends(rebound)


def test_one_that_stops_its_whole_group(start, alone):
    """With a group of its own it cannot stop rebound, too."""
    rebound = start("-g", *adversary("kill", 0, "SIGSTOP"), wrapper=alone)
    rebound.wait_ready()
    eventually(lambda: rebound.children()[0].status() == psutil.STATUS_STOPPED)
    ends(rebound)


def test_one_that_ends_its_group_ends_rebound(start, alone):
    """As ^C would: rebound is in it, and is asked to stop as properly as by anybody else."""
    rebound = start(*adversary("kill", 0, "SIGTERM"), wrapper=alone)
    assert rebound.wait() == 143
    assert len(rebound.lines("ready")) == 1
    assert rebound.events("signal")[0]["signal"] == "SIGTERM"


def test_one_that_kills_its_group(start):
    """PID 1 is not killed from inside, and in another group nobody is."""
    for options, wrapper in ([], WRAPPERS["pid1"]), (["-g"], WRAPPERS["plain"]):
        rebound = start(*options, *adversary("kill", 0, "SIGKILL"), wrapper=wrapper)
        rebound.wait_ready(2)
        ends(rebound)


def test_one_that_kills_all_there_are(start):
    """In a PID namespace only: elsewhere it would hit the machine."""
    rebound = start(*adversary("kill", -1, "SIGKILL"), wrapper=WRAPPERS["pid1"])
    rebound.wait_ready()
    os.kill(command_of(rebound), signal.SIGKILL)  # who sends it, is not hit
    rebound.wait_ready(2)
    ends(rebound)


def test_one_that_ignores_all(start, alone):
    rebound = start("--stop-timeout", "200ms", *adversary("deaf"), wrapper=alone)
    rebound.wait_ready()
    ends(rebound, 137)


@pytest.mark.parametrize(
    ("options", "how"), [([], "session"), ([], "group"), (["-G", "-k"], "rebound's")]
)
def test_one_that_changes_group_or_session(start, alone, options, how):
    rebound = start(*options, *adversary("leave", how), wrapper=alone)
    rebound.wait_ready()
    os.kill(command_of(rebound), signal.SIGKILL)
    rebound.wait_ready(2)
    ends(rebound)


FLOOD = """
import ctypes, os, signal, sys
sigqueue = ctypes.CDLL(None).sigqueue
pid, sent = int(sys.argv[1]), 0
while True:
    os.kill(pid, signal.SIGUSR1)
    sigqueue(pid, signal.SIGRTMIN + 1, ctypes.c_void_p(sent))
    sent += 2
    if sent == 100_000:
        print("sent", flush=True)
"""


def test_a_crash_and_a_stop_in_a_flood_of_signals(start, alone):
    """100 000, and more until rebound has ended; real-time signals are queued (signal(7))."""
    # What waits is counted for the user, who in these tests is the same everywhere: with a
    # limit of its own, rebound's queue is full before nobody else can queue a signal.
    limit = resource.getrlimit(resource.RLIMIT_SIGPENDING)[0] // 2
    limited = [*alone, "prlimit", f"--sigpending={limit}:{limit}"]
    # Blocked from the beginning: what is forwarded to a run that has just begun would end it.
    limited += ["env", "--block-signal=USR1,RTMIN+1"]
    rebound = start("-b", 0, *adversary("blocked"), wrapper=limited)
    rebound.wait_ready()
    command = [*PYTHON, "-c", FLOOD, str(rebound.pid)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as flood:
        try:
            assert flood.stdout
            assert flood.stdout.readline() == b"sent\n"
            os.kill(command_of(rebound), signal.SIGKILL)
            rebound.wait_ready(2)
            ends(rebound)
        finally:
            flood.kill()


# --- ptrace ---------------------------------------------------------------------------------


def test_one_that_wants_rebound_to_trace_it(start, alone):
    """Each signal would stop it, and rebound is told of that by wait(2) as if it had ended."""
    rebound = start("-b", 0, "-v", *adversary("trace_me"), wrapper=alone)
    rebound.wait_ready()
    rebound.send(signal.SIGWINCH)
    rebound.wait_until(
        lambda: "SIGWINCH" in [event["signal"] for event in rebound.events("signal")]
    )
    eventually(lambda: rebound.children()[0].status() == psutil.STATUS_SLEEPING)
    assert len(rebound.children()) == 1
    os.kill(command_of(rebound), signal.SIGUSR1)
    rebound.wait_ready(2)
    assert rebound.events("exited")[-1]["reason"] == "signal:SIGUSR1"
    assert len(rebound.children()) == 1
    ends(rebound)


@pytest.mark.parametrize("options", [[], ["-k"]], ids=["plain", "looked at"])
def test_an_exec_of_one_that_wants_to_be_traced(start, alone, options):
    """It stops with SIGTRAP, which is nobody's signal."""
    command = adversary("trace_me", "sh", "-c", "echo ready $$; exec sleep 1000")
    rebound = start(*options, *command, wrapper=alone)
    rebound.wait_ready()
    rebound.wait_until(lambda: rebound.children()[0].name() == "sleep")
    ends(rebound)


def test_one_that_traces_rebound(start, alone):
    rebound = start("-b", 0, *adversary("trace_parent"), wrapper=alone)
    rebound.wait_ready(2)
    assert rebound.lines("ready")[0].endswith(" 0")
    ends(rebound)


def test_one_that_is_traced_by_somebody_who_does_not_wait(start, alone, tmp_path):
    """It is a zombie then that rebound cannot reap: no reason to keep a CPU busy."""
    rebound = start("-b", 0, *adversary("traced"), wrapper=alone, cwd=tmp_path)
    tracer = rebound.wait_until(lambda: rebound.lines("tracer"))[0]
    assert tracer.endswith(" 0")
    (command,) = rebound.children()
    (child,) = command.children()
    (tmp_path / "go").touch()
    eventually(lambda: command.status() == psutil.STATUS_ZOMBIE)
    assert is_idle(rebound)
    child.kill()
    rebound.wait_ready()
    ends(rebound)


# --- Descriptors and sockets ----------------------------------------------------------------


def test_one_that_closes_all(start, alone):
    rebound = start("-b", 0, *adversary("close"), wrapper=alone)
    rebound.wait_ready(2)
    ends(rebound)


def test_garbage_at_the_sockets(start, tmp_path, monkeypatch):
    monkeypatch.setenv("REBOUND_RUN_DIR", str(tmp_path / "run"))
    options = ["-b", 0, "--watchdog", "1h", "--log-format", "text"]
    rebound = start(*options, *adversary("garble", tmp_path / "run"))
    rebound.wait_ready()
    assert "\x1b" not in rebound.log
    assert run("--status").returncode in (0, 1)
    rebound.children()[0].kill()
    rebound.wait_ready(2)
    ends(rebound)
    assert "internal error" not in rebound.log
