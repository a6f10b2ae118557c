"""System calls that fail, injected by strace, and places that lack things."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess

import psutil
import pytest

from tests.helpers import (
    DEADLINE,
    JSON,
    NESTED,
    OTHER_USER,
    PID1,
    REBOUND,
    denied,
    events,
    eventually,
    program,
    run,
)

ORPHAN = ["sh", "-c", "sleep 1000 & echo ready; exec sleep 2000"]


def inject(*faults, paths=()):
    """strace, which makes these system calls of rebound (not of its children) fail."""
    options = [f"--inject={fault}" for fault in faults]
    options += [f"--trace-path={path}" for path in paths]
    return ["strace", "-o", "/dev/null", *options]


def crashes(wrapper, *options, times=3):
    """Run a command that crashes so often; give the log, once all went well."""
    command = [*wrapper, REBOUND, *JSON, "-b", "0", "-r", str(times), *options]
    command += ["sh", "-c", "exit 9"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert result.returncode == 9
    restarts = [end["restarts"] for end in events(result.stderr, "exited")]
    assert restarts == [*range(1, times + 1), times]
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.mark.parametrize("error", ["EPERM", "ENOSYS"])
def test_pidfd_refused_is_said_once_and_sigchld_does(error):
    log = crashes(inject(f"pidfd_open:error={error}"))
    [said] = events(log, "no_pidfd")
    assert said["msg"].startswith("pidfd_open: ")


def test_one_pidfd_that_fails_does_no_harm():
    crashes(inject("pidfd_open:error=EMFILE:when=2"))
    crashes(inject("epoll_ctl:error=ENOSPC:when=3+"))


@pytest.mark.parametrize("error", ["EAGAIN", "ENOMEM"])
def test_failing_forks_are_retried_with_back_off(error):
    log = crashes(inject(f"clone3:error={error}:when=1..3"), "--max-delay", "10ms")
    assert len(events(log, "start_failed")) == 3
    log = crashes(inject(f"clone3:error={error}:when=2..4"), "--max-delay", "10ms")
    assert len(events(log, "start_failed")) == 3


def test_a_stop_ends_a_start_that_cannot_be_made(start):
    rebound = start(*JSON, "sleep", "1000", wrapper=inject("clone3:error=EAGAIN"))
    failed = rebound.wait_until(lambda: rebound.events("start_failed"))[0]
    assert failed["delay"] == 1
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143


@pytest.mark.parametrize("call", ["epoll_create1", "signalfd4"])
@pytest.mark.parametrize("error", ["EMFILE", "ENFILE", "ENOMEM"])
def test_without_descriptors_signals_are_still_taken(start, call, error):
    options = [*JSON, "-b", 0]
    command = program("record_signals.py", 4)
    rebound = start(*options, *command, wrapper=inject(f"{call}:error={error}"))
    rebound.wait_ready()
    rebound.send(signal.SIGUSR1)
    rebound.wait_until(lambda: rebound.lines("signal 10 "))
    rebound.children()[0].kill()
    rebound.wait_ready(2)
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 4
    [said] = rebound.events("error")
    assert said["msg"].endswith("trying again")


def test_descriptors_are_tried_again(start):
    rebound = start(
        *program("record_signals.py", 4), wrapper=inject("epoll_create1:error=EMFILE:when=1")
    )
    rebound.wait_ready()
    rebound.wait_until(lambda: "eventpoll" in links(rebound))
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 4


@pytest.mark.parametrize("fault", [[], ["--inject=clock_nanosleep:error=EPERM"]])
def test_orphans_that_end_quickly_are_let_gather(start, tmp_path, fault):
    """Rather than to wake up for each; a pause that fails is no matter.

    Under strace rebound is too slow to win against a bomb, so it is not stopped here.
    """
    trace = tmp_path / "trace"
    strace = [*NESTED, "strace", "-o", str(trace), "--trace=clock_nanosleep", *fault]
    rebound = start(*JSON, *program("adversary.py", "bomb", 4), wrapper=strace)
    try:
        rebound.wait_ready()
        rebound.wait_until(lambda: trace.read_text().count("clock_nanosleep") > 3)
        assert not rebound.events("internal_error")
    finally:
        # With its PID namespace.  One after the other they would be too fast: nobody reaps
        # while rebound is stopped, and soon there is no pid left.
        rebound.popen.kill()
        rebound.popen.wait()


def test_another_rebound_makes_the_run_directory_first(start, tmp_path):
    """At the same moment: it is not there when this one looks, and is when this one makes it."""
    directory = tmp_path / "run"
    late = ["strace", "-o", "/dev/null", "--inject=mkdir:delay_enter=1000000"]
    env = {**os.environ, "REBOUND_RUN_DIR": str(directory)}
    rebound = start(*ORPHAN, wrapper=late, env=env)
    rebound.wait_ready()
    directory.mkdir()
    rebound.wait_until(lambda: run("--status", env=env).returncode == 0)


def links(rebound):
    listing = subprocess.run(
        ["ls", "-l", f"/proc/{rebound.pid}/fd"], capture_output=True, text=True
    )
    return listing.stdout


@pytest.mark.parametrize("limit", range(4, 12))
def test_few_descriptors(limit):
    """With less than 4 not even Python starts."""
    limits = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))  # noqa: E731
    result = run("-b", 0, "-r", 3, "sh", "-c", "exit 9", preexec_fn=limits)
    assert result.returncode == 9
    assert "Traceback" not in result.stderr


def test_no_process_left_for_a_user(start):
    """RLIMIT_NPROC, from which root is exempt: a real EAGAIN, until another process ends."""
    # A user of our own: other tests may have processes of the other one at the same time.
    user = [word.replace("54321", str(100_000 + os.getpid())) for word in OTHER_USER]
    with subprocess.Popen([*user, "sleep", "1000"]) as other:
        try:
            eventually(lambda: psutil.Process(other.pid).name() == "sleep")  # and that user's
            wrapper = ["prlimit", "--nproc=2", *user]
            rebound = start(*JSON, "--max-delay", "10ms", "true", wrapper=wrapper)
            failed = rebound.wait_until(lambda: rebound.events("start_failed"))[0]
            assert failed["command"] == "true"
            assert failed["error"].endswith("Resource temporarily unavailable")
        finally:
            other.kill()
    assert rebound.wait() == 0


def test_a_health_check_whose_output_cannot_be_had_counts_all_the_same(start):
    options = [*JSON, "-v", "--health-cmd", "echo output", "--health-interval", "50ms"]
    rebound = start(*options, "sleep", "1000", wrapper=inject("pipe2:error=EMFILE"))
    rebound.wait_until(lambda: rebound.events("healthy"))
    assert not rebound.events("health_output")


def test_a_client_that_cannot_be_served_is_sent_away(start, tmp_path):
    """It must neither wait for ever, nor keep the loop busy."""
    env = {**os.environ, "REBOUND_RUN_DIR": str(tmp_path / "run")}
    rebound = start("sleep", "1000", wrapper=inject("accept4:error=EMFILE"), env=env)
    rebound.wait_until(lambda: list((tmp_path / "run").glob("[0-9]*.sock")))
    result = run("--status", env=env)
    assert (result.returncode, result.stdout.count("\n")) == (1, 1)
    psutil.Process(traced(rebound)).terminate()
    assert rebound.wait() == 143


def traced(rebound):
    """The pid of the rebound below strace."""
    return next(c.pid for c in psutil.Process(rebound.popen.pid).children())


def test_a_log_into_a_socket_that_knows_no_nowait(start):
    """As terminals, and pipes before Linux 6.5."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        rebound = start("true", wrapper=inject("pwritev2:error=EOPNOTSUPP"), stderr=theirs)
        assert rebound.wait() == 0
        assert b"rebound: starting true\n" in ours.recv(4096)


