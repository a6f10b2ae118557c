"""`import rebound`, and `python3 -m rebound`."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.documents import blocks, text_of
from tests.helpers import DEADLINE, JSON, PID1, PYTHON, events

QUIET = 'rebound.Config(restart="never", verbosity="quiet")'


def run(code, *args, wrapper=()):
    """Run a program that uses the library."""
    return subprocess.run(
        [*wrapper, PYTHON[0], "-Ic", code, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )


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
    lambda: rebound.supervise([b"true"]),
    lambda: rebound.supervise([1]),
    lambda: rebound.Config(restart="x"),
    lambda: rebound.Config(max_delay=-1),
    lambda: rebound.Config(stop_timeout=float("inf")),
    lambda: rebound.Config(drain_signal=99),
    lambda: rebound.Config(rewrite=((15, 65),)),
    lambda: rebound.Config(max_restart=3),
    lambda: rebound.supervise(["true"], {"max_restarts": 3}),
):
    try:
        wrong()
    except (ValueError, TypeError) as error:
        print(error)
"""
    result = run(code)
    assert result.stdout.count("\n") == 15
    assert result.stderr == ""


def test_library_call_does_without_a_variable_that_python_cannot_pass_on():
    """`=value`, as `env` leaves it alone: os.environb has it, and posix_spawn takes it not."""
    code = "import rebound, sys; config = rebound.Config(log_format='json'); "
    code += "sys.exit(rebound.supervise(['sh', '-c', 'exit 0'], config))"
    result = subprocess.run(
        [PYTHON[0], "-Ic", code],
        env={**os.environ, "": "value"},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert (result.returncode, events(result.stderr, "start_failed")) == (0, [])
    assert len(events(result.stderr, "starting")) == 1


# --- The process of the caller --------------------------------------------------------

FOUND = """
import os, rebound, signal, sys, threading
def found():
    descriptors = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            descriptors[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            pass  # of the listing itself
    handlers = {signo: signal.getsignal(signo) for signo in signal.valid_signals()}
    return descriptors, signal.pthread_sigmask(signal.SIG_BLOCK, ()), handlers
"""


@pytest.mark.parametrize("on_child", ["signal.SIG_DFL", "signal.SIG_IGN", "note"])
def test_the_process_is_left_as_it_was_found(on_child, tmp_path):
    code = f"""{FOUND}
called = []
def note(signo, _frame):
    called.append(signo)
signal.signal(signal.SIGCHLD, {on_child})
signal.signal(signal.SIGTERM, note)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
before = found()
for config in (
    {QUIET},
    rebound.Config(
        restart="never", verbosity="quiet", own_group=True, run_directory=sys.argv[1],
        watchdog=60, notify=True, health_command="true", oom_score_adj=0,
    ),
):
    status = rebound.supervise(["sh", "-c", "sleep 0.1 & exit 3"], config)
    print(status, found() == before, called)
"""
    result = run(code, tmp_path)
    assert (result.stdout, result.stderr) == ("3 True []\n" * 2, "")


def test_an_interrupt_just_before_the_start_leaves_the_mask():
    """Python raises it when the signals have been blocked already."""
    code = f"""{FOUND}
from rebound.kernel import linux
block = linux.block_signals
def interrupted():
    block()
    raise KeyboardInterrupt
linux.block_signals = interrupted
before = found()
try:
    rebound.supervise(["true"])
except KeyboardInterrupt:
    print(found() == before)
"""
    result = run(code)
    assert (result.stdout, result.stderr) == ("True\n", "")


SETUPS = {
    "a thread": (
        "threading.Thread(target=threading.Event().wait, daemon=True).start()",
        "without other threads",
    ),
    "a thread in C": (
        """
import ctypes
libc, thread = ctypes.CDLL(None), ctypes.c_ulong()
libc.pthread_create(ctypes.byref(thread), None, libc.pause, None)
""",
        "without other threads",
    ),
    "a child": (
        "import subprocess; child = subprocess.Popen(['sleep', '1000'])",
        "without children, since it would stop and reap them; there are: ",
    ),
    "a dead child": (
        "import subprocess; child = subprocess.Popen(['true'], stdout=-1); child.stdout.read()",
        "without children",
    ),
    "not the main thread": ("in_thread = True", "in the main thread only"),
}


@pytest.mark.parametrize("name", SETUPS)
def test_a_process_that_is_not_alone_is_refused(name, tmp_path):
    """Before anything is started, stopped or reaped: a signal would be lost, or kill it."""
    setup, words = SETUPS[name]
    code = f"""{FOUND}
child = None
in_thread = False
{setup}
def call():
    before = found()
    try:
        rebound.supervise(["touch", sys.argv[1]])
    except RuntimeError as error:
        print(error)
    print(found() == before, open("/proc/self/task/%d/children" % os.getpid()).read().split() == ([str(child.pid)] if child else []))
if in_thread:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
else:
    call()
if child:
    child.kill()
    print(child.wait())
sys.stdout.flush()
os._exit(0)
"""
    result = run(code, tmp_path / "started")
    said, left_alone, *ended = result.stdout.splitlines()
    assert words in said
    assert left_alone == "True True"
    assert ended in ([], ["0"], ["-9"])
    assert result.stderr == ""
    assert not os.listdir(tmp_path)


def test_a_thread_that_was_joined_is_no_matter():
    """The kernel's thread ends a little later than Python's."""
    code = f"""{FOUND}
for _ in range(30):
    threads = [threading.Thread(target=int) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rebound.supervise(["true"], {QUIET}) == 0
"""
    result = run(code)
    assert (result.returncode, result.stderr) == (0, "")


def test_without_proc_threads_of_python_are_seen():
    """Those of a library in C are not: nothing tells of them."""
    code = f"""{FOUND}
print(os.path.exists("/proc/self"), rebound.supervise(["true"], {QUIET}))
threading.Thread(target=threading.Event().wait, daemon=True).start()
try:
    rebound.supervise(["true"])
except RuntimeError as error:
    print(error)
"""
    hidden = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]
    result = run(code, wrapper=hidden)
    assert result.stdout.splitlines()[0] == "False 0"
    assert result.stdout.endswith("there are: a thread\n")
    assert result.stderr == ""


