"""`--fd-store`: a run gives descriptors away, and the next one gets them back."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.e2e.test_watchdog import statuses
from tests.helpers import JSON, OTHER_USER, denied, eventually, program, run
from tests.storing import Storing


@pytest.fixture
def storing(start, tmp_path):
    """Start one with these options."""

    def storing(*options, **keywords):
        fifo = tmp_path / "orders"
        if not fifo.exists():
            os.mkfifo(fifo)
        command = program("storer.py", fifo)
        words = [*JSON, "-v", "-b0", "--fd-store", 300, *options, "--", *command]
        return Storing(start(*words, **keywords), fifo)

    return storing


def stops(storing, status=143):
    storing.rebound.send(signal.SIGTERM)
    assert storing.rebound.wait() == status
    assert not storing.rebound.events("internal_error")


def stored(storing):
    """The names of all that were stored, as the log tells."""
    return [event["name"] for event in storing.rebound.events("fd_stored")]


def removed(storing):
    return [event["name"] for event in storing.rebound.events("fd_removed")]


# --- What comes back ----------------------------------------------------------------------


def test_what_is_stored_comes_back_with_its_name_in_order_behind_the_sockets(
    storing, mode, tmp_path
):
    options = ["--listen", "api=127.0.0.1:0", "--listen", f"{tmp_path}/socket"]
    store = storing(*options, wrapper=mode)
    [first] = store.runs
    assert first["names"] == ["api", "unknown"]
    assert (first["FDSTORE"], first["LISTEN_FDS"]) == ("300", "2")
    store.do_all("store(memory('one'), name='b')", "store(memory('two'), memory('three'))")
    store.do("store(memory('four'), name='a')")
    second = store.next_run()
    assert second["names"] == ["api", "unknown", "b", "stored", "stored", "a"]
    assert (second["FDSTORE"], second["LISTEN_FDS"]) == ("300", "6")
    assert store.do("[read(fd) for fd in range(5, 9)]") == ["one", "two", "three", "four"]
    assert store.do("[os.get_inheritable(fd) for fd in range(3, 9)]") == [True] * 6
    # Those of an earlier run stay where they are.
    store.do("store(memory('five'), name='a')")
    third = store.next_run()
    assert third["names"] == ["api", "unknown", "b", "stored", "stored", "a", "a"]
    assert store.do("[read(fd) for fd in handed('a')]") == ["four", "five"]
    stops(store)


def test_each_run_is_told_its_own_pid(storing):
    """But one that is handed nothing is not: its pid is known too late."""
    store = storing()
    assert store.runs[0]["LISTEN_PID"] is None
    store.do("store(memory(''))")
    assert (second := store.next_run())["LISTEN_PID"] == str(second["pid"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", ""),
        (" ", " "),
        ("~!#=x", "~!#=x"),
        ("x" * 255, "x" * 255),
        ("x" * 256, "stored"),
        ("a:b", "stored"),
        ("a\\tb", "stored"),
        ("\\x7f", "stored"),
        ("\u00e9", "stored"),
    ],
)
def test_names(storing, name, expected):
    store = storing()
    store.do(f"store(memory(''), name='{name}')")
    assert stored(store) == [expected]
    assert store.next_run()["names"] == [expected]


ENDS = {
    "a crash": "os._exit(9)",
    "a signal": "os.kill(os.getpid(), signal.SIGSEGV)",
    "a hang": "send('WATCHDOG=trigger')",
    "silence": "send('WATCHDOG_USEC=100000')",
}


@pytest.mark.parametrize("how", [*ENDS, "--restart-now", "a back-off"])
def test_what_a_store_survives(storing, how):
    delay = ["-d", "100ms"] if how == "a back-off" else []
    store = storing("--watchdog", "1h", *delay)
    store.do("store(memory('precious'))")
    if how == "--restart-now":
        store.restart_now()
    else:
        store.next_run(ENDS.get(how, "os._exit(9)"))
    assert store.do("[read(fd) for fd in handed('stored')]") == ["precious"]
    assert bool(store.rebound.events("delayed")) == (how == "a back-off")


def test_the_last_words_before_a_crash(storing):
    """A message that nobody has read when the run ends, twenty times."""
    store = storing("-r", 100)
    for number in range(20):
        message = f"FDSTORE=1\\nFDNAME={number}"
        die = "os.kill(os.getpid(), signal.SIGKILL)"
        names = store.next_run(f"send('{message}', memory('{number}')); {die}")["names"]
        assert names == [str(earlier) for earlier in range(number + 1)]


# --- What is not stored -------------------------------------------------------------------


def test_what_comes_without_fdstore_is_closed(storing):
    store = storing()
    before = store.count()
    store.do_all("r, w = os.pipe()", "send('READY=1', w)", "os.close(w)")
    assert store.do("read_all(r)") == 0
    store.do_all("send('FDSTORE=0', memory(''))", "send('', memory(''))", "barrier()")
    store.do_all(f"send('FDSTORE=1\\n' + 'X' * {5000}, memory(''))", "barrier()")
    assert stored(store) == []
    assert store.settled_at(before)


def test_no_more_than_n(storing):
    store = storing("--fd-store", 3)
    before = store.count()
    store.do("pipes = [os.pipe() for _ in range(5)]")
    store.do("store(*[w for r, w in pipes[:2]]); store(*[w for r, w in pipes[2:]])")
    store.do("[os.close(w) for r, w in pipes]")
    # The peer of each that is not kept sees its end.
    assert store.do("[read_all(r) for r, w in pipes[3:]]") == [0, 0]
    assert len(stored(store)) == 3
    assert store.settled_at(before + 3)
    store.do("send('FDSTOREREMOVE=1\\nFDNAME=stored'); store(memory('room'))")
    assert len(store.next_run()["names"]) == 1
    stops(store)


def test_many_in_one_message_and_many_messages(storing):
    store = storing()
    store.do("fds = [memory(str(n)) for n in range(253)]")
    store.do("store(*fds, name='x')")
    for number in range(253, 290):
        store.do(f"send('FDSTORE=1\\nFDNAME=x', memory('{number}'))")
    store.do("barrier()")
    assert store.next_run()["names"] == ["x"] * 290
    assert store.do("[int(read(fd)) for fd in handed('x')]") == [*range(290)]
    stops(store)


@pytest.mark.parametrize("limit", [1024, 100])
def test_a_store_leaves_descriptors_for_the_rest(storing, limit):
    """Half of what RLIMIT_NOFILE allows."""
    store = storing("--fd-store", 5000, wrapper=["prlimit", f"--nofile={limit}"])
    for _ in range(15):
        count = min(limit // 3, 100)
        store.do(f"fds = [os.eventfd(0) for _ in range({count})]; store(*fds); closed(fds)")
    assert limit // 3 < len(stored(store)) < limit // 2
    assert len(store.next_run()["names"]) == len(stored(store))
    assert run("--status", store.rebound.pid).returncode == 0
    stops(store)


# fcntl's F_DUPFD_QUERY, since Linux 6.10; and kcmp.
OLD, DEAF = ["fcntl/1=1027:EINVAL"], ["fcntl/1=1027:EINVAL", "kcmp:EPERM"]
SAME = {
    "pipe": "(lambda p: (p[0], p[0]))(os.pipe())",
    "socket": "(lambda s: (s, s))(socket.socket().detach())",
    "datagram": "(lambda s: (s, s))(socket.socket(type=socket.SOCK_DGRAM).detach())",
    "memfd": "(lambda m: (m, m))(memory('x'))",
    "eventfd": "(lambda e: (e, e))(os.eventfd(0))",
}
DIFFERENT = {
    "eventfds": "(os.eventfd(0), os.eventfd(0))",
    "epolls": "[kept.append(e) or e.fileno() for e in (select.epoll(), select.epoll())]",
    "both ends": "os.pipe()",
    "memfds": "(memory('x'), memory('x'))",
    "devices": "(os.open('/dev/null', os.O_RDWR), os.open('/dev/null', os.O_RDWR))",
    "positions": "(os.open('/bin/sh', 0), os.open('/bin/sh', 0)); os.lseek(two[1], 1, 0)",
}


@pytest.mark.parametrize("profile", [[], OLD, DEAF], ids=["new", "kcmp", "neither"])
@pytest.mark.parametrize("kind", [*SAME, *DIFFERENT])
def test_what_is_stored_already_is_not_stored_twice(storing, kind, profile):
    """What the kernel does not tell apart, and shares an inode, is better stored twice."""
    store = storing("--fd-store", 9, wrapper=denied(*profile) if profile else [])
    store.do("no_poll = '\\nFDPOLL=0'")
    store.do(f"two = {SAME.get(kind) or DIFFERENT[kind]}")
    store.do("[store(fd, more=no_poll) for fd in two]; store(*two, more=no_poll)")
    is_one = kind in SAME and not (kind == "eventfd" and profile is DEAF)
    untold = 4 if profile is DEAF and kind in ("eventfd", "eventfds", "epolls", "devices") else 2
    assert len(stored(store)) == (1 if is_one else untold)


# --- Removal ------------------------------------------------------------------------------


def test_removal_by_name(storing):
    store = storing()
    before = store.count()
    for name in ("a", "b", "a", "stored"):
        store.do(f"store(memory('{name}'), name='{name}')")
    store.do_all("send('FDSTOREREMOVE=1')", "send('FDSTOREREMOVE=1\\nFDNAME=no')", "barrier()")
    assert removed(store) == []
    store.do_all("send('FDSTOREREMOVE=1\\nFDNAME=a')", "barrier()")
    assert removed(store) == ["a", "a"]
    assert [event["count"] for event in store.rebound.events("fd_removed")] == [3, 2]
    assert store.settled_at(before + 2)
    assert store.next_run()["names"] == ["b", "stored"]
    stops(store)


PEERS = {
    "pipe": "a, b = os.pipe()",
    "socketpair": "a, b = [s.detach() for s in socket.socketpair()]",
    "terminal": "b, a = os.openpty()",
}


@pytest.mark.parametrize("when", ["while it runs", "while no run is there"])
@pytest.mark.parametrize("polled", [True, False])
@pytest.mark.parametrize("kind", PEERS)
def test_what_hangs_up_is_dropped(storing, kind, polled, when):
    """Unless it is not to be polled."""
    options = ["-d", "1h"] if when != "while it runs" else []
    store = storing(*options)
    more = "" if polled else "\\nFDPOLL=0"
    store.do_all(PEERS[kind], f"store(a, name='gone', more='{more}')")
    store.do_all("store(memory('stays'), name='stays')", "os.set_inheritable(b, True)")
    if options:
        # A daemon keeps the other end open.
        store.do("daemon = subprocess.Popen(['sleep', '1000'], close_fds=False).pid")
        store.tell("print(daemon, flush=True); os._exit(9)")
        store.rebound.wait_until(lambda: store.rebound.events("delayed"))
        assert removed(store) == []
        for orphan in store.rebound.children():
            orphan.kill()
    else:
        store.do("os.close(b)")
    if polled:
        store.rebound.wait_until(lambda: removed(store) == ["gone"])
    names = store.restart_now()["names"] if options else store.next_run()["names"]
    assert names == (["stays"] if polled else ["gone", "stays"])
    stops(store)


@pytest.mark.parametrize("end", ["reset", "end"])
def test_a_connection_whose_client_goes(storing, end):
    """A reset ends it.  An end in one direction does not: the next run may answer still."""
    store = storing()
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        store.do(f"s = socket.create_connection(('{host}', {port}))")
        client, _ = server.accept()
        store.do("store(s.fileno())")
        if end == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        with client:
            client.shutdown(socket.SHUT_WR)
            if end == "end":
                store.next_run()
                store.do("socket.socket(fileno=3).sendall(b'still here')")
                assert client.recv(100) == b"still here"
        if end == "reset":
            store.rebound.wait_until(lambda: removed(store) == ["stored"])
            assert store.next_run()["names"] == []
    stops(store)


UNPOLLED = {
    "regular file": "os.open('/bin/sh', os.O_RDONLY)",
    "memfd": "memory('x')",
    "directory": "os.open('/', os.O_RDONLY)",
    "device": "os.open('/dev/null', os.O_RDWR)",
    "eventfd": "os.eventfd(0)",
    "epoll": "kept.append(select.epoll()) or kept[0].fileno()",
    "path": "os.open('/bin/sh', os.O_PATH)",
    "path of a FIFO": "os.open(sys.argv[1], os.O_PATH)",
}


@pytest.mark.parametrize("kind", UNPOLLED)
def test_what_does_not_hang_up_is_kept(storing, kind):
    store = storing()
    store.do(f"store({UNPOLLED[kind]})")
    assert store.next_run()["names"] == ["stored"]
    stops(store)


def test_a_process_that_ends(storing):
    """A pidfd hangs up once its process is reaped, which Linux tells since 6.9."""
    store = storing()
    store.do_all(
        "process = subprocess.Popen(['sleep', '1000'])",
        "pidfd = os.pidfd_open(process.pid)",
        "store(pidfd)",
        "process.kill(); process.wait()",
        "poll = select.poll(); poll.register(pidfd, 0)",
    )
    if store.do("poll.poll(0)"):
        store.rebound.wait_until(lambda: removed(store) == ["stored"])
    stops(store)


# --- The end ------------------------------------------------------------------------------


def test_all_are_gone_when_the_stop_begins(storing):
    """Although the command still runs: peers must not wait for a run that never comes."""
    store = storing("--listen", "127.0.0.1:0")
    store.do_all("on_term('asked')", "r, w = os.pipe()", "store(w)", "os.close(w)")
    store.rebound.send(signal.SIGTERM)
    assert store.do("read_all(r)") == 0
    assert store.rebound.wait_until(lambda: store.rebound.lines("asked"))
    # Nor is anything kept any more.
    store.do_all("r, w = os.pipe()", "store(w)", "os.close(w)")
    assert store.do("read_all(r)") == 0
    store.tell("os._exit(0)")
    assert store.rebound.wait() == 0


def test_all_are_gone_when_rebound_gives_up(storing):
    """While it waits for what is left behind."""
    store = storing("-r", "1")
    store.do_all("r, w = os.pipe()", "store(w)", "os.close(w)")
    # A daemon that says when it sees the end, and then ends only when it is killed.
    script = "trap '' HUP TERM; cat; echo the end; exec sleep 1000"
    store.do(f"subprocess.Popen(['setsid', 'sh', '-c', {script!r}], stdin=r) and None")
    store.next_run()
    store.tell("os._exit(9)")
    store.rebound.wait_until(lambda: "the end" in store.rebound.stdout)
    assert store.rebound.events("giving_up")


# --- Who may store ------------------------------------------------------------------------


def test_a_child_of_the_command_may_not(storing):
    store = storing()
    before = store.count()
    store.do_all("fd = memory('x')", "child(lambda: store(fd))", "barrier()")
    assert stored(store) == []
    store.do_all("store(fd)", "child(lambda: send('FDSTOREREMOVE=1\\nFDNAME=stored'))", "barrier()")
    assert removed(store) == []
    assert store.settled_at(before + 1)


STRANGER = "import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
STRANGER += "s.connect(sys.argv[1]); socket.send_fds(s, [b'FDSTORE=1'], [0])"


@pytest.mark.parametrize("who", ["another user", "root"])
def test_strangers_may_not(storing, who):
    store = storing()
    before = store.count()
    address = store.runs[0]["NOTIFY_SOCKET"]
    user = OTHER_USER if who == "another user" else []
    subprocess.run([*user, sys.executable, "-c", STRANGER, address], check=True)
    store.do("barrier()")
    assert stored(store) == []
    assert store.settled_at(before)


def test_root_may_in_the_name_of_the_command(storing):
    """As systemd-notify(1) does: the kernel lets only root claim another's pid."""
    store = storing()
    store.do_all("me, fd = os.getpid(), memory('x')", "message = 'FDSTORE=1'")
    store.do("child(lambda: send(message, fd, credentials=(me, 0, 0)))")
    store.do("barrier()")
    assert store.next_run()["names"] == ["stored"]


