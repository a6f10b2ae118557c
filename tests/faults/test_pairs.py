"""The short form of `nox -s faults`: what once went wrong, and one pair of each call."""

from __future__ import annotations

import os
import random
import re
import signal

import pytest

from tests.faults import denied, table
from tests.faults.denied import run_denial
from tests.faults.scenarios import run_fault
from tests.helpers import run

SEED = os.environ.get("FAULTS_SEED", "0")

ONCE_WRONG: tuple[str, ...] = (
    "watchdog: close EIO again and again",
    "service: epoll_wait ENOMEM for good",
    "service: readv EIO for good",
    "health: read EIO for good, later",
    "service: epoll_ctl ENOMEM again and again",
    "service: sched_yield EPERM for good",
    "backoff: getrandom ENOSYS for good",
    "service: rt_sigprocmask EINVAL once, signals",
    "watchdog: mmap ENOMEM once, setup",
    "options: openat EMFILE for good, setup",
    "status: newfstatat ENOMEM again and again",
    "status: rename EACCES for good",
    "status: listen EADDRINUSE once",
    "status: getsockopt EINVAL once",
    "status: getsockname ENOBUFS once",
    "health: ioctl EINVAL for good",
    "health: ioctl EINVAL for good, later",
    "watchdog: socket ENOBUFS once",
    "service: clone3 EPERM for good",
    "service: clone EPERM again and again, by fork",
    "lost: read EIO once, by fork",
    "lost: read EIO for good, by fork",
)

FAULTS = {str(fault): fault for fault in table.faults()}


ONCE_WRONGLY_DENIED: tuple[str, ...] = (
    "denied, plain: waitid EPERM",
    "denied, options: waitid ENOSYS",
    "denied, plain: wait4 EPERM",
    "denied, pid1: wait4 ENOSYS",
    "denied, pid1: prctl EPERM",
    "denied, plain: getpid EPERM",
)

DENIALS = {str(denial): denial for denial in denied.denials()}


def sample(faults):
    """Give one pair of each call; FAULTS_SEED gives others."""
    choose = random.Random(SEED)
    calls = dict.fromkeys(fault.call for fault in faults.values())
    return [
        choose.choice([name for name, fault in faults.items() if fault.call == call])
        for call in calls
    ]


@pytest.mark.parametrize("name", dict.fromkeys([*ONCE_WRONG, *sample(FAULTS)]))
def test_a_call_that_fails(name):
    result = run_fault(FAULTS[name])
    assert not result.problems, result.log


@pytest.mark.parametrize("name", dict.fromkeys([*ONCE_WRONGLY_DENIED, *sample(DENIALS)]))
def test_a_call_that_a_profile_refuses(name):
    result = run_denial(DENIALS[name])
    assert not result.problems, result.log


@pytest.mark.parametrize("scenario", ["options", "store"])
def test_no_call_is_left_out(start, tmp_path, scenario):
    """Neither of rebound nor of Python or the C library, from the launcher on to the end."""
    traces = [tmp_path / "supervisor", tmp_path / "client"]
    strace = [["strace", "-f", "-qq", "--signal=none", "-o", trace] for trace in traces]
    options = [word.replace("DIRECTORY", str(tmp_path)) for word in denied.SCENARIOS[scenario][1]]
    rebound = start(*denied.USUAL, *options, denied.witness(), wrapper=strace[0])
    rebound.wait_ready()
    rebound.wait_until(lambda: run("--status", wrapper=strace[1]).returncode in (0, 1))
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    text = "".join(trace.read_text() for trace in traces)
    made = set(re.findall(r"^\d+ +(\w+)\(", text, re.MULTILINE))
    of_the_command = {"pause", "pipe", "rt_sigsuspend"}
    of_a_thread = {"exit"}  # refused, it would be tried for ever; no profile refuses it
    assert made - of_the_command - of_a_thread <= set(denied.CALLS.split())
