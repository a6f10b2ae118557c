"""What rebound relies on: the thin modules against the real kernel."""

from __future__ import annotations

import ctypes
import errno
import importlib
import os
import resource
import select
import signal
import stat
import subprocess
import sys
import time
import types
from functools import partial

import pyseccomp
import pytest

from rebound.core.events import Exited
from rebound.core.exitstatus import ExitStatus
from rebound.kernel import libc, linux, processes, reaper
from rebound.kernel.aside import Aside
from rebound.kernel.loop import WRITABLE, Loop
from tests.helpers import PID1, REPOSITORY, as_user, denied


def child(work=lambda: None) -> int:
    pid = os.fork()
    if not pid:
        work()
        os._exit(7)
    return pid


def ended(pid):
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


# --- Signals ----------------------------------------------------------------------------


def test_blocked_signals_wait_for_the_signalfd_in_order_and_with_value():
    linux.block_signals()
    for value in (3, 1, 2):
        libc.sigqueue(os.getpid(), signal.SIGRTMIN, value)
    os.kill(os.getpid(), signal.SIGUSR1)
    fd = libc.open_signalfd(range(1, 65))
    seen = [(info.signo, info.value, info.pid) for info in libc.read_signals(fd)]
    me = os.getpid()
    assert seen == [(10, None, me)] + [(signal.SIGRTMIN, value, me) for value in (3, 1, 2)]
    assert libc.read_signals(fd) == []


def test_one_read_takes_a_batch_only():
    linux.block_signals()
    fd = libc.open_signalfd([signal.SIGRTMIN])
    for value in range(libc.BATCH + 5):
        libc.sigqueue(os.getpid(), signal.SIGRTMIN, value)
    assert len(libc.read_signals(fd)) == libc.BATCH
    assert len(libc.read_signals(fd)) == 5


def test_signals_32_and_33_of_glibc_are_taken_too():
    """As the launcher blocks them, by the system call; glibc's functions leave them out."""
    everything = ctypes.c_ulong(-1 & 2**64 - 1)
    number = {"x86_64": 14, "aarch64": 135}[os.uname().machine]  # rt_sigprocmask
    ctypes.CDLL(None).syscall(number, signal.SIG_BLOCK, ctypes.byref(everything), None, 8)
    fd = libc.open_signalfd(range(1, 65))
    for signo in (32, 33):
        os.kill(os.getpid(), signo)
    assert [info.signo for info in libc.read_signals(fd)] == [32, 33]


def test_what_was_blocked_and_ignored_is_told_and_restored():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    inherited = linux.block_signals()
    assert inherited.mask == {signal.SIGUSR1}
    assert inherited.ignored == {signal.SIGQUIT}
    linux.restore_signals(inherited)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == {signal.SIGUSR1}


def test_a_full_queue_loses_the_value_and_not_the_signal():
    linux.block_signals()
    resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, 0))
    with pytest.raises(BlockingIOError):
        libc.sigqueue(os.getpid(), signal.SIGRTMIN, 5)
    assert linux.queue(os.getpid(), signal.SIGRTMIN, 5) is None
    assert signal.SIGRTMIN in signal.sigpending()


def test_sending_tells_what_went_wrong():
    pid = child()
    ended(pid)
    assert linux.send(pid, signal.SIGTERM) is None  # a zombie keeps its pid
    os.waitpid(pid, 0)
    error = linux.send(pid, signal.SIGTERM)
    assert error
    assert error.errno == errno.ESRCH


def test_signals_taken_without_a_descriptor():
    linux.block_signals()
    assert linux.wait_for_signal(0) is None
    os.kill(os.getpid(), signal.SIGTERM)
    assert linux.wait_for_signal(None) == (15, 0, os.getpid())


# --- Children ---------------------------------------------------------------------------


def reap(*args, **named) -> Exited:
    """Reap a child; there is one to be reaped."""
    exited = reaper.reap(*args, **named)
    assert exited
    return exited


