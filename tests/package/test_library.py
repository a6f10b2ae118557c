"""`import rebound`, and `python3 -m rebound`."""

from __future__ import annotations

import os
import subprocess

from tests.helpers import DEADLINE, PYTHON


def test_library_call_reports_what_is_wrong():
    code = """
import rebound
for wrong in (
    lambda: rebound.supervise([]),
    lambda: rebound.supervise("sh"),
    lambda: rebound.supervise(["a\\0b"]),
    lambda: rebound.supervise([""]),
    lambda: rebound.supervise(["true", "\\ud800"]),
    lambda: rebound.supervise(["true"], rebound.Config(health_command="\\ud800")),
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
    result = subprocess.run(
        [PYTHON[0], "-I", "-c", code], capture_output=True, text=True, timeout=DEADLINE
    )
    assert result.stdout.count("\n") == 11
    assert result.stderr == ""


def test_library_call_does_without_a_variable_that_python_cannot_pass_on():
    """`=value`, as `env` leaves it alone: os.environb has it, and posix_spawn takes it not."""
    code = "import rebound, sys; sys.exit(rebound.supervise(['sh', '-c', 'exit 0']))"
    result = subprocess.run(
        [PYTHON[0], "-Ic", code],
        env={**os.environ, "": "value"},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert (result.returncode, "cannot start" in result.stderr) == (0, False)


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


def test_what_python_refuses_to_start_is_not_tried_for_ever():
    """It is no want of memory or processes, which would pass."""
    code = """
import os, rebound, sys
def refuse(*args, **options):
    raise ValueError("illegal environment variable name")
os.posix_spawnp = refuse
sys.exit(rebound.supervise(["true"]))
"""
    result = subprocess.run(
        [PYTHON[0], "-Ic", code], capture_output=True, text=True, timeout=DEADLINE
    )
    assert result.returncode == 126
    assert "exec true: illegal environment variable name" in result.stderr


def test_module_run():
    result = subprocess.run([PYTHON[0], "-Im", "rebound", "sh", "-c", "kill -TERM $$"])
    assert result.returncode == 143
