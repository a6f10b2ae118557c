"""--max-memory by looking.  Where the kernel holds the limit: `nox -s kernels`."""

from __future__ import annotations

import pytest

from tests import cgroups
from tests.helpers import JSON, PYTHON, is_running

MB = 2**20
OUT_OF_SIGHT = ["unshare", "--mount", "sh", "-c", 'umount -lR /sys/fs/cgroup; exec "$0" "$@"']
"""What hides the cgroups, so that rebound can make none."""

LEAKS = """
import os, signal
def take(megabytes):
    taken = bytearray(megabytes * 2**20)
    taken[::4096] = b"x" * (megabytes * 256)
    return taken
if os.environ["REBOUND_RESTARTS"] == "0":
    reader, writer = os.pipe()
    if not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)
        held = take(200)
        print("database", os.getpid(), flush=True)
        os.write(writer, b"x")
        signal.pause()
    os.wait()
    os.read(reader, 1)
    if not os.fork():
        leak = take(80)
        signal.pause()
print("ready", os.environ.get("REBOUND_LAST_EXIT"), flush=True)
signal.pause()
"""
"""Leaves a database with much memory; then its child leaks, in the first run."""


def test_a_command_that_leaks_is_restarted_and_what_was_adopted_does_not_count(start):
    command = [*PYTHON, "-c", LEAKS]
    rebound = start(*JSON, "--max-memory", "60M", *command, wrapper=OUT_OF_SIGHT)
    rebound.wait_ready(2)
    assert rebound.lines("ready") == ["ready None", "ready memory"]
    [how] = rebound.events("memory_limit")
    assert (how["by"], how["limit"], how["level"]) == ("looks", 60 * MB, "info")
    [over] = rebound.events("over_memory")
    assert over["limit"] == 60 * MB
    assert 80 * MB < over["resident"] < 200 * MB
    [end] = rebound.events("exited")
    assert (end["pid"], end["reason"], end["signal"]) == (over["pid"], "memory", "SIGTERM")
    [line] = rebound.lines("database")
    assert is_running(int(line.split()[1]))


def test_a_run_that_ends_well_when_told_to_has_failed_all_the_same(start):
    script = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done"
    options = [*JSON, "--max-memory", "1", "--restart", "never"]
    rebound = start(*options, "sh", "-c", script, wrapper=OUT_OF_SIGHT)
    assert rebound.wait() == 1
    [end] = rebound.events("exited")
    assert (end["reason"], end["code"]) == ("memory", 0)


def test_a_percentage_is_of_what_the_container_may_take(start):
    with cgroups.new("memory", memory__limit_in_bytes=80 * MB, memory__max=80 * MB) as cgroup:
        options = ["-v", *JSON, "--max-memory", "25%"]
        rebound = start(*options, "sleep", "1000", wrapper=cgroups.inside(cgroup))
        [how] = rebound.wait_until(lambda: rebound.events("memory_limit"))
        rebound.popen.terminate()
        rebound.wait()
    assert how["limit"] == 20 * MB


WITHOUT_PROC = {
    "no /proc": ["unshare", "--mount", "sh", "-c", 'umount -l /proc; exec "$0" "$@"'],
    "that of others": ["unshare", "--pid", "--fork", "--kill-child"],
}


@pytest.mark.parametrize("hide", WITHOUT_PROC.values(), ids=WITHOUT_PROC)
def test_without_proc_the_limit_has_no_effect_and_that_is_said(start, hide):
    """The run goes on."""
    rebound = start(*JSON, "--max-memory", "1", "sleep", "1000", wrapper=hide)
    [told] = rebound.wait_until(lambda: rebound.events("memory_unknown"))
    assert told["level"] == "error"
    assert not rebound.events("exited")
