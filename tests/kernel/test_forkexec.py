"""The second way to start a process, beside the first, against the real kernel."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rebound.kernel import forkexec, linux, reaper, spawn
from tests.helpers import eventually

ENVIRONMENT = {b"PATH": os.environb[b"PATH"]}
SPAWN, FORK = "posix_spawn", "fork"


@pytest.fixture(params=[SPAWN, FORK])
def start(request, monkeypatch):
    """Start by one of the ways; the signals are blocked, as rebound's are."""

    def start(*command, actions=(), own_group=False):
        inherited = linux.block_signals()
        said: list[str] = []
        starter = spawn.Starter(inherited, said.append)
        if request.param == FORK:
            monkeypatch.setattr(os, "posix_spawnp", refuse)
        try:
            return starter.start(
                [*map(os.fsencode, command)], ENVIRONMENT, actions, (), own_group=own_group
            )
        finally:
            assert said in ([], ["posix_spawn: Operation not permitted, going on with fork"])

    return start


def refuse(*_args, **_options):
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def fork(inherited, command="true", environment=ENVIRONMENT, handed=()):
    forker = forkexec.Forker(inherited)
    return forker.start([os.fsencode(command)], environment, (), handed, own_group=False)


def status_of(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def childless():
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    return True


def test_file_actions(start, tmp_path):
    """Each kind; also onto the same number, and onto those that the next pipe would have."""
    out = tmp_path / "out"
    itself = os.open(out, os.O_CREAT | os.O_RDWR | os.O_APPEND)
    first = os.open(out, os.O_RDWR)
    os.close(first)
    following = [first, first + 1, first + 2, itself]
    actions = [
        (os.POSIX_SPAWN_DUP2, itself, itself),
        (os.POSIX_SPAWN_OPEN, first, str(out), os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, first, first),
        (os.POSIX_SPAWN_DUP2, first, first + 1),
        (os.POSIX_SPAWN_DUP2, first + 1, first + 2),
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_CLOSE, 2),
    ]
    script = f"import os; [os.write(fd, b'%d ' % fd) for fd in {following}]; print(os.readlink('/proc/self/fd/0'), os.path.exists('/proc/self/fd/2'), file=open({str(out)!r}, 'a'))"
    assert status_of(start(sys.executable, "-ISc", script, actions=actions)) == 0
    assert out.read_text() == "".join(f"{fd} " for fd in following) + "/dev/null False\n"


@pytest.mark.parametrize("own_group", [False, True])
def test_the_group_is_there_when_the_start_returns(start, own_group):
    pid = start("sleep", "1000", own_group=own_group)
    assert os.getpgid(pid) == (pid if own_group else os.getpgrp())
    os.kill(pid, signal.SIGKILL)


def test_a_failed_exec_leaves_no_child(start):
    with pytest.raises(FileNotFoundError) as caught:
        start("no-such-command")
    assert spawn.exec_failure(caught.value).code == 127
    assert not spawn.is_out_of_means(caught.value)
    assert childless()


def test_a_failed_file_action_is_told_and_leaves_no_child(start):
    with pytest.raises(OSError, match="No such file or directory"):
        start("true", actions=[(os.POSIX_SPAWN_OPEN, 0, "/no/such/file", os.O_RDONLY, 0)])
    assert childless()


def test_a_child_that_is_killed_before_its_exec_has_started_and_ended(monkeypatch):
    """The pipe is at its end then, as after an exec; how it ended wait(2) tells."""
    monkeypatch.setattr(linux, "restore_signals", lambda _: os.kill(os.getpid(), signal.SIGKILL))
    inherited = linux.block_signals()
    pid = fork(inherited)
    assert status_of(pid) == -signal.SIGKILL