def test_a_pidfd_is_readable_once_the_child_has_ended():
    reading, writing = os.pipe()
    pid = child(lambda: (os.close(writing), os.read(reading, 1)))
    pidfd = linux.open_pidfd(pid)
    assert select.select([pidfd], [], [], 0)[0] == []
    os.close(writing)
    assert select.select([pidfd], [], [], 20)[0] == [pidfd]
    assert not os.get_inheritable(pidfd)


def test_reaping_tells_who_ended_and_how():
    pid = child()
    ended(pid)
    exited = reap()
    assert (exited.pid, exited.status) == (pid, ExitStatus(code=7))
    assert exited.max_rss > 1000
    with pytest.raises(ChildProcessError):
        reaper.reap()


def test_nothing_to_reap_while_children_run():
    pid = child(signal.pause)
    assert reaper.reap() is None
    assert reaper.reap(look=lambda *_: None) is None
    os.kill(pid, signal.SIGKILL)
    ended(pid)
    assert reap().status == ExitStatus(signal=signal.SIGKILL)


def test_reaping_one_child_leaves_the_others():
    first, second = child(), child()
    ended(first)
    ended(second)
    assert reap(second).pid == second
    with pytest.raises(ChildProcessError):
        reaper.reap(second)
    assert reap().pid == first


def test_the_look_before_reaping_sees_a_zombie_whose_group_can_be_signalled():
    linux.become_subreaper()
    pid = child(lambda: (os.setpgid(0, 0), os.fork() or signal.pause()))
    ended(pid)
    seen = []

    def look(zombie, status):
        seen.append((zombie, status))
        assert linux.send(-zombie, signal.SIGKILL) is None

    assert reap(look=look).pid == pid
    assert seen == [(pid, ExitStatus(code=7))]
    (orphan,) = processes.children()
    ended(orphan)
    assert reap().status == ExitStatus(signal=signal.SIGKILL)


def test_children_are_direct_ones_alive_or_dead():
    assert processes.children() == []
    alive = child(lambda: (os.fork(), signal.pause()))
    dead = child()
    ended(dead)
    assert sorted(processes.children()) == sorted([alive, dead])
    assert processes.children(known={alive}) == [dead]


def test_a_list_of_strangers_is_not_believed(monkeypatch):
    """As from the /proc of another PID namespace."""
    mine = child(signal.pause)
    monkeypatch.setattr(processes, "_candidates", lambda: [1, mine, os.getppid(), os.getpid()])
    assert processes.children() == [mine]