OF_A_DAEMON = """
def daemon():
    os.setsid()
    if os.fork():
        return
    signal.alarm(100)
    old = os.environ["NOTIFY_SOCKET"]
    for line in os.fdopen(r):
        for os.environ["NOTIFY_SOCKET"] in (old, line.strip()):
            try:
                send("FDSTORE=1", w)
            except OSError as error:
                say("daemon", type(error).__name__)
            else:
                say("daemon sent")
    os._exit(0)
r, w = os.pipe()
child(daemon)
store(w, name="way")
"""


def test_what_an_earlier_run_left_behind_may_not(storing):
    """Neither by the old path, which is gone, nor by the new one."""
    store = storing()
    store.do(OF_A_DAEMON)
    address = store.next_run()["NOTIFY_SOCKET"]
    store.do(f"os.write(3, b'{address}\\n') and None")
    store.rebound.wait_until(lambda: len(store.rebound.lines("daemon")) == 2)
    assert store.rebound.lines("daemon") == ["daemon FileNotFoundError", "daemon sent"]
    store.do("barrier()")
    assert stored(store) == ["way"]


# --- Beside the store ---------------------------------------------------------------------


def test_without_a_watchdog_readiness_is_shown_and_not_required(storing):
    store = storing()
    assert store.runs[0]["WATCHDOG_USEC"] is None
    status = ["--status", "--json", store.rebound.pid]
    [fields] = json.loads(run(*status).stdout)
    assert (fields["state"], fields["ok"], fields["stored"]) == ("RUNNING", True, 0)
    store.do_all("send('READY=1\\nSTATUS=well')", "store(memory(''))")
    assert store.rebound.events("ready")
    assert statuses(store.rebound) == ["well"]
    [fields] = json.loads(run(*status).stdout)
    assert (fields["ok"], fields["status"], fields["stored"]) == (True, "well", 1)
    assert "\nstored:   1 descriptor\n" in run("--status", store.rebound.pid).stdout


