"""The kernel's out-of-memory killer, in a memory cgroup of its own; and oom_score_adj."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests import cgroups
from tests.helpers import JSON, OTHER_USER, PID1, PYTHON, program

LIMIT = 80 * 2**20

EATER = """
import os, signal
print("ready", os.getpid(), os.environ.get("REBOUND_LAST_EXIT"), flush=True)
eaten = []
while os.environ["REBOUND_RESTARTS"] == "0":
    eaten.append(bytearray(2**20))
signal.pause()
"""


@pytest.fixture
def limited():
    """Give what to put before rebound: a memory cgroup with a limit, and without swap."""
    limits = {"memory__limit_in_bytes": LIMIT, "memory__memsw__limit_in_bytes": LIMIT}  # v1
    limits |= {"memory__max": LIMIT, "memory__swap__max": 0}  # v2
    with cgroups.new("memory", **limits) as cgroup:
        yield cgroups.inside(cgroup)


def reasons(rebound):
    """How the runs ended."""
    return [end["reason"] for end in rebound.events("exited")]


@pytest.mark.parametrize("wrapper", [[], PID1], ids=["plain", "pid1"])
def test_an_out_of_memory_kill_is_told_from_others(start, limited, wrapper):
    rebound = start(*JSON, *PYTHON, "-c", EATER, wrapper=[*limited, *wrapper])
    rebound.wait_until(lambda: "ready" in rebound.stdout and "oom" in rebound.stdout)
    [end] = rebound.events("exited")
    assert (end["reason"], end["signal"]) == ("oom", "SIGKILL")
    assert end["max_rss"] > LIMIT / 2
    assert end["run_time"] > 0
    rebound.children()[0].kill()
    rebound.wait_ready(3)
    assert [line.split()[2] for line in rebound.lines("ready")] == ["None", "oom", "signal:SIGKILL"]
    assert reasons(rebound) == ["oom", "signal:SIGKILL"]


EAT = f"{' '.join(PYTHON)} -c 'eaten = [bytearray(2**20) for _ in range(10**6)]'"


def test_another_ones_kill_is_not_the_commands(start, limited):
    """The counter has grown, but in the run before; then the command is killed by somebody."""
    script = f"[ $REBOUND_RESTARTS = 1 ] || {{ {EAT}; exit 9; }}; kill -KILL $$"
    rebound = start(*JSON, "-r1", "sh", "-c", script, wrapper=limited)
    assert rebound.wait() == 137
    assert reasons(rebound) == ["exit:9", "signal:SIGKILL"]


def test_an_adopted_processes_kill_is_not_the_commands(start, limited, tmp_path):
    """In the same run, before the command is killed by somebody."""
    (tmp_path / "eat.py").write_text("eaten = [bytearray(2**20) for _ in range(10**6)]")
    script = f"""
    [ $REBOUND_RESTARTS = 1 ] && exit 0
    {" ".join(PYTHON)} -c 'import os; os.fork() or os.execv("{PYTHON[0]}", ["{PYTHON[0]}", "eat.py"])'
    echo ready; exec sleep 1000
    """
    rebound = start(*JSON, "-v", "sh", "-c", script, wrapper=limited, cwd=tmp_path)
    [reaped] = rebound.wait_until(lambda: rebound.events("reaped"))
    rebound.wait_ready()
    assert reaped["reason"] == "signal:SIGKILL"
    next(child for child in rebound.children() if "1000" in child.cmdline()).kill()
    assert rebound.wait() == 0
    assert reasons(rebound) == ["signal:SIGKILL", "exit:0"]


def test_without_cgroups_it_is_a_signal_like_any_other(start):
    hide = ["unshare", "--mount", "sh", "-c", 'umount -l /proc && exec "$0" "$@"']
    rebound = start(*JSON, "-r1", "sh", "-c", "kill -KILL $$", wrapper=hide)
    assert rebound.wait() == 137
    assert reasons(rebound) == ["signal:SIGKILL"] * 2


def test_rebounds_own_kill_is_none(start, limited):
    """What is killed at the stop timeout was not taken for its memory."""
    command = program("notifier.py", "ignore:SIGTERM", "announce", "asleep")
    rebound = start(*JSON, "--stop-timeout", "100ms", *command, wrapper=limited)
    rebound.wait_ready()
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 137
    assert reasons(rebound) == ["signal:SIGKILL"]


# --- oom_score_adj ------------------------------------------------------------------------

SHOW = ["sh", "-c", "cat /proc/self/oom_score_adj; echo ready; exec sleep 1000"]


def own_score(rebound):
    return Path(f"/proc/{rebound.pid}/oom_score_adj").read_text().strip()


@pytest.mark.parametrize("user", [[], OTHER_USER], ids=["root", "another user"])
def test_the_command_gets_the_score_and_rebound_keeps_its_own(start, user):
    """In each run; raising it, and lowering it to what it was, takes no privilege."""
    before = Path("/proc/self/oom_score_adj").read_text().strip()
    rebound = start(*JSON, "--oom-score-adj", "777", *SHOW, wrapper=user)
    rebound.wait_ready()
    rebound.children()[0].kill()
    rebound.wait_ready(2)
    assert rebound.lines("777") == ["777", "777"]
    # The command may say that it is ready before rebound, which started it, gets the CPU again.
    rebound.wait_until(lambda: own_score(rebound) == before)
    assert rebound.events("error") == []


def test_a_score_that_is_not_permitted_is_said_and_not_set(start):
    before = Path("/proc/self/oom_score_adj").read_text().strip()
    rebound = start(*JSON, "--oom-score-adj", "-500", *SHOW, wrapper=OTHER_USER)
    rebound.wait_ready()
    [said] = rebound.events("error")
    assert said["msg"] == "cannot set oom_score_adj to -500: Permission denied"
    assert rebound.lines(before)
    assert own_score(rebound) == before


DAEMON = """
import signal
held = bytearray(40 * 2**20)
print("up", flush=True)
signal.pause()
"""


def test_the_kernel_takes_the_command_and_not_a_larger_daemon(start, limited, tmp_path):
    """If that has set its score back, as docs/operation.md says; it has the most memory of all."""
    (tmp_path / "daemon.py").write_text(DAEMON)
    (tmp_path / "eater.py").write_text(EATER)
    os.mkfifo(tmp_path / "up")
    script = f"""
    if [ $REBOUND_RESTARTS = 0 ]; then
        (echo 0 >/proc/self/oom_score_adj; exec setsid {" ".join(PYTHON)} daemon.py >up) &
        read up <up
    fi
    exec {" ".join(PYTHON)} eater.py
    """
    command = ["sh", "-c", script]
    rebound = start("--oom-score-adj", "1000", *command, wrapper=limited, cwd=tmp_path)
    rebound.wait_ready(2)
    assert rebound.lines("ready")[1].endswith("oom")
    assert any("daemon.py" in child.cmdline() for child in rebound.children())
