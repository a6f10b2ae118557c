"""Descriptors that mean harm: none leaks, none holds up signals, the status or a stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack

import psutil
import pytest

from tests import cgroups
from tests.e2e.test_fd_store import removed, stored
from tests.helpers import JSON, OTHER_USER, denied, eventually, program, run
from tests.storing import Storing

NO_THREADS = denied("clone/0&65536:EAGAIN", "clone3:ENOSYS")
"""CLONE_THREAD is refused, a fork is not."""


UNBLOCKABLE = 1 << signal.SIGKILL - 1 | 1 << signal.SIGSTOP - 1


@pytest.fixture
def storing(start, tmp_path):
    """Start one with these options, and handlers that tell of signals."""

    def storing(*options, **keywords):
        fifo = tmp_path / "orders"
        os.mkfifo(fifo)
        command = program("storer.py", fifo)
        words = [*JSON, "-v", "-b0", "--fd-store", 20, *options, "--", *command]
        store = Storing(start(*words, **keywords), fifo)
        store.do("signal.signal(signal.SIGUSR1, lambda *_: say('heard'))")
        return store

    return storing


def is_responsive(store, status=0):
    """Signals are forwarded, the status is told."""
    before = len(store.rebound.lines("heard"))
    store.rebound.send(signal.SIGUSR1)
    store.rebound.wait_until(lambda: len(store.rebound.lines("heard")) > before)
    return eventually(lambda: run("--status", store.rebound.pid).returncode == status)


def stops(store, status=143):
    store.rebound.send(signal.SIGTERM)
    assert store.rebound.wait() == status
    assert not store.rebound.events("internal_error")
    assert "Traceback" not in store.rebound.log


def is_clean(store, count):
    """Nothing is left open, and no thread."""
    assert store.settled_at(count)
    assert eventually(lambda: store.threads() == 1)
    # A thread's start lets some signals through, which would end rebound.
    return eventually(lambda: store.blocked() == UNBLOCKABLE ^ 2**64 - 1)


# --- Floods -------------------------------------------------------------------------------

FLOOD = """
import array, os, socket, sys
address = sys.argv[1].replace("@", chr(0), 1)
message = [sys.argv[2].encode().decode("unicode_escape").encode()]
kind, count, most = sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.connect(address)
for number in range(most):
    made = [os.eventfd(0) for _ in range(count)] if kind == "new" else [0] * count
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", made))]
    try:
        sender.sendmsg(message, rights)
    except OSError as error:
        print("ended", error, flush=True)
        break
    if kind == "new":
        for fd in made:
            os.close(fd)
    if number == 100:
        print("flooding", flush=True)