def test_pids_beyond_the_first_are_tried_from_our_own_on(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(processes, "has_proc", lambda: False)
        patched.setattr(os, "getpid", lambda: 4_000_000)
        tried = set(processes._candidates())
    assert {2, 32_769, 4_000_000, 4_032_767} <= tried
    assert len(tried) < 2**17  # there are 2**22


def test_suspending_in_an_orphaned_group_returns_at_once():
    """No shell could continue us; the same holds for PID 1."""
    linux.block_signals()
    if os.fork():  # the parent of the group's leader is in another session
        os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
    os.setsid()
    linux.suspend(signal.SIGTSTP)


@pytest.mark.parametrize("seen_by", [reaper.reap, reaper.stopped_by])
def test_a_child_that_wants_to_be_traced_is_let_go(seen_by):
    """And with the signal that stopped it."""

    def be_traced():
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        ctypes.CDLL(None).ptrace(0, 0, None, None)  # PTRACE_TRACEME
        signal.raise_signal(signal.SIGUSR1)

    pid = child(be_traced)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    end = seen_by(pid)
    if not end:  # as a rule it still runs
        ended(pid)
        end = reaper.reap(pid)
    assert end.status == ExitStatus(signal=signal.SIGUSR1)


# --- The loop ---------------------------------------------------------------------------


@pytest.fixture
def loop():
    return Loop(print)


def test_the_loop_is_empty_only_on_timeout(loop):
    linux.block_signals()
    assert loop.wait(0) == ((), [])
    assert loop.wait(0.001) == ((), [])
    os.kill(os.getpid(), signal.SIGUSR1)
    received, ready = loop.wait(None)
    assert ([info.signo for info in received], ready) == ([10], [])


def test_the_loop_tells_of_signals_that_are_ignored(loop):
    """Blocked, they are kept all the same."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    linux.block_signals()
    os.kill(os.getpid(), signal.SIGHUP)
    received, _ready = loop.wait(0)
    assert [info.signo for info in received] == [signal.SIGHUP]


def handler():
    raise AssertionError("the loop calls nothing")


def test_the_loop_tells_of_watched_descriptors(loop):
    linux.block_signals()
    reading, writing = os.pipe()
    loop.watch(reading, handler)
    assert loop.wait(0) == ((), [])
    os.write(writing, b"x")
    assert loop.wait(10**9) == ((), [handler])
    assert loop.wait(-5) == ((), [handler])
    loop.ignore(reading)
    assert loop.wait(0) == ((), [])
    loop.watch(writing, handler, WRITABLE)
    assert loop.wait(0) == ((), [handler])
    loop.close_watched(writing)
    assert loop.wait(0) == ((), [])
    os.close(reading)
    loop.close()


def test_the_loop_repeats_a_handler(loop):
    """After its time, whatever the caller waits for; after a long pause it is due once."""
    linux.block_signals()
    loop.repeat(handler, 0.02)
    assert loop.wait(0) == ((), [])
    for timeout in (None, 10**9, None):
        assert loop.wait(timeout) == ((), [handler])
    assert loop.wait(0) == ((), [])
    linux.pause(0.1)
    assert loop.wait(0) == ((), [handler])
    assert loop.wait(0) == ((), [])


def test_the_loop_repeats_several_handlers(loop):
    """Each in its own time, until it is to cease."""
    linux.block_signals()
    other = lambda: None  # noqa: E731
    loop.repeat(handler, 0.05)
    loop.repeat(other, 0.01)
    seen = []
    while handler not in seen:
        seen += loop.wait(None)[1]
    assert len(seen) > 2
    loop.cease(other)
    assert loop.wait(None) == ((), [handler])
    loop.cease(handler)
    loop.cease(handler)
    assert loop.wait(0.1) == ((), [])


def test_aside_one_handler_is_called_a_turn(loop):
    """The loop sees one descriptor; between any two handlers it takes the signals."""
    linux.block_signals()
    aside = Aside(loop)
    called = []
    pipes = [os.pipe() for _ in range(20)]

    def take(reading):
        called.append(reading)
        os.read(reading, 1)

    for reading, writing in pipes:
        aside.watch(reading, partial(take, reading))
        os.write(writing, b"x")
    for turn in range(20):
        os.kill(os.getpid(), signal.SIGUSR1)
        received, ready = loop.wait(None)
        assert [each.signo for each in received] == [signal.SIGUSR1]
        [turn_aside] = ready
        turn_aside()
        assert len(called) == turn + 1
    assert sorted(called) == sorted(reading for reading, _writing in pipes)
    assert loop.wait(0) == ((), [])

    (reading, writing), (other, other_writing) = pipes[:2]
    os.write(writing, b"x")
    aside.rest(0.01)
    turn_aside()
    aside.rest(0.02)
    assert loop.wait(0) == ((), [])
    [go_on] = loop.wait(None)[1]
    go_on()
    assert len(loop.wait(None)[1]) == 1
    aside.close_watched(reading)
    assert loop.wait(0) == ((), [])
    aside.watch(other_writing, partial(called.clear), WRITABLE)
    [turn_aside] = loop.wait(0)[1]
    turn_aside()
    assert called == []
    aside.close()
    turn_aside()
    assert loop.wait(0) == ((), [])
    os.close(other)
    loop.close()


def test_aside_handlers_take_a_small_share_of_the_time(loop):
    """Once they have taken more CPU time than is their due they rest, although one is ready."""
    linux.block_signals()
    aside = Aside(loop)
    _reading, writing = os.pipe()
    called = []

    def take():
        called.append(writing)
        until = time.thread_time() + 0.005
        while time.thread_time() < until:
            pass

    aside.watch(writing, take, WRITABLE)
    for _ in range(2):
        before = len(called)
        while ready := loop.wait(0)[1]:
            ready[0]()
        assert before < len(called) < 100
        [go_on] = loop.wait(None)[1]
        assert loop.wait(0) == ((), [])
        go_on()
    assert len(called) > 10
    aside.close()
    assert loop.wait(0) == ((), [])
    loop.close()


def test_without_descriptors_each_handler_may_have_something_to_do(loop):
    linux.block_signals()
    reading, _writing = os.pipe()
    loop.watch(reading, handler)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        received, ready = loop.wait(0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (received, ready) == ([], [handler])


# --- A /proc that is not ours ---------------------------------------------------------------

SAME_NUMBER = """
import ctypes, os, sys
from rebound.kernel import linux, processes

def last_pid(value):
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:  # of the writer's own PID namespace
        file.write(str(value))

assert processes.has_proc() and processes.process_name(1) == "sh (pid 1)"
ctypes.CDLL(None).unshare(0x20000000)  # CLONE_NEWPID: from the next child on
reading, writing = os.pipe()
if os.fork():
    last_pid(5000)
    os.write(writing, b"go on")
    sys.exit(os.wait()[1])
os.read(reading, 5)
last_pid(5000)
if os.fork():
    sys.exit(os.wait()[1])
assert os.readlink("/proc/self") == str(os.getpid()) == "5001"
assert not processes.has_proc()
assert (processes.process_name(1), processes.user_ids(1)) == ("pid 1", ())
"""


def test_the_proc_of_another_namespace_where_we_have_the_same_number():
    """By chance, which is not so small where both are containers with few processes."""
    script = ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", SAME_NUMBER]
    result = subprocess.run([*PID1, *script], capture_output=True, text=True, cwd=REPOSITORY)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_refused_getpid_makes_no_proc_of_another_namespace():
    script = "from rebound.kernel import processes; print(processes.has_proc())"
    command = [*denied("getpid:EPERM"), sys.executable, "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert (result.stdout, result.stderr) == ("True\n", "")


IDENTITIES = """
import os
from rebound.kernel import linux, processes
print(os.geteuid(), *(processes.is_root_or_us(uid) for uid in (0, 65534)), processes.is_identity(1000))
"""


@pytest.mark.parametrize(
    ("place", "known"),
    [
        (as_user(65534), "65534 True True True"),
        (["unshare", "--user"], "65534 True False True"),
        (["unshare", "--user", "--map-user=65534"], "65534 True False True"),
        (["unshare", "--user", "--map-root-user"], "0 True False True"),
    ],
)
def test_the_uid_of_all_whom_our_user_namespace_does_not_know(place, known):
    """It is somebody's own only where there is no such user."""
    command = [*place, sys.executable, "-c", IDENTITIES]
    result = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert (result.stdout.strip(), result.stderr) == (known, "")


# --- Refusals ---------------------------------------------------------------------------


def test_a_full_queue_loses_the_value_not_the_signal():
    linux.block_signals()
    resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, 0))
    assert linux.queue(os.getpid(), signal.SIGRTMIN, 7) is None
    assert signal.sigpending() == {signal.SIGRTMIN}