def test_the_command_line_takes_the_children_that_it_was_born_with():
    """As of a shell that has become rebound: PID 1 of a container has to reap them."""
    start = 'sleep 1000 & exec "$@"'
    words = [PYTHON[0], "-Im", "rebound", *JSON, "--restart=never", "sh", "-c", "exit 3"]
    result = subprocess.run(
        [*PID1, "sh", "-c", start, "sh", *words], capture_output=True, text=True, timeout=DEADLINE
    )
    assert result.returncode == 3
    [draining] = events(result.stderr, "draining")
    assert draining["processes"].startswith("sleep (pid ")


def test_a_command_that_somebody_else_waited_for_counts_as_failed():
    """As by a thread of a program that calls `supervise`."""
    code = """
import os, rebound, sys
from rebound.kernel import reaper
take = reaper.reap
def reap(*args):
    ended = take(*args)
    return take(*args) if ended else None
reaper.reap = reap
sys.exit(rebound.supervise(["true"], rebound.Config(max_restarts=2, log_format="json")))
"""
    result = subprocess.run(
        [PYTHON[0], "-Ic", code], capture_output=True, text=True, timeout=DEADLINE
    )
    assert result.returncode == 255
    assert len(events(result.stderr, "reaped_elsewhere")) == 3


def test_what_python_refuses_to_start_is_not_tried_for_ever():
    """It is no want of memory or processes, which would pass."""
    code = """
import os, rebound, sys
def refuse(*args, **options):
    raise ValueError("illegal environment variable name")
os.posix_spawnp = refuse
sys.exit(rebound.supervise(["true"], rebound.Config(log_format="json")))
"""
    result = subprocess.run(
        [PYTHON[0], "-Ic", code], capture_output=True, text=True, timeout=DEADLINE
    )
    assert result.returncode == 126
    [failed] = events(result.stderr, "exec_failed")
    assert (failed["command"], failed["error"]) == ("true", "illegal environment variable name")


def test_module_run():
    result = subprocess.run([PYTHON[0], "-Im", "rebound", "sh", "-c", "kill -TERM $$"])
    assert result.returncode == 143


def test_the_example_works(tmp_path):
    """That of docs/options.md."""
    [(_marker, code)] = blocks(text_of("docs/options.md"), "python")
    daemon = tmp_path / "my-daemon"
    daemon.write_text('#!/bin/sh\necho "$*"; exit 3\n')
    daemon.chmod(0o755)
    program = f"{code}\nprint(status)"
    result = subprocess.run(
        [PYTHON[0], "-Ic", program],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert result.stdout == "--flag\n" * 4 + "3\n"