print("sent", number + 1, flush=True)
"""
ENDLESS = 10**9


@pytest.fixture
def flood():
    """Have somebody send descriptors; return once they do."""
    with ExitStack() as stack:

        def flood(address, count, user=()):
            words = [address, "FDSTORE=1", "new", count, ENDLESS]
            command = [*user, sys.executable, "-c", FLOOD, *words]
            process = stack.enter_context(
                subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True)
            )
            stack.callback(process.kill)
            assert process.stdout
            assert process.stdout.readline() == "flooding\n"
            return process

        yield flood


@pytest.fixture
def abstract_or_not(storing, monkeypatch):
    """Start one whose notify socket has a path, or none."""

    def start(where):
        if where == "abstract":
            monkeypatch.setenv("REBOUND_RUN_DIR", "")
        return storing()

    return start


@pytest.mark.parametrize("count", [1, 253])
@pytest.mark.parametrize("user", [[], OTHER_USER], ids=["the same user", "another user"])
@pytest.mark.parametrize("where", ["path", "abstract"])
def test_a_flood_of_strangers(abstract_or_not, flood, where, user, count):
    store = abstract_or_not(where)
    before = store.count()
    address = store.runs[0]["NOTIFY_SOCKET"]
    assert address.startswith("@") == (where == "abstract")
    process = flood(address, count, user)
    store.rebound.send(signal.SIGUSR1)
    store.rebound.wait_until(lambda: store.rebound.lines("heard"))
    # The command is heard among them, and what it stores comes back.
    store.do("store(memory('mine'), name='mine')")
    if where == "path":
        assert is_responsive(store)
    process.kill()
    assert is_clean(store, before + 1)
    assert store.next_run()["names"] == ["mine"]
    stops(store)


@pytest.mark.parametrize("message", ["FDSTORE=1\\nFDPOLL=0", "FDSTORE=1\\nFDNAME=x", "X"])
@pytest.mark.parametrize("kind", ["new", "old"])
def test_a_flood_of_the_command(storing, message, kind):
    """Of many that are new, and of one again and again."""
    store = storing("--fd-store", 300)
    before = store.count()
    words = [store.runs[0]["NOTIFY_SOCKET"], message, kind, 253, 500]
    store.do(f"flood, argv = {FLOOD!r}, {['flood', *map(str, words)]!r}")
    done = store.tell("sys.argv[:] = argv; exec(flood, {})")
    store.rebound.wait_until(lambda: store.rebound.lines("flooding"))
    assert eventually(lambda: run("--status", store.rebound.pid).returncode == 0)
    store.rebound.send(signal.SIGUSR1)
    store.rebound.wait_until(lambda: store.rebound.lines("heard"))
    store.rebound.wait_until(lambda: store.rebound.lines(done))
    store.do("barrier()")
    expected = 0 if message == "X" else 300 if kind == "new" else 1
    assert len(stored(store)) == expected
    assert is_clean(store, before + expected)
    stops(store)


def test_a_hundred_thousand_messages(storing):
    store = storing()
    before = store.count()
    words = [store.runs[0]["NOTIFY_SOCKET"], "FDSTORE=1\\nFDPOLL=0", "old", 1, 100_000]
    store.do(f"flood, argv = {FLOOD!r}, {['flood', *map(str, words)]!r}")
    done = store.tell("sys.argv[:] = argv; exec(flood, {})")
    store.rebound.wait_until(lambda: store.rebound.lines("flooding"))
    store.rebound.send(signal.SIGUSR1)
    store.rebound.wait_until(lambda: store.rebound.lines("heard"))
    eventually(lambda: store.rebound.lines(done), deadline=90)
    assert len(stored(store)) == 1
    assert is_clean(store, before + 1)
    stops(store)


def test_a_stop_ends_a_flood(storing):
    store = storing()
    words = [store.runs[0]["NOTIFY_SOCKET"], "FDSTORE=1", "new", 253, ENDLESS]
    store.do(f"flood, argv = {FLOOD!r}, {['flood', *map(str, words)]!r}")
    store.tell("sys.argv[:] = argv; exec(flood, {})")
    store.rebound.wait_until(lambda: store.rebound.lines("flooding"))
    stops(store)


# --- What takes its time to be closed -----------------------------------------------------

LINGERS = """
def lingering():
    s = socket.create_connection(("127.0.0.1", %d))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("2i", 1, 10_000))
    s.setblocking(False)
    try:
        while True:
            s.send(bytes(65536))
    except BlockingIOError:
        return s.detach()
"""


@pytest.fixture
def deaf():
    """A server whose clients are never read."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("way", [[], NO_THREADS], ids=["threads", "no threads"])
@pytest.mark.parametrize("when", ["at once", "removed", "at the stop"])
def test_a_connection_that_lingers(storing, deaf, when, way):
    """Its close takes hours, in which all goes on; a few of them hold up no other close."""
    store = storing(wrapper=way)
    before = store.count()
    store.do_all(LINGERS % deaf, "fds = [lingering() for _ in range(5)]")
    # The last one to close them is rebound.
    store.rebound.send(signal.SIGSTOP)
    store.do("send('X' if %r else 'FDSTORE=1', *fds); closed(fds)" % (when == "at once"))
    store.rebound.send(signal.SIGCONT)
    store.do("barrier()")
    if when == "removed":
        store.do_all("send('FDSTOREREMOVE=1\\nFDNAME=stored')", "barrier()")
        assert removed(store) == ["stored"] * 5
    assert is_responsive(store)
    store.do_all("r, w = os.pipe()", "send('X', w)", "os.close(w)")
    assert store.do("read_all(r)") == 0
    if way and when != "at the stop":
        assert is_clean(store, before)
    stops(store)


def test_strangers_whose_connections_linger(storing, deaf):
    """They take nobody's place: all are closed at once, and their data are not lost by it."""
    store = storing()
    before = store.count()
    code = f"""
import array, socket, struct, sys
{LINGERS % deaf}
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
fds = [lingering() for _ in range(30)]
s.connect(sys.argv[1])
socket.send_fds(s, [b"X"], fds)
"""
    command = [sys.executable, "-c", code, store.runs[0]["NOTIFY_SOCKET"]]
    # The last one to close them is rebound.
    store.rebound.send(signal.SIGSTOP)
    subprocess.run([*OTHER_USER, *command], check=True)
    store.rebound.send(signal.SIGCONT)
    store.do("barrier()")
    assert is_responsive(store)
    assert is_clean(store, before)
    stops(store)


@pytest.fixture
def slow(tmp_path):
    """A file of FUSE whose daemon can be told what not to answer."""
    point = tmp_path / "slow"
    point.mkdir()
    with (
        open(tmp_path / "daemon", "w") as out,
        subprocess.Popen(program("fuse.py", point, tmp_path / "held"), stdout=out) as daemon,
    ):
        slow = Slow(tmp_path)
        eventually(lambda: "mounted" in slow.said())
        try:
            yield slow
        finally:
            daemon.kill()
            subprocess.run(["umount", "-l", point])


