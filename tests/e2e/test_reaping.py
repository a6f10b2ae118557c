"""Orphans: adopted and reaped, however many end at once; the subreaper is what does it."""

from __future__ import annotations

import subprocess

import pytest

from tests.helpers import DEADLINE, JSON, NESTED, PID1, PYTHON, REBOUND, events, program, run

WITHOUT_SUBREAPER = """
import rebound.kernel.linux, sys
rebound.kernel.linux.become_subreaper = lambda: None
sys.exit(rebound.supervise(sys.argv[1:], rebound.Config(verbosity="quiet")))
"""


@pytest.mark.parametrize("count", [1, 1000])
def test_orphans_are_adopted_and_reaped(start, mode, count):
    rebound = start(*program("orphans.py", count), wrapper=mode, stdin=subprocess.PIPE)
    rebound.wait_ready()
    rebound.wait_until(lambda: len(rebound.children()) == count + 1)
    rebound.popen.stdin.close()
    rebound.wait_until(lambda: len(rebound.children()) == 1)


def new_parent(*supervisor):
    command = [*NESTED, *supervisor, *program("orphan.py")]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE).stdout


def test_the_subreaper_is_what_makes_the_difference():
    assert new_parent(REBOUND, "-q") == "rebound\n"
    assert new_parent(PYTHON[0], "-Ic", WITHOUT_SUBREAPER) == "tini\n"


def test_as_pid_1_no_zombie_is_left():
    script = """
    for i in 1 2 3 4 5 6 7 8 9; do (sleep 0 &); done
    while ps -eo stat | grep -q Z; do :; done
    echo none
    """
    command = [*PID1, REBOUND, "-q", "sh", "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert result.stdout == "none\n"


def test_a_flood_of_orphans_does_not_keep_rebound_from_stopping(start, mode):
    rebound = start("sh", "-c", "echo ready; while :; do (true &); done", wrapper=mode)
    rebound.wait_ready()
    rebound.send(15)
    assert rebound.wait() == 143


def test_the_command_may_end_together_with_its_orphans():
    script = "for i in 1 2 3 4 5 6 7 8; do (exit 0 &); done; kill -KILL $$"
    result = run(*JSON, "-b", 0, "-r", 100, "sh", "-c", script)
    assert result.returncode == 137
    restarts = [end["restarts"] for end in events(result.stderr, "exited")]
    assert restarts == [*range(1, 101), 100]
