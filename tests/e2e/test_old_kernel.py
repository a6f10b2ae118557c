"""A kernel that lacks what came after Linux 3.4: all these calls are answered with ENOSYS, together.

See docs/kernels.md.  What else such a kernel lacks, as files in /proc, has tests of its own.
"""

from __future__ import annotations

import signal

import pytest

from tests.helpers import JSON, PID1, PLAIN, denied

SINCE_3_4 = [
    "finit_module",
    "kcmp",
    "renameat2",
    "sched_setattr",
    "sched_getattr",
    "seccomp",
    "getrandom",
    "memfd_create",
    "bpf",
    "execveat",
    "userfaultfd",
    "membarrier",
    "mlock2",
    "copy_file_range",
    "preadv2",
    "pwritev2",
    "pkey_mprotect",
    "pkey_alloc",
    "pkey_free",
    "statx",
    "rseq",
    "io_pgetevents",
    "pidfd_send_signal",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "open_tree",
    "move_mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "pidfd_open",
    "clone3",
    "close_range",
    "openat2",
    "pidfd_getfd",
    "faccessat2",
    "process_madvise",
    "epoll_pwait2",
]

LEAVE_A_DAEMON = """
[ $REBOUND_RESTARTS = 1 ] || { setsid sleep 1000 & kill -SEGV $$; }
echo ready
exec sleep 2000
"""


@pytest.mark.parametrize("wrapper", [PLAIN, PID1], ids=["plain", "pid1"])
def test_restart_signals_and_drain_on_an_old_kernel(start, wrapper):
    old = [*wrapper, *denied(*(f"{call}:ENOSYS" for call in SINCE_3_4))]
    rebound = start(*JSON, "-v", "sh", "-c", LEAVE_A_DAEMON, wrapper=old)
    rebound.wait_ready()
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    [crash, end] = rebound.events("exited")
    assert (crash["reason"], end["reason"]) == ("signal:SIGSEGV", "signal:SIGTERM")
    [asked] = rebound.events("draining")
    assert asked["count"] == 1
    assert rebound.events("no_pidfd")
    assert not rebound.events("error") + rebound.events("internal_error")
