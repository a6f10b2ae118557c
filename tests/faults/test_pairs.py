"""The short form of `nox -s faults`: what once went wrong, and one pair of each call."""

from __future__ import annotations

import os
import random

import pytest

from tests.faults import table
from tests.faults.scenarios import run_fault

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


def sample():
    """Give one pair of each call; FAULTS_SEED gives others."""
    choose = random.Random(SEED)
    calls = dict.fromkeys(fault.call for fault in FAULTS.values())
    return [
        choose.choice([name for name, fault in FAULTS.items() if fault.call == call])
        for call in calls
    ]


@pytest.mark.parametrize("name", dict.fromkeys([*ONCE_WRONG, *sample()]))
def test_a_call_that_fails(name):
    result = run_fault(FAULTS[name])
    assert not result.problems, result.log
