"""`import rebound`, and `python3 -m rebound`."""

from __future__ import annotations

import subprocess

from tests.helpers import DEADLINE, PYTHON


def test_library_call_reports_what_is_wrong():
    code = """
import rebound
for wrong in (
    lambda: rebound.supervise([]),
    lambda: rebound.supervise("sh"),
    lambda: rebound.supervise(["a\\0b"]),
    lambda: rebound.Config(restart="x"),
    lambda: rebound.Config(max_delay=-1),
    lambda: rebound.Config(stop_timeout=float("inf")),
    lambda: rebound.Config(drain_signal=99),
    lambda: rebound.Config(rewrite=((15, 65),)),
):
    try:
        wrong()
    except ValueError as error:
        print(error)
"""
    result = subprocess.run([PYTHON[0], "-I", "-c", code], capture_output=True, text=True)
    assert result.stdout.count("\n") == 8
    assert result.stderr == ""


def test_library_call_restores_the_signal_mask():
    code = """
import rebound, signal
before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
status = rebound.supervise(["sh", "-c", "exit 3"], rebound.Config(restart="never", verbosity="quiet"))
print(status, signal.pthread_sigmask(signal.SIG_BLOCK, []) == {signal.SIGUSR2})
"""
    result = subprocess.run([PYTHON[0], "-I", "-c", code], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("3 True\n", "")


def test_a_command_that_somebody_else_waited_for_counts_as_failed():
    """As by a thread of a program that calls `supervise`."""
    code = """
import os, rebound, sys
from rebound import reaper
take = reaper.reap
def reap(*args):
    ended = take(*args)
    return take(*args) if ended else None
reaper.reap = reap
sys.exit(rebound.supervise(["true"], rebound.Config(max_restarts=2)))
"""
    result = subprocess.run(
        [PYTHON[0], "-Ic", code], capture_output=True, text=True, timeout=DEADLINE
    )
    assert result.returncode == 255
    assert result.stderr.count("was reaped by someone else") == 3


def test_module_run():
    result = subprocess.run([PYTHON[0], "-Im", "rebound", "sh", "-c", "kill -TERM $$"])
    assert result.returncode == 143
