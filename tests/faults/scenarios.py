"""A rebound under strace, which makes a system call fail; and what is to be true of it then.

Without -f strace touches rebound alone: it spawns by vfork(2), whose child is not traced.  All
runs in a PID namespace of its own: whatever comes of it, it is gone afterwards.
"""

from __future__ import annotations

import ctypes
import os
import pty
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from tests.faults import table
from tests.faults.table import Fault
from tests.helpers import JSON, NESTED, REBOUND, events, kill_family, program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.faults.denied import Denial

READY_DEADLINE = 20.0
"""Seconds for what must become ready; for what need not, it is not waited so long."""
PATIENCE = 1.0
STOP_DEADLINE = 12.0
"""Seconds from SIGTERM to the end: the stop timeout, rounds of 1 s without descriptors."""
IDLE = 0.25
"""Seconds in which nothing happens, and in which a spin shows."""
MOST_CPU, MOST_CPU_BUSY = 2.0, 6.0
"""Seconds of CPU time, those of strace and of the commands included."""
MOST_CALLS = 4000
"""System calls from the first start on; an ordinary run takes 600, a spin thousands a second."""

# The first run crashes.  The second leaves an orphan that ends, and one that has to be asked.
SERVICE = """
[ "$REBOUND_RESTARTS" != 0 ] || exit 9
(sh -c : &)
(sh -c 'trap "echo asked; exit" TERM; echo ready; while :; do sleep 1000 & wait $!; done' &)
exec sleep 2000
"""
# For the client, somebody who answers; one of another PID namespace would not be asked.
BESIDE_ANOTHER = [
    "sh",
    "-c",
    """
"$0" -q sleep 1000 &
until [ -S "$REBOUND_RUN_DIR/$!.sock" ]; do sleep 0.01; done
"$@"
""",
    REBOUND,
]
# The same, without a run directory for either.
BESIDE_ONE_WITHOUT_PATH = [
    *("unshare", "--net"),  # else others' names would be listed, too
    "sh",
    "-c",
    """
export REBOUND_RUN_DIR=/dev/null/run
"$0" -q sleep 1000 &
until grep -q "@rebound/.*/$!$" /proc/net/unix; do sleep 0.01; done
"$@"
""",
    REBOUND,
]
WITHOUT_PATH = ["env", "REBOUND_RUN_DIR=/dev/null/run"]
# A command that is no more: it has removed itself.
THAT_GOES = [
    "sh",
    "-c",
    """
command=${REBOUND_RUN_DIR%run}command
printf '#!/bin/sh\\nrm "$0"\\nexit 9\\n' >"$command"
chmod +x "$command"
exec "$@"
""",
    "sh",
]
PLAIN = ["-v", "-b", "0", "--max-delay", "20ms", "--stop-timeout", "1s"]
OPTIONS = ["-kG", "--oom-score-adj", "500", "--termination-log", "DIRECTORY/message"]
OPTIONS += [*JSON, "-p", "HUP"]
HEALTH = ["-v", "--health-cmd", "echo well", "--health-interval", "20ms"]
PROBE = ["-b", "0", "--stop-timeout", "1s", "--health-interval", "20ms", "--health-retries", "1000"]
LOG_FILE = ["--log-file", "DIRECTORY/log", "--log-reopen", "--rewrite", "HUP:0"]
HANDED = ["--listen", "[::1]:0", "--listen", "DIRECTORY/socket", "--fd-store", "8"]
NOTIFIER = ["first[", "asleep", "]", "READY=1", "STATUS=well", "print:ready", "keep:0.05"]


@dataclass(frozen=True)
class Scenario:
    """What is started, and when it is as it should be before it is stopped."""

    args: Sequence[object]
    ready: Callable[[Run], bool]
    act: Callable[[Run, Fault | None], None] = lambda _run, _fault: None
    wrapper: Sequence[str] = ()


@dataclass
class Result:
    """What came of a fault."""

    fault: Fault | Denial | None
    outcome: str
    problems: list[str] = field(default_factory=list)
    log: str = ""
    seconds: float = 0.0