def test_a_signal_for_nobody_is_an_error_that_is_returned():
    gone = child()
    os.waitpid(gone, 0)
    for error in (linux.queue(gone, signal.SIGUSR1, 7), linux.send(gone, signal.SIGUSR1)):
        assert error
        assert error.errno == errno.ESRCH
    assert not linux.shares_our_group(gone)
    assert processes.user_ids(gone) == ()


def test_without_descriptors_the_children_are_found_all_the_same():
    """By their pids, of which the most likely are tried."""
    zombie = child()
    ended(zombie)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        found = processes.children()
        name, ids = processes.process_name(zombie), processes.user_ids(zombie)
        with pytest.raises(OSError, match="Too many open files"):
            libc.unix_socket()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found == [zombie]
    assert (name, ids) == (f"pid {zombie}", ())


def test_calls_that_the_kernel_refuses_raise_its_error(tmp_path):
    fd = libc.unix_socket()
    os.mknod(tmp_path / "nobody", stat.S_IFSOCK | 0o600)  # a socket's file, without a socket
    with pytest.raises(ConnectionRefusedError):
        libc.connect(fd, str(tmp_path / "nobody"))
    libc.bind(fd, str(tmp_path / "bound"))
    with pytest.raises(OSError, match="Invalid argument"):
        libc.bind(fd, str(tmp_path / "bound twice"))
    with pytest.raises(OSError, match="Bad file descriptor"):
        libc.listen(-1, 1)