class Slow:
    def __init__(self, directory):
        self._directory = directory
        self.file = directory / "slow/file"

    def said(self):
        return (self._directory / "daemon").read_text().split()

    def hold(self, *kinds):
        (self._directory / "new").write_text(" ".join(kinds))
        (self._directory / "new").rename(self._directory / "held")


def test_a_file_whose_server_does_not_answer_is_kept(storing, slow):
    """Neither what it is nor whether it has hung up is asked."""
    store = storing()
    store.do_all(f"fd = os.open('{slow.file}', os.O_RDWR)", "store(fd, name='slow')")
    store.do("inside = select.epoll(); inside.register(fd, select.EPOLLIN | select.EPOLLET)")
    slow.hold("GETATTR", "POLL")
    try:
        store.do("store(fd, inside.fileno(), name='again')")
        assert stored(store) == ["slow", "again"]
        assert is_responsive(store)
        assert store.next_run()["names"] == ["slow", "again"]
        store.do("signal.signal(signal.SIGUSR1, lambda *_: say('heard'))")
        assert is_responsive(store)
    finally:
        slow.hold()
    stops(store)


@pytest.mark.parametrize("how", ["removed", "at the stop", "not stored"])
def test_a_file_whose_server_does_not_let_it_be_closed(storing, slow, how):
    store = storing()
    before = store.count()
    store.do_all(
        f"fd = os.open('{slow.file}', os.O_RDWR)", "store(fd, name='slow')", "os.close(fd)"
    )
    store.do_all("r, w = os.pipe()", "store(w, name='way')", "os.close(w)", "on_term('asked')")
    slow.hold("FLUSH")
    try:
        if how == "at the stop":
            store.rebound.send(signal.SIGTERM)
            # Others are closed all the same, and rebound waits for the command.
            assert store.do("read_all(r)") == 0
            store.rebound.wait_until(lambda: store.rebound.lines("asked"))
        else:
            store.do("send('FDSTOREREMOVE=1\\nFDNAME=slow')")
        eventually(lambda: "held" in slow.said())
        assert is_responsive(store, status=1 if how == "at the stop" else 0)
        if how != "at the stop":
            store.do_all("send('FDSTOREREMOVE=1\\nFDNAME=way')", "barrier()")
            assert store.do("read_all(r)") == 0
            assert is_responsive(store)
            eventually(lambda: store.threads() == 2)
    finally:
        slow.hold()
    if how != "at the stop":
        assert is_clean(store, before)
        store.rebound.send(signal.SIGTERM)
    store.tell("os._exit(0)")
    assert store.rebound.wait() == 0


# --- Too little of everything -------------------------------------------------------------


def limit_descriptors(store, room):
    most = max(int(name) for name in os.listdir(f"/proc/{store.rebound.pid}/fd")) + 1
    before = psutil.Process(store.rebound.pid).rlimit(psutil.RLIMIT_NOFILE, (most + room, 4096))
    return most + room, before


@pytest.mark.parametrize("room", [0, 1, 3, 20])
def test_no_descriptor_is_left(storing, flood, room):
    """Taken away while it runs: what finds no room is gone, all else goes on."""
    store = storing("--fd-store", 100)
    before = store.count()
    rebound = psutil.Process(store.rebound.pid)
    most, _ = limit_descriptors(store, room)
    address = store.runs[0]["NOTIFY_SOCKET"]
    process = flood(address, 100)
    store.do_all("send('FDSTORE=1\\nFDNAME=x', *[os.eventfd(0) for n in range(50)])", "barrier()")
    store.rebound.send(signal.SIGUSR1)
    store.rebound.wait_until(lambda: store.rebound.lines("heard"))
    process.kill()
    process.wait()
    if room:
        assert is_responsive(store)
    kept = len(stored(store))
    assert kept <= most // 2
    assert is_clean(store, before + kept)
    rebound.rlimit(psutil.RLIMIT_NOFILE, (1024, 4096))
    assert store.next_run()["names"] == ["x"] * kept
    stops(store)


def test_a_stop_without_a_descriptor(storing):
    store = storing()
    store.do_all("r, w = os.pipe()", "store(w)", "os.close(w)", "on_term('asked')")
    limit_descriptors(store, -3)
    store.rebound.send(signal.SIGTERM)
    assert store.do("read_all(r)") == 0
    store.tell("os._exit(0)")
    assert store.rebound.wait() == 0


def refuses_threads(store):
    """Whether the profile does what it is for."""
    code = "import threading; threading.Thread(target=print).start()"
    return store.do(f"subprocess.run([sys.executable, '-c', {code!r}], stderr=-3).returncode")