class Run:
    """One rebound under strace, in a directory of its own."""

    def __init__(self, scenario: Scenario, directory: Path, options: Sequence[str]) -> None:
        self.directory = directory
        self.trace = directory / "trace"
        self.run_directory = directory / "run"
        directory.chmod(0o755)  # as /run: else there is no path for the NOTIFY_SOCKET
        self.stack = ExitStack()
        env = {**os.environ, "REBOUND_RUN_DIR": str(self.run_directory)}
        self.manager = self.stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.manager.bind(f"{directory}/manager")
        env["NOTIFY_SOCKET"] = f"{directory}/manager"
        args = [str(word).replace("DIRECTORY", str(directory)) for word in scenario.args]
        strace = ["strace", "-o", str(self.trace), *options, REBOUND, *args]
        # strace itself must not be PID 1: it would wait for orphans, too.
        self.command = [*NESTED, *scenario.wrapper, *strace]
        stdin = subprocess.DEVNULL
        if "--ctty" in scenario.wrapper:
            master, stdin = pty.openpty()
            self.stack.callback(os.close, master)
            self.stack.callback(os.close, stdin)
        with open(directory / "out", "wb") as out, open(directory / "err", "wb") as err:
            self.popen = subprocess.Popen(
                self.command,
                env=env,
                stdin=stdin,
                stdout=out,
                stderr=err,
            )
        self.cpu_time = 0.0
        self._rebound: psutil.Process | None = None

    @property
    def out(self) -> str:
        return (self.directory / "out").read_text(errors="replace")

    @property
    def err(self) -> str:
        files = [self.directory / "err", *sorted(self.directory.glob("log*"))]
        return "".join(file.read_text(errors="replace") for file in files)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of that name, with a log in JSON."""
        return events(self.err, name)

    def told(self, name: str, times: int = 1) -> bool:
        """Whether there were so many of them."""
        return len(self.events(name)) >= times

    def ended(self) -> bool:
        if self.popen.returncode is None:
            pid, status, usage = os.wait4(self.popen.pid, os.WNOHANG)
            if pid:
                self.popen.returncode = os.waitstatus_to_exitcode(status)
                self.cpu_time = usage.ru_utime + usage.ru_stime
        return self.popen.returncode is not None

    def wait(self, what: Callable[[], object], deadline: float) -> bool:
        """Wait until something is so, or rebound has ended, or for so long."""
        end = time.monotonic() + deadline
        while not what():
            if self.ended() or time.monotonic() > end:
                return bool(what())
            select.select((), (), (), 0.01)
        return True

    @property
    def rebound(self) -> psutil.Process | None:
        """The tracee: the child of strace; it has no name if prctl(2) failed."""
        if self._rebound is None or not self._rebound.is_running():
            with suppress(psutil.NoSuchProcess):
                for process in psutil.Process(self.popen.pid).children(recursive=True):
                    if process.name() == "strace":
                        self._rebound = next(iter(process.children()), None)
        return self._rebound

    def send(self, signo: int) -> None:
        if self.rebound:
            with suppress(ProcessLookupError):
                os.kill(self.rebound.pid, signo)

    def zombies(self) -> list[int]:
        try:
            children = self.rebound.children() if self.rebound else []
            return [c.pid for c in children if c.status() == psutil.STATUS_ZOMBIE]
        except psutil.NoSuchProcess:
            return []

    def client(self, *args: str) -> int:
        """Ask; it must end, whatever it says."""
        env = {**os.environ, "REBOUND_RUN_DIR": str(self.run_directory)}
        # An abstract socket is only found in its own PID namespace.
        inside = [
            "nsenter",
            "--pid",
            "--mount",
            f"--target={self.rebound.pid if self.rebound else 0}",
        ]
        without_path = WITHOUT_PATH[-1] in self.command
        result = subprocess.run(
            [*(inside + WITHOUT_PATH if without_path else []), REBOUND, *args],
            env=env,
            capture_output=True,
            text=True,
            timeout=READY_DEADLINE,
        )
        assert "Traceback" not in result.stderr, result.stderr
        assert result.returncode in (0, 1, 3), result
        return result.returncode

    def close(self) -> None:
        if not self.ended():
            kill_family(self.popen.pid)
            self.popen.wait()
        self.stack.close()


def is_ready(run: Run) -> bool:
    return "ready" in run.out


def _ask(run: Run, fault: Fault | None) -> None:
    answers = [run.client("--status"), run.client("--status", "--json"), run.client("--status")]
    # One connection that fails is not the end of all.
    if fault is None or (fault.call in table.OF_A_CONNECTION and fault.when == table.ONCE):
        assert answers[-1] == 0, f"no status any more: {answers}"


def _scrape(run: Run, fault: Fault | None) -> None:
    """Ask for each page, and be a client that goes in mid-request; whatever comes, it ends."""
    answers = [
        _get(run, path) for path in ("/livez", "/readyz", "/metrics", "/status", "x", "/livez")
    ]
    # One connection that fails is not the end of all.
    if fault is None or (fault.call in table.OF_A_CONNECTION and fault.when == table.ONCE):
        assert answers[-1].startswith(b"HTTP/1.1 200 OK"), answers


def _get(run: Run, path: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
        client.settimeout(2 * PATIENCE)
        client.connect(f"{run.directory}/http")
        client.sendall(f"GET {path}".encode())
        client.sendall(b" HTTP/1.1\r\nHost: a\r\n\r\n")
        return client.recv(100)
    return b""


_libc = ctypes.CDLL(None, use_errno=True)


def _rotate(run: Run, _fault: Fault | None) -> None:
    log = run.directory / "log"
    for number in range(3):
        if log.exists():
            log.rename(run.directory / f"log.{number}")
        run.send(signal.SIGHUP)
        run.wait(log.exists, PATIENCE)


def _signal(run: Run, _fault: Fault | None) -> None:
    rebound = run.rebound
    if rebound:
        run.send(signal.SIGWINCH)
        _libc.sigqueue(rebound.pid, signal.SIGURG, ctypes.c_void_p(7))
        told = {"SIGURG", "SIGWINCH"}
        run.wait(lambda: told <= {event["signal"] for event in run.events("signal")}, PATIENCE)


SCENARIOS = {
    "service": Scenario([*PLAIN, "sh", "-c", SERVICE], is_ready),
    "backoff": Scenario([*JSON, "-b1", "-d", "1h", "false"], lambda run: run.told("delayed")),
    "lost": Scenario(
        [*PLAIN, *JSON, "DIRECTORY/command"],
        lambda run: run.told("exec_failed", 3),
        wrapper=THAT_GOES,
    ),
    "health": Scenario(
        [*JSON, *HEALTH, "sleep", "1000"],
        lambda run: run.told("healthy"),
    ),
    "probe": Scenario(
        [*JSON, *PROBE, "--health-tcp", "127.0.0.1:1", "sleep", "1000"],
        lambda run: run.told("health_failed") or run.told("health_unknown"),
    ),
    "memory": Scenario(
        [*PLAIN, *JSON, "--max-memory", "1", "sleep", "1000"],
        lambda run: run.told("over_memory") or run.told("memory_unknown"),
    ),
    "watchdog": Scenario(
        [*PLAIN, "--watchdog", "400ms", "--notify", *program("notifier.py", *NOTIFIER)], is_ready
    ),
    "abstract": Scenario(
        [*PLAIN, "--watchdog", "400ms", *program("notifier.py", *NOTIFIER)],
        is_ready,
        wrapper=["env", "REBOUND_RUN_DIR="],
    ),
    "store": Scenario([*PLAIN, *HANDED, *program("hoarder.py")], is_ready, _ask),
    "status": Scenario([*PLAIN, "sh", "-c", SERVICE], is_ready, _ask),
    "http": Scenario([*PLAIN, "--http", "DIRECTORY/http", "sh", "-c", SERVICE], is_ready, _scrape),
    "pathless": Scenario([*PLAIN, "sh", "-c", SERVICE], is_ready, _ask, wrapper=WITHOUT_PATH),
    "options": Scenario(
        [*PLAIN, *OPTIONS, "sh", "-c", SERVICE],
        is_ready,
        _signal,
    ),
    "terminal": Scenario(
        [*PLAIN, "-g", "sh", "-c", SERVICE],
        is_ready,
        wrapper=["setsid", "--ctty", "--wait"],
    ),
    "signals": Scenario([*PLAIN, "sh", "-c", SERVICE], is_ready, _signal),
    "logfile": Scenario(
        [*PLAIN, *LOG_FILE, "sh", "-c", SERVICE],
        is_ready,
        _rotate,
    ),
    "client": Scenario(["--status"], lambda run: run.ended(), wrapper=BESIDE_ANOTHER),
    "seeker": Scenario(["--status"], lambda run: run.ended(), wrapper=BESIDE_ONE_WITHOUT_PATH),
}
CLIENTS = ("client", "seeker")

# --- Where the start of Python ends ---------------------------------------------------------

MARKS = {table.SETUP: "prctl(PR_SET_NAME", table.RUN: "prctl(PR_SET_CHILD_SUBREAPER"}
CLIENT_MARK = "rt_sigprocmask(SIG_SETMASK"


def calls_in(trace: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return [line for line in trace.read_text(errors="replace").splitlines() if "(" in line]
    return []


@cache
def first_calls(scenario: str) -> dict[str, Counter[str]]:
    """Count the calls before each phase, in a run without faults, which has to go well."""
    result, calls = run_scenario(scenario, ["-e", "trace=all"])
    expected = table.ANSWERS if scenario in CLIENTS else table.CARRIES_ON
    assert (result.outcome, result.problems) == (expected, []), (result, result.log)
    counts = {}
    for phase in (table.SIGNALS, table.SETUP, table.RUN):
        mark = CLIENT_MARK if scenario in CLIENTS else MARKS.get(phase, MARKS[table.SETUP])
        at = max(number for number, call in enumerate(calls) if call.startswith(mark))
        counts[phase] = Counter(call.partition("(")[0] for call in calls[:at])
    counts[table.SIGNALS].subtract(["rt_sigprocmask"])
    return counts


def options_of(fault: Fault) -> list[str]:
    """Give strace's options that inject the fault."""
    before = first_calls(fault.scenario)[fault.phase]
    first = before[fault.call] + 1
    when = table.WHEN[fault.when].format(first, first + 1)
    options = [f"--inject={fault.call}:error={fault.errno}:when={when}"]
    # Only where the calls named in `beside` begin to count: they are counted alike.
    numbers = {call: count + 1 for call, count in before.items()}
    return [*options, *(f"--inject={beside.format(**numbers)}" for beside in fault.beside)]


