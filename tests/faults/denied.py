"""rebound under a seccomp profile that refuses one system call, to whoever makes it: the cases, and
what must come of them.

`table` lets strace fail the calls of rebound itself.  A profile meets those of the launcher, the
start of Python, and the C library in a child before its exec, too.  The errnos are what profiles
answer with: EPERM, as Docker's; EACCES; and ENOSYS, for calls that the profile is too old to know.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from tests.faults.scenarios import IDLE, PATIENCE, READY_DEADLINE, STOP_DEADLINE, Result
from tests.faults.table import ANSWERS, CARRIES_ON, ENDS_AT_STOP, NOT_EXECUTED, OWN_ERROR
from tests.helpers import PID1, PLAIN, PROGRAMS, Supervised, denied, is_running, run

NEVER_RUNS = "never runs"
"""The loader, the C library or Python ends before rebound has anything to say."""

ERRNOS = ("EPERM", "EACCES", "ENOSYS")

USUAL = ["-v", "-b", "0", "--max-delay", "20ms", "--stop-timeout", "1s"]
OPTIONS = [
    *("-kG", "--oom-score-adj", "500", "-p", "HUP", "--notify", "--log-format", "json"),
    *("--health-cmd", "exit 0", "--health-interval", "50ms", "--health-retries", "1000"),
    *("--watchdog", "1h", "--termination-log", "DIRECTORY/message"),
]
HANDED = ["--listen", "[::1]:0", "--listen", "DIRECTORY/socket", "--fd-store", "8"]
PROBE = ["--health-http", "http://127.0.0.1:1", "--health-interval", "50ms"]
SCENARIOS: dict[str, tuple[list[str], list[str]]] = {
    "plain": (PLAIN, []),
    "pid1": (PID1, []),
    "options": (PLAIN, OPTIONS),
    "store": (PLAIN, HANDED),
    "probe": (PLAIN, [*PROBE, "--health-retries", "1000"]),
}
"""What to put before the profile, and further options."""
CLIENT = "client"
"""In this one a rebound without a profile is asked by one with it."""

CALLS = """
access arch_prctl bind brk chdir clone clone3 close close_range connect dup dup2 epoll_create1 epoll_ctl epoll_wait
execve exit_group fcntl futex getcwd getdents64 getegid geteuid getgid getpeername getpgid getpgrp
getpid getppid getrandom getsid getsockname getsockopt gettid getuid ioctl kill linkat listen lseek lstat
madvise mkdir mmap mprotect mremap munmap newfstatat openat pidfd_open pipe2 poll pread64
prlimit64 prctl ptrace pwritev2 read readlink readv recvfrom recvmsg rename rseq rt_sigaction
rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigtimedwait sched_getaffinity sched_yield sendto
set_robust_list set_tid_address setpgid setsid setsockopt shutdown sigaltstack signalfd4 socket
stat statx eventfd2 kcmp sendmsg
sysinfo tgkill umask uname unlink vfork wait4 waitid write accept4 clock_nanosleep
"""
"""All that strace -f shows, from the launcher on to the end, and what other versions make."""

NO_START = (NEVER_RUNS, CARRIES_ON)
"""It depends on the versions of the C library and Python whether they live on without it."""


@dataclass(frozen=True)
class Exemption:
    """Calls without which not all goes on as usual, and why."""

    calls: str
    expected: tuple[str, ...]
    why: str
    scenarios: tuple[str, ...] = tuple(SCENARIOS)
    errnos: tuple[str, ...] = ERRNOS


# The first that fits counts.
EXEMPTIONS = (
    Exemption(
        "arch_prctl brk close execve exit_group mmap mprotect newfstatat openat pread64 read",
        NO_START,
        "nothing can be loaded without",
    ),
    Exemption("fcntl futex getdents64 ioctl", NO_START, "Python does not start without"),
    Exemption("getrandom", NO_START, "Python does not start without", errnos=("EACCES",)),
    Exemption("readlink", (OWN_ERROR, CARRIES_ON), "the launcher follows its symlinks"),
    Exemption("rt_sigprocmask", (OWN_ERROR,), "a signal would be lost, or end us"),
    Exemption("rt_sigaction", (OWN_ERROR,), "while SIGCHLD is ignored, nobody can be waited for"),
    Exemption("prctl", (CARRIES_ON,), "PID 1 need be no subreaper", scenarios=("pid1",)),
    Exemption(
        "prctl", (OWN_ERROR,), "nothing would be adopted", ("plain", "options", "store", "probe")
    ),
    Exemption("socket setsockopt bind listen", (OWN_ERROR,), "no sockets that listen", ("store",)),
    Exemption("pipe2", (ENDS_AT_STOP,), "the fork reports through a pipe", ("store",)),
    Exemption("setpgid", (ENDS_AT_STOP, CARRIES_ON), "no group of its own", ("options",)),
    Exemption("kill", (ENDS_AT_STOP,), "nobody can be asked or killed"),
    Exemption("write clone", (ENDS_AT_STOP,), "the command needs it"),
    Exemption(
        "socket setsockopt bind getsockname",
        (ENDS_AT_STOP, CARRIES_ON),
        "no NOTIFY_SOCKET, and without one each run would be taken for hung",
        ("options", "store"),
    ),
)


@dataclass(frozen=True)
class Denial:
    """A call that is refused in a scenario, and what may come of it."""

    scenario: str
    call: str
    errno: str

    def __str__(self) -> str:
        return f"denied, {self.scenario}: {self.call} {self.errno}"

    @property
    def expected(self) -> tuple[str, ...]:
        """Return the outcomes that are right."""
        if self.scenario == CLIENT:
            return (ANSWERS, NEVER_RUNS)
        for exemption in EXEMPTIONS:
            if (
                self.call in exemption.calls.split()
                and self.scenario in exemption.scenarios
                and self.errno in exemption.errnos
            ):
                return exemption.expected
        return (CARRIES_ON,)


def denials() -> list[Denial]:
    """Give all cases."""
    scenarios = (*SCENARIOS, CLIENT)
    return [Denial(s, call, error) for s in scenarios for call in CALLS.split() for error in ERRNOS]


# --- Running ------------------------------------------------------------------------------


@cache
def _directory() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="witness")  # goes with the process


@cache
def witness() -> str:
    """Compile the command that makes hardly a call itself; return its path."""
    program = f"{_directory().name}/witness"
    warnings = ("-std=c11", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Werror")
    source = PROGRAMS / "witness.c"
    subprocess.run(["gcc", "-O2", "-static", *warnings, "-o", program, source], check=True)
    return program


def run_denial(denial: Denial) -> Result:
    """Refuse a call, and look at all that must be true nevertheless."""
    began = time.monotonic()
    result = Result(denial, "")
    with TemporaryDirectory(prefix="denied") as directory, ExitStack() as stack:
        drive = _drive_client if denial.scenario == CLIENT else _drive
        drive(denial, Path(directory), stack, result)
    if result.outcome not in denial.expected:
        result.problems.append(f"{result.outcome}, not {' or '.join(denial.expected)}")
    result.seconds = time.monotonic() - began
    return result


def _start(
    directory: Path, stack: ExitStack, wrapper: list[str], options: list[str]
) -> tuple[Supervised, dict[str, str]]:
    env = {**os.environ, "REBOUND_RUN_DIR": f"{directory}/run"}
    options = [word.replace("DIRECTORY", str(directory)) for word in options]
    rebound = Supervised(directory, [*USUAL, *options, witness()], wrapper, env=env)
    stack.enter_context(rebound)
    return rebound, env


def _wait(rebound: Supervised, what: Callable[[], object], deadline: float) -> bool:
    """Wait until something is so, or rebound has ended, or for so long."""
    end = time.monotonic() + deadline
    while not what():
        if rebound.popen.poll() is not None or time.monotonic() > end:
            return bool(what())
        select.select((), (), (), 0.01)
    return True


def _drive(denial: Denial, directory: Path, stack: ExitStack, result: Result) -> None:
    """Wait until it is ready, let it be asked and be idle, stop it; say how it ended."""
    wrapper, options = SCENARIOS[denial.scenario]
    profile = denied(f"{denial.call}:{denial.errno}")
    rebound, env = _start(directory, stack, [*wrapper, *profile], options)
    deadline = READY_DEADLINE if CARRIES_ON in denial.expected else PATIENCE
    ready = _wait(rebound, lambda: "ready" in rebound.stdout, deadline)
    family: list[psutil.Process] = []
    early = rebound.popen.poll() is not None
    if not early:
        family = _family(rebound.popen.pid)
        supervisor = family[bool(wrapper)]
        if denial.scenario == "plain":
            client = run("--status", env=env)  # whatever it answers, it ends
            if client.returncode not in (0, 1, 3) or "Traceback" in client.stderr:
                result.problems.append(f"client: {client}")
        if not _wait(rebound, lambda: not _zombies(supervisor), PATIENCE):
            result.problems.append(f"zombies: {_zombies(supervisor)}")
        before = _cpu_time(supervisor)
        select.select((), (), (), IDLE)
        if _cpu_time(supervisor) - before > 0.8 * IDLE:
            result.problems.append("keeps a CPU busy")
        with suppress(psutil.NoSuchProcess):
            supervisor.terminate()
        if not _wait(rebound, lambda: rebound.popen.poll() is not None, STOP_DEADLINE):
            result.problems.append("SIGTERM did not end it")
    status, log = rebound.popen.poll(), rebound.log
    result.log = log
    result.outcome = _outcome(rebound, ready=ready, early=early)
    if result.outcome != NEVER_RUNS:
        result.problems += _noise(log)
    left = [process.pid for process in family if status is not None and is_running(process.pid)]
    if left and denial.call != "kill":
        result.problems.append(f"left running: {left}")


def _drive_client(denial: Denial, directory: Path, stack: ExitStack, result: Result) -> None:
    rebound, env = _start(directory, stack, PLAIN, [])
    rebound.wait_until(lambda: list(directory.glob("run/[0-9]*.sock")))
    client = run("--status", wrapper=denied(f"{denial.call}:{denial.errno}"), env=env)
    result.log = client.stdout + client.stderr
    spoke = client.stdout or client.stderr.startswith("rebound: ")
    if client.returncode in (0, 1, 3, 125) and spoke:
        result.outcome = ANSWERS
        result.problems += _noise(client.stderr)
    else:
        result.outcome = NEVER_RUNS if client.returncode else "ends well without an answer"


def _noise(log: str) -> list[str]:
    # Without lseek(2) Python shows a traceback of its own, and goes on.
    words = ("internal error", "Fatal Python", *(() if "zipimport" in log else ("Traceback",)))
    return [f"{word} in the log" for word in words if word in log]


def _family(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def _zombies(process: psutil.Process) -> list[int]:
    with suppress(psutil.NoSuchProcess):
        return [c.pid for c in process.children() if c.status() == psutil.STATUS_ZOMBIE]
    return []


def _cpu_time(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return times.user + times.system
    return 0.0


def _outcome(rebound: Supervised, *, ready: bool, early: bool) -> str:
    """Name how it ended."""
    status = rebound.popen.poll()
    if status is None:
        return "hangs"
    if early:
        # With -v the sockets that listen are told before.
        lines = [line for line in rebound.log.splitlines() if "listening: " not in line]
        if status == 125 and len(lines) == 1:
            return OWN_ERROR
        started = any("starting" in line for line in lines)
        if status == 126 and started:
            return NOT_EXECUTED
        return NEVER_RUNS if status and not started else f"ended early with {status}"
    well = ready and status == 143 and "asked" in rebound.stdout
    return CARRIES_ON if well else ENDS_AT_STOP