@pytest.mark.parametrize("error", [MemoryError(), ValueError("?"), OSError(errno.EIO, "?")])
def test_no_error_leaves_the_child(monkeypatch, error):
    """What returned from it would be a second rebound."""

    def fail(_inherited):
        raise error

    monkeypatch.setattr(linux, "reset_signals", fail)
    with pytest.raises(linux.NoProcess) as caught:
        fork(linux.block_signals())
    assert str(caught.value.strerror).startswith("sigaction: ")
    assert spawn.is_out_of_means(caught.value)
    assert childless()


def test_not_even_one_that_cannot_be_told(monkeypatch):
    """It ends with what a shell exits with."""

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(linux, "reset_signals", fail)
    inherited = linux.block_signals()
    assert status_of(fork(inherited)) == 126


def test_a_report_that_cannot_be_read_comes_as_an_exit_status(monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "?")

    monkeypatch.setattr(os, "read", fail)
    # The child comes to its exec only once the parent has closed the pipe: no SIGPIPE ends it.
    execute = forkexec._execute
    parent = os.getpid()

    def execute_late(*args):
        eventually(lambda: len(os.listdir(f"/proc/{parent}/fd")) < before)
        execute(*args)

    monkeypatch.setattr(forkexec, "_execute", execute_late)
    before = len(os.listdir("/proc/self/fd"))
    inherited = linux.block_signals()
    for command, status in (("no-such-command", 127), ("/", 126), ("true", 0)):
        assert status_of(fork(inherited, command, environment={})) == status


@pytest.mark.parametrize("call", ["pipe", "fork", "fcntl"])
def test_without_a_pipe_or_a_process_it_is_no_fault_of_the_command(monkeypatch, call):
    inherited = linux.block_signals()
    handed = [("null", os.open("/dev/null", os.O_RDONLY))] * 30
    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(fcntl if call == "fcntl" else os, call, refuse)
    with pytest.raises(linux.NoProcess) as caught:
        fork(inherited, handed=handed)
    assert spawn.is_out_of_means(caught.value)
    assert os.listdir("/proc/self/fd") == before


def test_a_stopped_child_is_discarded_all_the_same():
    pid = os.fork()
    if not pid:
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WSTOPPED)
    reaper.discard(pid)
    assert childless()
    reaper.discard(pid)  # a wait that is refused, or done by others, does no harm


REPORT = """
import fcntl, json, os
count = int(os.environ["LISTEN_FDS"])
fds = range(3, 3 + count)
assert os.environ["LISTEN_PID"] == str(os.getpid())
seen = [(os.fstat(fd).st_ino, bool(fcntl.fcntl(fd, fcntl.F_GETFD))) for fd in fds]
os.write(1, json.dumps([seen, os.environ["LISTEN_FDNAMES"]]).encode())
"""


@given(st.lists(st.integers(3, 14), min_size=1, max_size=9))
@example([4, 3])
@example([3, 4, 5])
@example([5, 3, 4])
@example([3, 3, 3])
def test_each_descriptor_gets_its_number(numbers):
    """Whatever numbers they have here: none may be overwritten before it has its place."""
    inherited = linux.block_signals()
    files = {fd: os.memfd_create(str(fd)) for fd in sorted({*numbers})}
    inodes = {fd: os.fstat(memfd).st_ino for fd, memfd in files.items()}
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        # Here the numbers may be taken from others.
        os.dup2(writer, 1)
        above = {fd: fcntl.fcntl(memfd, fcntl.F_DUPFD_CLOEXEC, 100) for fd, memfd in files.items()}
        for fd, memfd in above.items():
            os.dup2(memfd, fd, inheritable=False)
        handed = [(str(fd), fd) for fd in numbers]
        forker = forkexec.Forker(inherited)
        command = [os.fsencode(word) for word in (sys.executable, "-ISc", REPORT)]
        child = forker.start(command, ENVIRONMENT, (), handed, own_group=False)
        os._exit(status_of(child))
    os.close(writer)
    assert status_of(pid) == 0
    seen, names = json.loads(os.read(reader, 10_000))
    for fd in (reader, *files.values()):
        os.close(fd)
    assert seen == [[inodes[fd], False] for fd in numbers]
    assert names == ":".join(map(str, numbers))