# --- Running --------------------------------------------------------------------------------


def run_fault(fault: Fault) -> Result:
    """Make a call fail, and look at all that must be true nevertheless."""
    began = time.monotonic()
    result, calls = run_scenario(fault.scenario, options_of(fault), fault)
    result.fault = fault
    reached = any("(INJECTED)" in call and call.startswith(fault.call) for call in calls)
    if not (reached or fault.may_be_spared):
        result.problems.append("the call was not made so often as to fail")
    result.seconds = time.monotonic() - began
    return result


def run_scenario(
    name: str, options: Sequence[str], fault: Fault | None = None
) -> tuple[Result, list[str]]:
    """Run a scenario under strace to its end; give the result, and the calls."""
    scenario = SCENARIOS[name]
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fault")))
        run = Run(scenario, directory, options)
        stack.callback(run.close)
        result = drive(run, scenario, fault)
        calls = calls_in(run.trace)
        judge(run, result, calls, fault)
        if result.problems:
            result.log = "\n".join([run.out, run.err, *calls[-150:]])
    return result, calls


def drive(run: Run, scenario: Scenario, fault: Fault | None) -> Result:
    """Wait until it is ready, let it be idle, stop it; say how it ended."""
    result = Result(fault, "")
    must = fault is None or table.ENDS_AT_STOP not in fault.expected
    ready = run.wait(lambda: scenario.ready(run), READY_DEADLINE if must else PATIENCE)
    if not run.ended():
        try:
            scenario.act(run, fault)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            result.problems.append(f"client: {error}")
        lies = fault is not None and fault.call in ("wait4", "waitid")
        if not lies and not run.wait(lambda: not run.zombies(), 5.0):
            result.problems.append(f"zombies: {run.zombies()}")
        select.select((), (), (), IDLE)
    early = run.ended()
    run.send(signal.SIGTERM)
    if not run.wait(run.ended, STOP_DEADLINE):
        result.problems.append("SIGTERM did not end it")
        result.outcome = "hangs"
        return result
    result.outcome = outcome(run, ready=ready, early=early)
    return result


