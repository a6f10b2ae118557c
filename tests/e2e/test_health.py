"""The health command: what it finds, how it is run, and that it never outlives its use."""

from __future__ import annotations

import os
import signal

import pytest

from tests.helpers import JSON, PID1, is_running, program

FAST = ["--health-interval", "50ms", "--health-retries", "2"]
STUBBORN = program("notifier.py", "ignore:SIGTERM", "announce", "asleep")


def checked(start, check, *options, command=None, **places):
    """Start a command that is checked all the time."""
    command = command or program("notifier.py", "announce", "asleep")
    return start(*JSON, *FAST, *options, "--health-cmd", check, *command, **places)


def told(rebound, event, *fields):
    """What the log says in these fields of such events."""
    return [tuple(line[name] for name in fields) for line in rebound.events(event)]


def failures(rebound):
    """The checks that failed: how many in a row, of how many, and how each ended."""
    told = rebound.events("health_failed")
    return [(it["failures"], it["retries"], it["msg"].rpartition(": ")[2]) for it in told]


def test_an_unhealthy_run_is_started_again_and_nothing_else(start, mode, tmp_path):
    """What it left behind, such as a database, stays; the next run is healthy."""
    sick = tmp_path / "sick"
    sick.touch()
    script = """
    [ "$REBOUND_LAST_EXIT" ] || setsid sleep 4242 &
    echo ready $REBOUND_LAST_EXIT
    exec sleep 1000
    """
    rebound = checked(start, f"! test -e {sick}", command=["sh", "-c", script], wrapper=mode)
    rebound.wait_until(lambda: rebound.events("unhealthy"))
    sick.unlink()
    rebound.wait_until(lambda: rebound.lines("ready unhealthy"))
    rebound.wait_until(lambda: rebound.events("healthy"))
    assert failures(rebound)[:2] == [(1, 2, "exited with status 1"), (2, 2, "exited with status 1")]
    assert told(rebound, "exited", "reason", "signal")[0] == ("unhealthy", "SIGTERM")
    assert rebound.children(lambda child: child.cmdline() == ["sleep", "4242"])
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143


def test_an_unhealthy_run_that_ignores_the_term_is_killed(start, tmp_path):
    """After 10 s."""
    sick = tmp_path / "sick"
    rebound = checked(start, f"! test -e {sick}", "--health-retries=1", command=STUBBORN)
    rebound.wait_ready()  # it ignores the signal by now
    sick.touch()
    rebound.wait_until(lambda: rebound.events("unhealthy"))
    sick.unlink()
    rebound.wait_ready(2)
    assert rebound.events("killing_child")
    assert told(rebound, "exited", "reason", "signal") == [("unhealthy", "SIGKILL")]


def test_a_check_that_hangs_is_killed_with_its_group(start, tmp_path):
    check = f"sleep 4321 & echo $$ $! >>{tmp_path}/pids; wait"
    rebound = checked(start, check, "--health-timeout", "200ms")
    rebound.wait_ready(2)
    assert len(rebound.events("health_timeout")) >= 2
    killed = "killed by signal 9 (SIGKILL)"
    assert failures(rebound)[:2] == [(1, 2, killed), (2, 2, killed)]
    assert told(rebound, "exited", "reason")[0] == ("unhealthy",)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    rebound.wait_until(lambda: not any(is_running(pid) for pid in pids[:4]))


def test_never_two_at_once(start, tmp_path):
    """Each takes longer than the interval; one of the last run may be in the way."""
    check = f"mkdir {tmp_path}/lock || echo twice; sleep 0.2; rmdir {tmp_path}/lock; echo checked >>{tmp_path}/log"
    rebound = checked(start, check, "-v", "--health-interval=1ms")
    log = tmp_path / "log"
    rebound.wait_until(lambda: log.exists() and log.read_text().count("checked") >= 5)
    assert "twice" not in rebound.log


def test_what_a_check_leaves_in_its_group_is_killed(start, tmp_path):
    """Checks must not pile up."""
    check = f"sleep 4321 & echo $! >>{tmp_path}/pids; exit 0"
    rebound = checked(start, check)
    pids = tmp_path / "pids"
    rebound.wait_until(lambda: pids.exists() and len(pids.read_text().split()) >= 3)
    left = [int(pid) for pid in pids.read_text().split()][:2]
    rebound.wait_until(lambda: not any(is_running(pid) for pid in left))
    assert len(rebound.lines("ready")) == 1


@pytest.mark.parametrize("verbose", [[], ["-v"]], ids=["", "its output kept open"])
def test_a_daemon_that_a_check_has_started_is_adopted_and_drained(start, tmp_path, verbose):
    check = (
        f"test -e {tmp_path}/pid || {{ setsid sleep 4321 & echo $! >{tmp_path}/pid; sleep 0.1; }}"
    )
    rebound = checked(start, check, *verbose)
    rebound.wait_until(lambda: rebound.events("healthy"))
    rebound.wait_until(lambda: rebound.children(lambda child: child.cmdline() == ["sleep", "4321"]))
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    asked = told(rebound, "draining", "signal", "processes")
    assert {signal for signal, _ in asked} == {"SIGTERM"}
    assert any(processes.startswith("sleep (pid ") for _, processes in asked)