def test_a_ctypes_that_could_not_be_read_is_not_kept(monkeypatch):
    """Python takes the directory of a package for an empty one when it cannot look into it."""
    monkeypatch.delitem(sys.modules, "rebound.kernel.libc")
    monkeypatch.setitem(sys.modules, "ctypes", types.ModuleType("ctypes"))
    with pytest.raises(ImportError, match="ctypes"):
        importlib.import_module("rebound.kernel.libc")
    assert importlib.import_module("rebound.kernel.libc").sigqueue


def refuse(*calls):
    """Have a seccomp profile refuse calls, from here on and for good."""
    profile = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for call in calls:
        profile.add_rule(pyseccomp.ERRNO(errno.EPERM), call)
    profile.load()


@pytest.mark.parametrize("refused", ["waitid", "wait4"])
def test_either_wait_is_enough(refused):
    alive, first, second = child(signal.pause), child(), child()
    ended(first)
    ended(second)
    os.kill(alive, signal.SIGUSR1)
    ended(alive)
    refuse(refused)
    reaper.check()
    assert reaper.can_look() == (refused == "wait4")
    assert processes.has_children()
    assert sorted(processes.children(known={second})) == [alive, first]
    assert reap(second).status == ExitStatus(code=7)
    with pytest.raises(ChildProcessError):
        reaper.reap(second)
    ends = {end.pid: end.status for end in (reap(), reap())}
    assert ends == {first: ExitStatus(code=7), alive: ExitStatus(signal=signal.SIGUSR1)}
    assert not processes.has_children()


def test_reaping_by_waitid_takes_nothing_that_runs():
    refuse("wait4")
    child(signal.pause)
    assert reaper.reap() is None


def test_without_any_wait_there_is_no_start():
    refuse("wait4", "waitid")
    with pytest.raises(OSError, match="cannot wait for processes: Operation not permitted"):
        reaper.check()


def test_without_waitid_and_without_a_list_no_child_is_known(monkeypatch):
    """Nor is any taken for one: whoever has that pid may be a stranger."""
    pid = child(signal.pause)
    refuse("waitid")
    monkeypatch.setattr(processes, "_listed_children", lambda: None)
    assert processes.children() == []
    assert processes.has_children()  # that there is none is not known
    assert reaper.stopped_by(pid) == 0


def test_only_pid_1_signals_everybody():
    assert not linux.send_to_all(signal.SIGCONT)


def test_nobody_is_signalled_who_could_not_be_told_from_everybody():
    """A getpid(2) that is refused says -1."""
    os.setsid()  # in an orphaned group nobody is stopped
    bystander = child(signal.pause)

    def signals_somebody():
        refuse("getpid")
        linux.suspend(signal.SIGTSTP)
        os._exit(linux.send_to_all(signal.SIGKILL))

    assert os.waitpid(child(signals_somebody), 0)[1] == 0
    assert os.waitpid(bystander, os.WNOHANG | os.WUNTRACED) == (0, 0)


def test_where_nobody_tells_we_may_lead_the_session():
    os.setsid()
    refuse("getsid", "tgkill")
    assert linux.is_session_leader()
    linux.suspend(signal.SIGTSTP)