def outcome(run: Run, *, ready: bool, early: bool) -> str:
    """Name how it ended."""
    status = run.popen.returncode
    if run.command[-1] == "--status":
        return table.ANSWERS if status in (0, 1, 3, 125) else f"status {status}"
    if early:
        if status == 125 and run.err.count("\n") <= 1:
            return table.OWN_ERROR
        return table.NOT_EXECUTED if status == 126 else f"ended early with {status}"
    # A command that was asked by TERM, and the stop timeout that kills who was not.
    if status in (143, 137, 255):  # 255: it was not told how the command ended
        drained = SERVICE not in run.command or "asked" in run.out
        well = ready and drained and status == 143
        return table.CARRIES_ON if well else table.ENDS_AT_STOP
    return f"stopped with {status}"


def judge(run: Run, result: Result, calls: list[str], fault: Fault | None) -> None:
    """Note what must not be, whatever the fault."""
    text = run.err
    is_client = run.command[-1] == "--status"
    for word in ("Traceback", "internal error", "Exception ignored", "Fatal Python"):
        if word in text:
            result.problems.append(f"{word} in the log")
    if fault is None or not (fault.many_calls or result.outcome == "hangs"):
        mark = CLIENT_MARK if is_client else MARKS[table.RUN]
        since = [n for n, call in enumerate(calls) if call.startswith(mark)]
        made = len(calls) - since[-1] if since else 0
        if made > MOST_CALLS:
            result.problems.append(f"{made} system calls")
    if run.cpu_time > (MOST_CPU_BUSY if fault and fault.many_calls else MOST_CPU):
        result.problems.append(f"{run.cpu_time:.1f} s of CPU time")
    may_be_left = is_client or result.outcome == "hangs" or (fault and fault.leaves_socket)
    left = sorted(os.listdir(run.run_directory)) if run.run_directory.is_dir() else []
    if left and not may_be_left:
        result.problems.append(f"left in the run directory: {left}")
    if fault and result.outcome not in fault.expected:
        result.problems.append(f"{result.outcome}, not {' or '.join(fault.expected)}")