def test_without_threads(storing):
    store = storing("--fd-store", 300, wrapper=NO_THREADS)
    assert refuses_threads(store)
    before = store.count()
    store.do_all("fds = [os.eventfd(0) for _ in range(200)]", "store(*fds)", "store(*fds)")
    assert len(stored(store)) == 200
    store.do_all("send('FDSTOREREMOVE=1\\nFDNAME=stored')", "barrier()")
    assert is_clean(store, before)
    store.do("store(memory('x'))")
    assert store.next_run()["names"] == ["stored"]
    stops(store)


def test_without_a_free_pid(storing):
    """pids.max counts threads, too."""
    with cgroups.new("pids", pids__max=200) as cgroup:
        store = storing(wrapper=cgroups.inside(cgroup))
        before = store.count()
        (cgroup / "pids.max").write_text("1")
        store.do_all("send('X', *[memory('') for _ in range(100)])", "barrier()")
        assert is_clean(store, before)
        assert is_responsive(store)
        (cgroup / "pids.max").write_text("200")
        stops(store)


# --- Odd ones -----------------------------------------------------------------------------

# An io_uring cannot be sent: sendmsg(2) refuses it since Linux 6.7.
ODD = {
    "its own notify socket": "kept.append(c := connected()) or c.fileno()",
    "an epoll with its notify socket": "watching(connected())",
    "sockets that hold each other": "cycle()",
    "a pidfd of the command": "os.pidfd_open(os.getpid())",
    "a pidfd of rebound": "os.pidfd_open(os.getppid())",
    "a terminal": "os.openpty()[1]",
    "a userfaultfd": "libc.syscall(323, 1)",
    "a timer that has fired": "fired()",
    "a directory": "os.open('/', os.O_RDONLY)",
    "a path": "os.open('/', os.O_PATH)",
    "an inotify": "libc.inotify_init()",
    "a signalfd": "libc.signalfd(-1, (ctypes.c_ulong * 16)(*[2**64 - 1] * 16), 0)",
    "a listening socket": "kept.append(s := socket.create_server(('', 0))) or s.fileno()",
    "a full pipe": "full()",
    "an epoll of epolls": "nested()",
    "rebound's memory": "os.open(f'/proc/{os.getppid()}/mem', os.O_RDWR)",
    "rebound's descriptors": "os.open(f'/proc/{os.getppid()}/fd', os.O_RDONLY)",
}
MAKERS = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)


def connected():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect(os.environ["NOTIFY_SOCKET"])
    return s


def watching(*watched):
    e = select.epoll()
    for one in watched:
        e.register(one.fileno(), select.EPOLLIN | select.EPOLLOUT)
    kept.extend((e, *watched))
    return e.fileno()


def nested():
    fd = watching(connected())
    for _ in range(4):
        e = select.epoll()
        e.register(fd)
        kept.append(e)
        fd = e.fileno()
    return fd


def cycle():
    one, two = socket.socketpair()
    socket.send_fds(one, [b"x"], [one.fileno(), two.fileno()])
    socket.send_fds(two, [b"x"], [one.fileno(), two.fileno()])
    kept.extend((one, two))
    return one.fileno()


def fired():
    fd = libc.timerfd_create(1, 0)
    libc.timerfd_settime(fd, 0, (ctypes.c_long * 4)(0, 0, 0, 1), None)
    return fd


def full():
    r, w = os.pipe()
    os.set_blocking(w, False)
    os.write(w, bytes(65536))
    kept.append(r)
    return w
"""


HUNG_UP_WITH_THE_COMMAND = {"a terminal", "a full pipe"}


@pytest.mark.parametrize("polled", [True, False])
@pytest.mark.parametrize("kind", ODD)
def test_odd_ones(storing, kind, polled):
    """They are kept, wake nobody, and end with the stop."""
    store = storing()
    before = store.count()
    store.do_all(MAKERS, f"fd = {ODD[kind]}")
    assert store.do("fd") >= 0
    more = "" if polled else "\\nFDPOLL=0"
    store.do(f"store(fd, name='odd', more='{more}')")
    assert stored(store) == ["odd"]
    assert is_responsive(store)
    # A loop that is woken again and again does not sleep.
    rebound = psutil.Process(store.rebound.pid)
    eventually(lambda: rebound.status() == psutil.STATUS_SLEEPING)
    calls = rebound.num_ctx_switches().voluntary
    for _ in range(20):
        store.do("fd")  # rebound has no part in these
    assert rebound.num_ctx_switches().voluntary - calls < 20
    is_kept = not polled or kind not in HUNG_UP_WITH_THE_COMMAND
    assert store.next_run()["names"] == ["odd"] * is_kept
    store.do("closed(handed('odd'))")
    store.do_all("send('FDSTOREREMOVE=1\\nFDNAME=odd')", "barrier()")
    assert is_clean(store, before)
    stops(store)