@pytest.mark.parametrize("end", ["stop", "crash"])
def test_a_check_ends_with_its_run(start, tmp_path, end):
    check = f"echo $$ >>{tmp_path}/pids; exec sleep 4321"
    rebound = checked(start, check, "--health-timeout", "1h", wrapper=PID1 if end == "stop" else [])
    pids = tmp_path / "pids"
    rebound.wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"))
    if end == "stop":
        rebound.send(signal.SIGTERM)
        assert rebound.wait() == 143
        assert not rebound.events("draining")
        return
    rebound.wait_ready()
    [first] = [int(pid) for pid in pids.read_text().split()]
    next(child for child in rebound.children() if child.pid != first).kill()
    rebound.wait_ready(2)
    rebound.wait_until(lambda: not is_running(first))
    rebound.wait_until(lambda: len(pids.read_text().split()) == 2)


def test_its_output_goes_to_the_log_with_verbose_only(start):
    check = "echo to stdout; echo to stderr >&2; head -c 10000000 /dev/zero | tr '\\0' x"
    rebound = checked(start, check, "-v")
    [output, *_] = rebound.wait_until(lambda: rebound.events("health_output"))
    assert output["output"].startswith("to stdout\nto stderr\nxxx")
    assert max(map(len, rebound.log.splitlines())) < 4096
    rebound = checked(start, check)
    rebound.wait_until(lambda: rebound.events("healthy"))
    assert "to stdout" not in rebound.log
    assert not rebound.lines("to stdout")


def test_a_flood_of_output_holds_nothing_up(start):
    rebound = checked(start, "exec yes", "-v", "--health-timeout=1h")
    rebound.wait_until(lambda: rebound.children(lambda child: child.name() == "yes"))
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143


def test_it_sees_what_the_command_sees_and_no_more(start, tmp_path):
    """Environment, directory, no input, and the signals as they were."""
    check = f"env -0 >{tmp_path}/env; cat; ls -l /proc/self/fd >{tmp_path}/fds; grep -h SigBlk /proc/self/status >{tmp_path}/mask"
    env = {**os.environ, "OURS": "1"}
    rebound = checked(start, check, env=env, cwd=tmp_path, stdin=None)
    rebound.wait_until(lambda: rebound.events("healthy"))
    assert "OURS=1" in (tmp_path / "env").read_text().split("\0")
    assert "REBOUND_RESTARTS=0" in (tmp_path / "env").read_text().split("\0")
    assert (tmp_path / "mask").read_text().split() == ["SigBlk:", "0" * 16]
    fds = (tmp_path / "fds").read_text().splitlines()[1:]
    targets = [line.rpartition(" -> ")[2] for line in fds]
    assert targets[0] == "/dev/null"
    assert targets[2].startswith("pipe:")  # the first check of a run: perhaps it is missing
    assert not any(
        "epoll" in target or "socket" in target or "pidfd" in target for target in targets
    )


def test_a_check_that_cannot_be_run_says_nothing_of_the_command(start):
    """Such as in an image without a shell: no reason to restart a database's control plane."""
    hide = ["unshare", "--mount", "sh", "-c"]
    hide += ['mount --bind /etc/passwd "$(readlink -f /bin/sh)" && exec "$0" "$@"']
    rebound = checked(start, "true", wrapper=hide)
    rebound.wait_until(lambda: len(rebound.events("health_unknown")) >= 3)
    assert set(told(rebound, "health_unknown", "error")) == {("Permission denied",)}
    assert len(rebound.lines("ready")) == 1


def test_a_command_that_is_missing_is_said_with_the_shells_words(start):
    """At the first check of each run; it counts as a failure."""
    rebound = checked(start, "no-such-command --x")
    rebound.wait_ready(2)
    rebound.wait_until(lambda: len(rebound.events("health_missing")) >= 2)
    [first, *_] = rebound.events("health_missing")
    assert first["level"] == "info"
    assert "no-such-command: not found" in first["output"]
    assert len(rebound.events("health_missing")) <= len(rebound.lines("ready"))
    assert failures(rebound)[0] == (1, 2, "exited with status 127")


def test_a_start_period(start):
    """Failures in it do not count; one success ends it."""
    rebound = checked(start, "false", "-v", "--health-start-period", "1h")
    rebound.wait_until(lambda: len(rebound.events("health_failed")) >= 4)
    assert set(told(rebound, "health_failed", "failures")) == {(0,)}
    assert len(rebound.lines("ready")) == 1
