"""How much memory a process has, and the division of a cgroup, against the real kernel."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from rebound.kernel import cgroup, leaves, linux, memory, processes, spawn
from rebound.kernel.cgroup import COMMAND, REST, Cgroups
from rebound.kernel.leaves import Leaves
from tests.helpers import eventually

MB = 2**20

# --- What is resident -------------------------------------------------------------------

FAMILY = """
import mmap, os, sys, threading
shared = mmap.mmap(-1, 40 * 2**20)
shared[::4096] = b"x" * (40 * 2**20 // 4096)
def have(size):
    own = bytearray(size)
    own[::4096] = b"x" * (size // 4096)
    return own
reader, writer = os.pipe()
def make_child():
    if not os.fork():
        if not os.fork():
            own = have(20 * 2**20), shared[::4096]
            os.write(writer, b"x")
            threading.Event().wait()
        own = have(10 * 2**20), shared[::4096]
        os.write(writer, b"x")
        threading.Event().wait()
thread = threading.Thread(target=make_child)
thread.start()
thread.join()
os.read(reader, 1), os.read(reader, 1)
print("ready", flush=True)
threading.Event().wait()
"""
"""A child that a thread has made, and its child; 40 MB that all three map, 30 MB of their own."""


def resident(pid):
    size = memory.resident(pid)
    assert size is not None
    return size


def family():
    popen = subprocess.Popen([sys.executable, "-ISc", FAMILY], stdout=subprocess.PIPE, text=True)
    assert popen.stdout
    assert popen.stdout.readline() == "ready\n"
    return psutil.Process(popen.pid)


def test_the_memory_of_all_descendants_counts_and_what_they_share_counts_once():
    parent = family()
    members = [parent, *parent.children(recursive=True)]
    assert len(members) == 3
    infos = [member.memory_info() for member in members]
    private = sum(info.rss - info.shared for info in infos)
    assert private > 30 * MB
    assert resident(parent.pid) == private + max(info.shared for info in infos)
    [child] = parent.children()
    assert 30 * MB < resident(child.pid) < resident(parent.pid)
    child.kill()
    eventually(lambda: resident(parent.pid) < 70 * MB)
    members[-1].kill()  # the child's own, which is nobody's now


def test_of_a_process_alone_it_is_what_ps_shows():
    info = psutil.Process().memory_info()
    assert abs(resident(os.getpid()) - info.rss) < MB


def test_who_is_gone_has_nothing():
    pid = os.fork() or os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert memory.resident(pid) == 0
    os.waitpid(pid, 0)
    assert memory.resident(pid) == 0


def test_without_proc_nobody_knows(monkeypatch):
    monkeypatch.setattr(processes, "has_proc", lambda: False)
    assert memory.resident(os.getpid()) is None


def test_without_a_list_of_children_nobody_knows(monkeypatch):
    def no_list(_pid, _thread):
        raise FileNotFoundError

    monkeypatch.setattr(memory, "_children", no_list)
    monkeypatch.setattr(os.path, "exists", lambda _path: False)
    assert memory.resident(os.getpid()) is None


@pytest.mark.parametrize("name", ["_pages", "_children"])
def test_what_cannot_be_read_is_not_nothing(monkeypatch, name):
    """Else a leak would go on behind a lack of descriptors."""

    def fail(*_about):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(memory, name, fail)
    assert memory.resident(os.getpid()) is None


def test_a_look_has_an_end(monkeypatch):
    """However many threads and processes there are."""
    for _ in range(300):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    for _ in range(3):
        if not os.fork():
            threading.Event().wait()
    reads = []
    real = memory._children
    monkeypatch.setattr(memory, "_children", lambda *about: reads.append(about) or real(*about))
    everybody = resident(os.getpid())
    assert len(reads) >= 303
    reads.clear()
    monkeypatch.setattr(memory, "_MOST_READS", 10)
    assert 0 < resident(os.getpid()) < everybody
    assert reads == []


# --- The command moves before its exec --------------------------------------------------


def spawner(inherited, *command):
    starter = spawn.Starter(inherited, lambda _text: None)
    return spawn.Spawner(command, starter, own_group=False)


def test_the_command_moves_before_its_exec():
    """It writes itself into the file: 0 means whoever writes (cgroups(7))."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    subject = spawner(linux.block_signals(), "true")
    subject.join(writer)
    pid = subject.spawn(dict(os.environb))
    assert os.read(reader, 9) == b"0"
    assert os.waitpid(pid, 0) == (pid, 0)


def test_a_command_that_may_not_move_is_started_where_it_is():
    """And that is told once; the next one does not try."""
    full = os.open("/dev/full", os.O_WRONLY)
    subject = spawner(linux.block_signals(), "true")
    refused: list[OSError] = []
    subject.join(full, refused.append)
    for _ in range(2):
        pid = subject.spawn(dict(os.environb))
        assert os.waitpid(pid, 0) == (pid, 0)
    [error] = refused
    assert (type(error), error.errno) == (linux.NotJoined, errno.ENOSPC)
    assert error.strerror == "cgroup.procs: No space left on device"
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, 0)


# --- The cgroup of a container, divided ---------------------------------------------------


@pytest.fixture(scope="module")
def hierarchy():
    """Cgroup v2, mounted once more: where that was is nobody's concern."""
    point = Path(tempfile.mkdtemp(prefix="rebound-test-"))
    subprocess.run(["mount", "-t", "cgroup2", "none", point], check=True)
    yield point
    subprocess.run(["umount", "--lazy", point], check=True)
    point.rmdir()


@pytest.fixture
def container(hierarchy, monkeypatch):
    """A cgroup that rebound takes for that of its container."""
    directory = hierarchy / f"rebound-test-{os.getpid()}"
    directory.mkdir()
    monkeypatch.setattr(cgroup, "ours", lambda: Cgroups(2, [str(directory), str(hierarchy)]))
    yield directory
    for part in (directory / COMMAND, directory / REST, directory):
        if part.exists():
            for pid in members(part):
                with suppress(psutil.NoSuchProcess):  # it has just been killed with its parent
                    psutil.Process(pid).kill()
            eventually(partial(is_empty, part))
            part.rmdir()


@pytest.fixture
def written(monkeypatch):
    """What is written to files that are there only with the memory controller, which v1 may have."""
    files = {}
    real = leaves._write

    def write(path, text):
        name = os.path.basename(path)
        if name == "cgroup.procs":
            real(path, text)
        else:
            files[name] = text

    monkeypatch.setattr(leaves, "_write", write)
    return files


def members(directory):
    return {int(pid) for pid in (directory / "cgroup.procs").read_text().split()}


def is_empty(directory):
    return not members(directory)


def enter(directory):
    (directory / "cgroup.procs").write_text("0")


def sleeper(directory=None, work=lambda: None):
    """A process, perhaps in a cgroup of its own, that stays."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        if directory:
            enter(directory)
        work()
        os.write(writer, b"x")
        threading.Event().wait()
    os.read(reader, 1)
    return pid


def test_all_move_aside_and_back(container, written):
    other = sleeper(container)
    enter(container)
    subject = Leaves(5 * MB)
    assert written == {"cgroup.subtree_control": "+memory", "memory.max": str(5 * MB)}
    assert members(container) == members(container / COMMAND) == set()
    assert members(container / REST) == {os.getpid(), other}
    os.write(subject.procs, b"0")
    assert members(container / COMMAND) == {os.getpid()}
    subject.close()
    assert written["cgroup.subtree_control"] == "-memory"
    assert members(container) == {os.getpid(), other}
    assert not [*container.glob("rebound-*")]
    enter(container.parent)


@pytest.mark.usefixtures("written")
def test_who_is_adopted_moves_out_and_the_commands_own_stay(container):
    enter(container)
    linux.become_subreaper()
    subject = Leaves(5 * MB)
    part = container / COMMAND

    def fork_twice():
        sleeper()
        if not os.fork():
            sleeper()  # of this one, the next ends: its child is adopted
            os._exit(0)
        os.wait()

    command = sleeper(part, fork_twice)
    assert len(members(part)) == 3
    [adopted] = {child.pid for child in psutil.Process().children()} - {command}
    grandchild = [child.pid for child in psutil.Process(command).children()]
    for _ in range(2):
        subject.move_adopted(command)
        assert members(part) == {command, *grandchild}
        assert members(container / REST) == {os.getpid(), adopted}
    psutil.Process(command).kill()
    os.waitpid(command, 0)
    subject.move_left_over()
    assert members(part) == set()
    assert members(container / REST) == {os.getpid(), adopted, *grandchild}
    subject.close()
    enter(container.parent)


@pytest.mark.usefixtures("written")
def test_more_than_one_look_can_see_come_later(container, monkeypatch):
    enter(container)
    subject = Leaves(5 * MB)
    strangers = {sleeper(container / COMMAND) for _ in range(5)}
    command = sleeper(container / COMMAND)
    monkeypatch.setattr(leaves, "_MOST_LOOKED_AT", 2)
    for _ in range(4):
        subject.move_adopted(command)
    assert members(container / COMMAND) == {command}
    assert members(container / REST) == {os.getpid(), *strangers}
    subject.close()
    enter(container.parent)


def test_if_it_cannot_be_done_all_is_as_before(container, monkeypatch):
    """At whatever step; the error names the file and why."""
    enter(container)
    real = leaves._write
    for step in ("cgroup.procs", "cgroup.subtree_control", "memory.max"):

        def write(path, text, step=step):
            if path.endswith(step) and text != "-memory":
                if step != "cgroup.procs" or REST in path:
                    raise OSError(errno.EROFS, f"{path}: Read-only file system")
            elif path.endswith("cgroup.procs"):
                real(path, text)

        monkeypatch.setattr(leaves, "_write", write)
        with pytest.raises(OSError, match=f"{step}: Read-only file system"):
            Leaves(MB)
        assert members(container) == {os.getpid()}
        assert not [*container.glob("rebound-*")]
    enter(container.parent)


@pytest.mark.usefixtures("written")
def test_what_a_killed_rebound_has_left_is_no_hindrance_but_a_living_one_is(container):
    (container / COMMAND).mkdir()
    enter(container)
    Leaves(MB).close()
    (container / REST).mkdir()
    sleeper(container / REST)
    with pytest.raises(OSError, match="another rebound has divided the cgroup"):
        Leaves(MB)
    enter(container.parent)


@pytest.mark.usefixtures("written")
def test_the_cgroup_of_a_service_must_be_delegated(container, monkeypatch):
    service = container / "app.service"
    service.mkdir()
    monkeypatch.setattr(cgroup, "ours", lambda: Cgroups(2, [str(service), str(container)]))
    with pytest.raises(PermissionError, match="not delegated"):
        Leaves(MB)
    os.setxattr(service, "trusted.delegate", b"1")
    Leaves(MB).close()
    service.rmdir()


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Cgroups(1, ["/sys/fs/cgroup/memory"]), "not of cgroup v2"),
        (Cgroups(0, []), "not of cgroup v2"),
        (Cgroups(2, ["/proc"]), "the root of all cgroups cannot be divided"),
    ],
)
def test_other_cgroups_are_left_alone(monkeypatch, found, text):
    monkeypatch.setattr(cgroup, "ours", lambda: found)
    with pytest.raises(OSError, match=text):
        Leaves(MB)