def test_a_log_that_cannot_be_written():
    command = [*inject("write:error=EIO", "pwritev2:error=EIO"), REBOUND, "-r", "2", "false"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert (result.returncode, result.stderr) == (1, "")


@pytest.mark.parametrize(
    "fault",
    [
        "readv:error=EIO:when=1",
        "wait4:error=EINTR:when=1",
        "wait4:error=EINVAL:when=2",
        "epoll_wait:error=EINTR:when=1..5",
        "epoll_wait:error=ENOMEM:when=2",
        "pwritev2:error=ENOSYS",
    ],
)
def test_nothing_ends_rebound_before_its_time(fault):
    crashes(inject(fault))


def test_subreaper_refused():
    command = [*inject("prctl:error=EINVAL"), REBOUND, "true"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert result.returncode == 125
    assert result.stderr == "rebound: cannot become a subreaper: Invalid argument\n"


def test_a_command_that_must_not_be_signalled_is_named(start):
    rebound = start(*JSON, "sleep", "1000", wrapper=inject("kill:error=EPERM:when=1"))
    [command] = rebound.wait_until(rebound.children)
    rebound.send(signal.SIGUSR1)
    [failed] = rebound.wait_until(lambda: rebound.events("signal_failed"))
    assert (failed["signal"], failed["pid"]) == ("SIGUSR1", command.pid)
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143


def test_what_must_not_be_killed_is_left(start):
    """As with a daemon of another user below a rebound that is not root."""
    # Permitted are TERM and CONT for the command; TERM for the daemon is the third.
    wrapper = inject("kill:error=EPERM:when=3+")
    rebound = start(*JSON, "--stop-timeout", "300ms", *ORPHAN, wrapper=wrapper)
    rebound.wait_ready()
    (orphan,) = rebound.wait_until(lambda: orphan_of(rebound))
    rebound.wait_until(lambda: any("2000" in c.cmdline() for c in rebound.children()))
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    [left] = rebound.events("not_killed")
    assert (left["count"], left["processes"]) == (1, f"sleep (pid {orphan.pid})")
    orphan.kill()


def orphan_of(rebound):
    return [
        c for c in psutil.Process(rebound.pid).children(recursive=True) if "1000" in c.cmdline()
    ]


def drains(start, wrapper):
    """An adopted process is asked, and gone when rebound ends."""
    rebound = start(*JSON, "-v", *ORPHAN, wrapper=wrapper)
    rebound.wait_ready()
    (orphan,) = rebound.wait_until(lambda: orphan_of(rebound))
    rebound.wait_until(lambda: any("2000" in c.cmdline() for c in rebound.children()))
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    eventually(lambda: not orphan.is_running())
    return rebound


def test_drain_without_the_list_of_children(start):
    """CONFIG_PROC_CHILDREN is not set: the parents of all processes are looked at."""
    drains(start, inject("openat:error=ENOENT", paths=["/proc/thread-self/children"]))


NO_PROC = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$0" "$@"']

# A container that has started many processes.  A kernel whose pids end before is content, too.
LATE = "(echo 100000 > /proc/sys/kernel/ns_last_pid) 2> /dev/null"
LATE_WITHOUT_PROC = [*PID1, "sh", "-c", f'{LATE}; mount -t tmpfs none /proc && exec "$0" "$@"']


def test_drain_without_proc(start):
    assert len(drains(start, NO_PROC).events("no_proc")) == 1


def test_drain_without_proc_as_pid_1_with_pids_beyond_those_that_are_tried(start):
    drains(start, LATE_WITHOUT_PROC)


def test_the_stop_timeout_ends_what_cannot_be_found(start):
    """The command, whose pid is known, and what it leaves behind; all ignore the stop."""
    command = ["sh", "-c", "trap '' TERM; sleep 1000 & echo ready; exec sleep 2000"]
    rebound = start("--stop-timeout", "300ms", *command, wrapper=LATE_WITHOUT_PROC)
    rebound.wait_ready()
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 137


@pytest.mark.parametrize("options", [[], ["--stop-timeout", "300ms"]])
def test_what_cannot_be_found_is_said(start, options):
    """Where it must not signal everybody: it waits, and with a limit leaves."""
    wrapper = [*denied("waitid:EPERM"), *NO_PROC]
    rebound = start(*JSON, *options, *ORPHAN, wrapper=wrapper)
    rebound.wait_ready()
    (orphan,) = rebound.wait_until(lambda: orphan_of(rebound))
    rebound.wait_until(lambda: any("2000" in c.cmdline() for c in rebound.children()))
    rebound.send(signal.SIGTERM)
    if not options:
        rebound.wait_until(lambda: rebound.events("not_found"))
        assert orphan.is_running()
        orphan.kill()
    assert rebound.wait() == 143
    assert bool(rebound.events("not_killed")) == bool(options)
    if options:
        orphan.kill()


@pytest.mark.parametrize("call", ["waitid", "wait4"])
def test_drain_with_one_kind_of_wait_refused(start, call):
    drains(start, denied(f"{call}:EPERM"))


def test_pid_1_adopts_whether_it_is_a_subreaper_or_not():
    """Nothing else that prctl(2) does is needed."""
    result = run("-q", "true", wrapper=[*PID1, *denied("prctl:EPERM")])
    assert (result.returncode, result.stderr) == (0, "")


def test_without_a_look_before_a_run_is_reaped_its_group_is_left(start):
    """Afterwards that number may be another group's."""
    script = "[ $REBOUND_RESTARTS = 0 ] || exit 0; sleep 1000 & echo $!; exit 9"
    rebound = start(*JSON, "-k", "sh", "-c", script, wrapper=denied("waitid:EPERM"))
    rebound.wait_until(lambda: rebound.events("draining"))
    assert rebound.wait() == 0
    [said] = rebound.events("error")
    assert said["msg"].startswith("waitid is refused: ")


def test_drain_with_the_proc_of_another_pid_namespace(start):
    """The pids in it are not ours: believing them would signal strangers."""
    drains(start, ["unshare", "--pid", "--fork", "--kill-child"])


def test_nothing_writable_no_proc_no_root(start, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    place = (
        f"mount --rbind / {root} && mount -t tmpfs -o ro none {root}/proc &&"
        f'mount -o remount,bind,ro {root} && exec chroot {root} "$0" "$@"'
    )
    drains(start, ["unshare", "--mount", "sh", "-c", place, *OTHER_USER])


@pytest.mark.parametrize("options", [[], ["-v", "-d", "1h"], ["--http", "127.0.0.1:0"]])
def test_idle_is_not_one_system_call(start, tmp_path, options):
    command = ["false"] if "-d" in options else program("record_signals.py")
    rebound = start(*JSON, *options, *command)
    rebound.wait_until(lambda: rebound.events("delayed") or rebound.lines("ready"))
    rebound.wait_until(lambda: "eventpoll" in links(rebound))
    trace = tmp_path / "trace"
    subprocess.run(
        ["timeout", "-s", "INT", "2", "strace", "-o", trace, "-p", str(rebound.pid)],
        capture_output=True,
    )
    calls = trace.read_text().splitlines()
    # Only the one that it was in when strace came.
    assert [call for call in calls if not call.startswith(("epoll_wait", "strace", "---"))] == []
    assert len(calls) <= 2