def test_a_run_may_ask_for_a_watchdog(storing):
    store = storing()
    store.next_run("send('WATCHDOG_USEC=100000')")
    [hung] = store.rebound.events("hung")
    assert hung["reason"] == "no keep-alive for 100ms"
    assert store.runs[1]["REBOUND_LAST_EXIT"] == "hung"
    # The next run has not asked for it.
    assert run("--status", store.rebound.pid).returncode == 0


def test_what_is_meant_for_rebound_is_not_passed_on(storing, tmp_path):
    manager = tmp_path / "manager"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(manager))
        ours = {"NOTIFY_SOCKET": str(manager), "FDSTORE": "77", "WATCHDOG_USEC": "5"}
        store = storing("--fd-store", 8, env={**os.environ, **ours})
        [told] = store.runs
        assert (told["FDSTORE"], told["WATCHDOG_USEC"]) == ("8", None)
        assert told["NOTIFY_SOCKET"] != str(manager)
        stops(store)


def test_without_a_store_a_run_is_told_of_none(start):
    script = "echo ready FDSTORE=$FDSTORE; exec sleep 1000"
    env = {**os.environ, "FDSTORE": "77"}
    rebound = start("--watchdog", "1h", "sh", "-c", script, env=env)
    rebound.wait_ready()
    assert rebound.lines("ready") == ["ready FDSTORE="]


@pytest.mark.parametrize("option", [["--fd-store", 8], ["--watchdog", "1h"]])
def test_the_real_systemd_notify_with_its_barrier(start, option, mode):
    """It returns only when all that was sent before has been taken."""
    script = "systemd-notify --ready --status=well && echo returned; exec sleep 1000"
    rebound = start(*JSON, "-v", *option, "sh", "-c", script, wrapper=mode)
    rebound.wait_until(lambda: rebound.lines("returned"))
    assert rebound.events("ready")
    assert statuses(rebound) == ["well"]


def test_a_barrier_among_many_messages(storing):
    store = storing()
    for number in range(50):
        store.do(f"send('STATUS={number}'); barrier()")
        assert statuses(store.rebound)[-1] == str(number)


def test_the_log_tells_what_is_stored_and_removed(storing):
    store = storing()
    store.do_all("store(memory(''), name='x')", "send('FDSTOREREMOVE=1\\nFDNAME=x')", "barrier()")
    [kept], [dropped] = store.rebound.events("fd_stored"), store.rebound.events("fd_removed")
    assert (kept["name"], kept["count"]) == ("x", 1)
    assert (dropped["name"], dropped["count"]) == ("x", 0)
    assert eventually(lambda: store.threads() == 1)
