"""Stop and drain: who is told to stop, in which order, and when rebound leaves."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from rebound.core import signals
from tests.helpers import (
    DEADLINE,
    JSON,
    OTHER_USER,
    PID1,
    PYTHON,
    REBOUND,
    events,
    eventually,
    is_running,
    program,
    run,
)

STOPS = [signal.SIGTERM, signal.SIGINT]


def daemon(directory, *options, action=("sleep", "1000")):
    what = ["exit", "7"] if action == "crash" else ["exec", *action]
    return program("daemon.py", directory, *options, "--", *what)


def read_pid(path):
    return int(path.read_text())


def outside(rebound, file):
    """The pid, as seen from here, of the daemon that wrote its own into `file`.

    Inside a PID namespace it is another one.
    """
    (pid,) = [
        process.pid
        for process in psutil.Process(rebound.pid).children(recursive=True)
        if re.search(rf"^NSpid:.*\b{file.read_text()}$", status_of(process.pid), re.MULTILINE)
    ]
    return pid


def status_of(pid):
    return Path(f"/proc/{pid}/status").read_text()


def run_wrapped(mode, *args):
    return subprocess.run(
        [*mode, REBOUND, *map(str, args)], capture_output=True, text=True, timeout=DEADLINE
    )


@pytest.mark.parametrize("signo", STOPS)
def test_a_stop_is_forwarded_and_ends_rebound_with_the_commands_status(start, mode, signo):
    rebound = start(*JSON, *program("record_signals.py", 6), wrapper=mode)
    rebound.wait_ready()
    rebound.send(signo)
    rebound.wait_until(lambda: rebound.lines(f"signal {signo:d} "))
    if signo == signal.SIGINT:
        rebound.send(signal.SIGTERM)
    assert rebound.wait() == 6
    assert len(rebound.lines("ready")) == 1
    assert rebound.events("signal")[0]["signal"] == signo.name


def test_no_restart_after_a_stop_whatever_the_status(start, mode):
    rebound = start("-0", *program("record_signals.py", 1), wrapper=mode)
    rebound.wait_ready()
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 1


@pytest.mark.parametrize("signo", STOPS)
def test_command_killed_by_the_stop_gives_128_and_its_number(start, mode, signo):
    rebound = start("sh", "-c", "echo ready; exec sleep 1000", wrapper=mode)
    rebound.wait_ready()
    rebound.wait_until(lambda: "sleep" in rebound.children()[0].name())
    rebound.send(signo)
    assert rebound.wait() == 128 + signo


@pytest.mark.parametrize("signo", STOPS)
def test_a_stop_ends_a_loop_of_crashes(start, mode, signo):
    rebound = start(*JSON, "-b", 0, "false", wrapper=mode)
    rebound.wait_until(lambda: len(rebound.events("exited")) >= 50)
    rebound.send(signo)
    assert rebound.wait() in (1, 128 + signo)


def test_success_list_applies_to_a_stop(start):
    rebound = start("-e", "143", "sh", "-c", "echo ready; exec sleep 1000")
    rebound.wait_ready()
    rebound.wait_until(lambda: "sleep" in rebound.children()[0].name())
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 0


def test_a_stopped_command_dies_too(start):
    rebound = start("sh", "-c", "echo ready; kill -STOP $$")
    rebound.wait_ready()
    (command,) = rebound.children()
    rebound.wait_until(lambda: command.status() == "stopped")
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143


@pytest.mark.parametrize("signo", STOPS)
@pytest.mark.parametrize("options", [["-b", 1, "--max-delay", "1h"], ["-d", "1h"]])
def test_a_stop_in_back_off_or_delay_ends_at_once(start, mode, signo, options):
    rebound = start(*JSON, "-v", *options, "sh", "-c", "echo ready; exit 3", wrapper=mode)
    rebound.wait_until(lambda: rebound.events("delayed"))
    rebound.send(signo)
    assert rebound.wait() == 128 + signo
    assert len(rebound.lines("ready")) == 1


def test_stop_timeout_kills_a_command_that_ignores_the_stop(start, mode):
    options = [*JSON, "--stop-timeout", "200ms"]
    rebound = start(*options, *program("record_signals.py", "ignore"), wrapper=mode)
    rebound.wait_ready()
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 137
    [killing] = rebound.events("killing")
    assert killing["count"] == 1
    assert killing["processes"].startswith("python")


def test_without_stop_timeout_a_stop_waits_and_passes_further_ones_on(start):
    rebound = start(*program("record_signals.py", "ignore"))
    rebound.wait_ready()
    for times in (1, 2, 3):
        rebound.send(signal.SIGTERM)
        rebound.wait_until(lambda t=times: len(rebound.lines("signal 15 ")) == t)
    assert rebound.popen.poll() is None


# --- Drain ----------------------------------------------------------------------------


def test_adopted_processes_outlive_crashes_and_are_asked_at_the_stop(start, mode, tmp_path):
    rebound = start(*JSON, "-b", 0, *daemon(tmp_path), wrapper=mode)
    rebound.wait_until((tmp_path / "pid").exists)
    pid = outside(rebound, tmp_path / "pid")
    for times in range(1, 6):
        rebound.wait_until(lambda: any(c.name() == "sleep" for c in rebound.children()))
        next(c for c in rebound.children() if c.name() == "sleep").kill()
        rebound.wait_until(lambda t=times: len(rebound.events("exited")) == t)
        assert rebound.events("exited")[-1]["restarts"] == times
    assert is_running(pid)
    assert not (tmp_path / "signals").exists()
    rebound.wait_until(lambda: any(c.name() == "sleep" for c in rebound.children()))
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    assert not is_running(pid)
    assert set((tmp_path / "signals").read_text().split()) == {"15"}


@pytest.mark.parametrize(
    ("options", "signo", "asked"),
    [
        ([], signal.SIGTERM, signal.SIGTERM),
        ([], signal.SIGINT, signal.SIGINT),
        (["--drain-signal", "INT"], signal.SIGTERM, signal.SIGINT),
        (["--rewrite", "TERM:QUIT"], signal.SIGTERM, signal.SIGQUIT),
        (["--rewrite", "TERM:0"], signal.SIGTERM, signal.SIGTERM),
    ],
)
def test_the_drain_signal(start, tmp_path, options, signo, asked):
    command = daemon(tmp_path, action=("sh", "-c", "echo ready; exec sleep 1000"))
    rebound = start(*JSON, *options, *command)
    rebound.wait_ready()
    rebound.wait_until(lambda: any(c.name() == "sleep" for c in rebound.children()))
    rebound.send(signo)
    if options == ["--rewrite", "TERM:0"]:
        rebound.wait_until(lambda: rebound.events("signal"))
        next(c for c in rebound.children() if c.name() == "sleep").kill()
    rebound.wait()
    assert (tmp_path / "signals").read_text() == f"{asked:d}\n"


@pytest.mark.parametrize("options", [[], ["-r", 1, "-b", 0]])
def test_a_drain_comes_before_every_end(tmp_path, mode, options):
    """The command exits by itself, successfully or for the last time."""
    action = "crash" if options else ("true",)
    result = run_wrapped(mode, *JSON, *options, *daemon(tmp_path, action=action))
    assert result.returncode == (7 if options else 0)
    assert set((tmp_path / "signals").read_text().split()) == {"15"}
    [draining] = events(result.stderr, "draining")
    # With a restart, each run has left one.
    assert (draining["count"], draining["signal"]) == (2 if options else 1, "SIGTERM")
    assert draining["processes"].startswith("python")


def test_what_the_adopted_leave_behind_is_asked_in_turn(start, mode, tmp_path):
    rebound = start(*JSON, *daemon(tmp_path, "--child", "SIGINT"), wrapper=mode)
    rebound.wait_until((tmp_path / "pid").exists)
    rebound.wait_until((tmp_path / "child").exists)
    pid, child = (outside(rebound, tmp_path / name) for name in ("pid", "child"))
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    assert not is_running(pid)
    assert not is_running(child)
    assert len(rebound.events("draining")) == 2


def test_children_of_adopted_processes_are_not_asked_themselves(start, tmp_path):
    """Each adopted process is the root of its own tree and stops it as it sees fit."""
    rebound = start(*JSON, *daemon(tmp_path, "--child", "SIGTERM"))
    rebound.wait_until((tmp_path / "pid").exists)
    rebound.wait_until((tmp_path / "child").exists)
    rebound.send(signal.SIGTERM)
    rebound.wait_until(lambda: rebound.events("draining"))
    rebound.wait_until((tmp_path / "signals").exists)
    assert is_running(read_pid(tmp_path / "child"))
    rebound.send(signal.SIGINT)  # passed on, ends the daemon; then its child is adopted
    rebound.wait()
    assert not is_running(read_pid(tmp_path / "child"))


def test_further_stops_are_passed_on_to_what_still_runs(start, mode, tmp_path):
    rebound = start(*daemon(tmp_path, "SIGTERM", "SIGQUIT"), wrapper=mode)
    rebound.wait_until((tmp_path / "pid").exists)
    rebound.wait_until(lambda: any(c.name() == "sleep" for c in rebound.children()))
    rebound.send(signal.SIGTERM)
    rebound.wait_until((tmp_path / "signals").exists)
    rebound.send(signal.SIGTERM)
    rebound.wait_until(lambda: (tmp_path / "signals").read_text().split() == ["15", "15"])
    rebound.send(signal.SIGINT)
    assert rebound.wait() == 143
    assert (tmp_path / "signals").read_text().split() == ["15", "15", "2"]


def test_at_the_deadline_what_is_left_is_killed_and_named(start, mode, tmp_path):
    command = daemon(tmp_path, "--child", "SIGTERM", "SIGINT", "SIGQUIT")
    rebound = start(*JSON, "--stop-timeout", "300ms", *command, wrapper=mode)
    rebound.wait_until((tmp_path / "pid").exists)
    rebound.wait_until((tmp_path / "child").exists)
    pids = [outside(rebound, tmp_path / name) for name in ("pid", "child")]
    rebound.wait_until(lambda: any(c.name() == "sleep" for c in rebound.children()))
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    assert rebound.events("killing")[0]["processes"].startswith("python")
    assert not any(map(is_running, pids))


def test_stop_timeout_zero_kills_at_once(start, tmp_path):
    rebound = start("--stop-timeout", 0, *daemon(tmp_path))
    rebound.wait_until((tmp_path / "pid").exists)
    rebound.send(signal.SIGTERM)
    assert rebound.wait() in (137, 143)
    assert not is_running(read_pid(tmp_path / "pid"))


def test_stopped_adopted_processes_are_continued(start, tmp_path):
    rebound = start(*daemon(tmp_path))
    rebound.wait_until((tmp_path / "pid").exists)
    pid = read_pid(tmp_path / "pid")
    rebound.wait_until(lambda: any(c.name() == "sleep" for c in rebound.children()))
    os.kill(pid, signal.SIGSTOP)
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    eventually(lambda: not is_running(pid))


def test_daemons_started_before_rebound_are_drained_too(tmp_path):
    """An entry point script that ends with `exec rebound`."""
    script = f'{" ".join(daemon(tmp_path, action=("true",)))}; exec "$0" true'
    command = [*PID1, "sh", "-c", script, REBOUND]
    assert subprocess.run(command, timeout=DEADLINE).returncode == 0
    assert (tmp_path / "signals").read_text() == "15\n"


# --- Which signals mean a stop -----------------------------------------------------------

OF_IMAGES = ["QUIT", "USR1", "WINCH", "RTMIN+3"]
"""What nginx and php-fpm, haproxy, httpd, and images with systemd name as STOPSIGNAL."""


@pytest.mark.parametrize("name", OF_IMAGES)
def test_a_stop_signal_of_the_image_ends_a_backoff(start, mode, name):
    options = [*JSON, "--stop-signal", name, "-b", 1, "--max-delay", "1h"]
    rebound = start(*options, "false", wrapper=mode)
    rebound.wait_until(lambda: rebound.events("delayed"))
    signo = signals.parse(name)
    rebound.send(signo)
    assert rebound.wait() == 128 + signo


@pytest.mark.parametrize("name", OF_IMAGES)
@pytest.mark.parametrize("status", [0, 3])
def test_after_a_stop_signal_of_the_image_nothing_is_restarted(start, name, status):
    """However the command ends; also with -0."""
    signo = signals.parse(name)
    options = ["-0", "--stop-signal", name, "--rewrite", f"{name}:TERM"]
    rebound = start(*options, *program("record_signals.py", status))
    rebound.wait_ready()
    rebound.send(signo)
    assert rebound.wait() == status
    assert len(rebound.lines("ready")) == 1


def test_without_being_named_it_is_forwarded_alone(start):
    """Negative control."""
    rebound = start("-b", 0, *program("record_signals.py"))
    rebound.wait_ready()
    rebound.send(signal.SIGQUIT)
    rebound.wait_until(lambda: rebound.lines("signal 3 "))
    rebound.children()[0].kill()
    rebound.wait_ready(2)


@pytest.mark.parametrize("option", ["KILL", "QUIT,CHLD"])
def test_what_cannot_mean_a_stop_is_refused(option):
    result = run("--stop-signal", option, "true")
    assert (result.returncode, result.stderr.count("\n")) == (125, 1)


def test_daemons_are_not_sent_a_stop_signal_of_the_image(start, tmp_path):
    """To PostgreSQL, QUIT means to crash."""
    rebound = start("--stop-signal", "QUIT", *daemon(tmp_path))
    wait_for_daemon(rebound, tmp_path)
    rebound.send(signal.SIGQUIT)
    assert rebound.wait() == 131
    assert (tmp_path / "signals").read_text() == "15\n"


def wait_for_daemon(rebound, directory):
    rebound.wait_until((directory / "pid").exists)
    rebound.wait_until(lambda: rebound.children(lambda child: child.name() == "sleep"))


# --- Several signals in one turn ---------------------------------------------------------


@pytest.mark.parametrize("state", ["backoff", "running"])
def test_signals_that_come_with_the_one_that_ends_rebound(start, mode, state):
    """As timeout(1) and systemd send CONT after TERM; read from the signalfd in one batch."""
    command = ["false"] if state == "backoff" else ["sh", "-c", "echo ready; exec sleep 1000"]
    rebound = start(*JSON, "-v", "-d", "1h", *command, wrapper=mode)
    reached = {"backoff": "delayed", "running": "started"}[state]
    rebound.wait_until(lambda: rebound.events(reached))
    process = psutil.Process(rebound.pid)
    process.suspend()
    for signo in (signal.SIGUSR2, signal.SIGINT, signal.SIGTERM, signal.SIGRTMIN):
        process.send_signal(signo)
    process.resume()
    assert rebound.wait() in {143, 130, 128 + signal.SIGUSR2}
    assert not rebound.events("internal_error")


def test_below_timeout(tmp_path):
    with open(tmp_path / "log", "wb") as log:
        command = ["timeout", "0.5", REBOUND, *JSON, "-d", "1h", "sh", "-c", "exit 3"]
        assert subprocess.run(command, stderr=log).returncode == 124
    log = (tmp_path / "log").read_text()
    assert events(log, "exited")
    assert not events(log, "internal_error")


# --- Which signal asks whom --------------------------------------------------------------


def asleep(*ignored):
    """A shell command in the background that ignores these signals, in a session of its own."""
    traps = "".join(f"trap '' {name}; " for name in ignored)
    return f'env --default-signal=INT setsid sh -c "{traps}exec sleep 1000" & '


@pytest.mark.parametrize(
    ("ignored", "killed_by"),
    [(["INT"], "SIGTERM"), (["INT", "TERM"], "SIGHUP"), (["TERM"], "SIGINT"), ([], "SIGINT")],
)
def test_each_is_asked_with_a_signal_that_it_does_not_ignore(start, mode, ignored, killed_by):
    """A shell has its jobs with & ignore INT, an interactive one ignores TERM."""
    command = ["sh", "-c", asleep(*ignored) + "echo ready; exec sleep 2000"]
    rebound = start("-v", *JSON, "--drain-signal", "INT", *command, wrapper=mode)
    rebound.wait_until(lambda: len(asleep_below(rebound)) == 2)
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    [draining] = rebound.events("draining")
    assert draining["signal"] == killed_by
    assert rebound.events("reaped")[-1]["reason"] == f"signal:{killed_by}"


def asleep_below(rebound):
    found = []
    for process in psutil.Process(rebound.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.name() == "sleep":
                found.append(process)
    return found


def test_one_that_ignores_all_of_them_is_named(start):
    """At once; only a kill ends it."""
    ignoring = asleep("INT", "TERM", "HUP")
    command = ["sh", "-c", ignoring + "echo ready; exec sleep 2000"]
    rebound = start(*JSON, "--drain-signal", "INT", *command)
    rebound.wait_until(lambda: len(asleep_below(rebound)) == 2)
    rebound.send(signal.SIGTERM)
    [told] = rebound.wait_until(lambda: rebound.events("not_asked"))
    [left] = asleep_below(rebound)
    assert told["processes"] == f"sleep (pid {left.pid})"
    assert told["signal"] == "SIGINT, SIGTERM, SIGHUP"
    left.kill()
    assert rebound.wait() == 143


# --- Filters ------------------------------------------------------------------------------

FILTER = """
import sys
print("filtered", sys.stdin.readline(), end="", flush=True)
lines = sys.stdin.readlines()
sum(range(10**6))  # it has work to do when its input has ended
print(*("filtered " + line for line in lines), sep="", end="", flush=True)
"""


def test_the_last_lines_of_the_command_pass_its_filter(start, mode, tmp_path):
    """As of `exec > >(tee …)` in an entrypoint."""
    last_words = """
import signal, sys
def stop(*_):
    for number in range(200): print("closing", number)
    print("last words", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
signal.pause()
"""
    (tmp_path / "filter.py").write_text(FILTER)
    (tmp_path / "command.py").write_text(last_words)
    python = " ".join(PYTHON)
    entrypoint = (
        f"exec > >(exec {python} {tmp_path}/filter.py); exec {python} {tmp_path}/command.py"
    )
    rebound = start("bash", "-c", entrypoint, wrapper=mode)
    rebound.wait_until(lambda: rebound.lines("filtered ready"))
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 0
    assert rebound.stdout.endswith("filtered last words\n")


def test_a_daemon_is_asked_at_once_a_filter_later(start, tmp_path):
    """The daemon ends, and rebound still waits for the other one's time to be over."""
    rebound = start(*JSON, *daemon(tmp_path, action=["sh", "-c", JOB]))
    rebound.wait_until(lambda: len(asleep_below(rebound)) == 2)
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    first, second = rebound.events("draining")
    assert "python" in first["processes"]
    assert "sleep" in second["processes"]


JOB = "sleep 1000 & exec sleep 2000"


# --- What a run left behind ----------------------------------------------------------------


def test_with_fresh_what_a_run_left_is_gone_before_the_next(start, mode, tmp_path):
    """A daemon that holds a lock: without it the next run would fail for ever."""
    lock = tmp_path / "lock"
    holder = f"setsid flock {lock} sleep 1000 &"
    script = f"flock -n {lock} true || exit 7; {holder} while flock -n {lock} true; do :; done"
    script += "; exit 1"
    options = ["--fresh", "-r", 3, "-b", 0, *JSON]
    rebound = start(*options, "sh", "-c", script, wrapper=mode)
    assert rebound.wait() == 1
    assert [end["code"] for end in rebound.events("exited")] == [1, 1, 1, 1]


def test_without_fresh_the_delay_says_what_still_runs(start, mode):
    """Negative control; and whoever reads the log learns why the next run fails, too."""
    command = ["sh", "-c", "setsid sleep 1000 & sleep 0.1; exit 1"]
    options = [*JSON, "-r", 7, "-b", 7, "--max-delay", "1ms"]
    rebound = start(*options, *command, wrapper=mode)
    [delayed] = rebound.wait_until(lambda: rebound.events("delayed"))
    assert delayed["count"] == 7
    assert re.fullmatch(r"(sleep \(pid \d+\), ){5}and 2 more", delayed["processes"])
    assert delayed["msg"].endswith(delayed["processes"])


def test_a_stop_while_a_run_is_cleared_away(start, mode, tmp_path):
    """It ends neither by TERM nor, since a stop has come, by KILL."""
    options = ["--fresh", "-v", *JSON]
    command = daemon(tmp_path, "--ignore", "SIGTERM", action="crash")
    rebound = start(*options, *command, wrapper=mode)
    rebound.wait_until(lambda: rebound.events("draining"))
    rebound.send(signal.SIGTERM)
    rebound.wait_until(lambda: rebound.events("signal"))
    rebound.send(signal.SIGINT)
    assert rebound.wait() == 143
    assert len(rebound.events("starting")) == 1


def test_a_stop_while_a_run_is_cleared_away_reaches_who_was_asked_otherwise(start, mode, tmp_path):
    """To PostgreSQL TERM means to wait for its clients, INT does not."""
    command = daemon(tmp_path, "--ignore", "SIGTERM", action="crash")
    rebound = start("--fresh", *JSON, *command, wrapper=mode)
    rebound.wait_until((tmp_path / "signals").exists)
    rebound.send(signal.SIGINT)
    assert rebound.wait() == 130
    assert (tmp_path / "signals").read_text() == "15\n2\n"


def test_what_a_health_check_left_behind_has_its_time_at_the_end(start, tmp_path):
    """Its own end gives it no other: the drain waits as for any daemon."""
    (tmp_path / "check.sh").write_text(
        f"[ -e {tmp_path}/pid ] || {' '.join(map(str, daemon(tmp_path, '--ignore', 'SIGTERM')))}\n"
    )
    health = ["--health-cmd", f"sh {tmp_path}/check.sh", "--health-interval", "50ms"]
    rebound = start(*JSON, *health, "sleep", "1000")
    rebound.wait_until((tmp_path / "pid").exists)
    rebound.send(signal.SIGTERM)
    rebound.wait_until((tmp_path / "signals").exists)
    assert not rebound.events("not_killed")
    rebound.send(signal.SIGINT)
    assert rebound.wait() == 143
    assert (tmp_path / "signals").read_text() == "15\n2\n"


# --- What may not be signalled -------------------------------------------------------------


@pytest.fixture
def turncoat(tmp_path):
    """A command that becomes root, whoever has started it; and who starts it here."""
    setpriv = tmp_path / "become"
    shutil.copy(shutil.which("setpriv") or "setpriv", setpriv)
    setpriv.chmod(0o4755)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o111)
    return [
        setpriv,
        "--reuid=0",
        "--clear-groups",
        "sh",
        "-c",
        "echo ready; exec sleep 1000",
    ]


def test_a_restart_of_a_command_that_may_not_be_signalled_is_refused(start, turncoat, tmp_path):
    (tmp_path / "run").mkdir(mode=0o777)
    (tmp_path / "run").chmod(0o777)
    env = {**os.environ, "REBOUND_RUN_DIR": str(tmp_path / "run")}
    rebound = start(*JSON, *turncoat, wrapper=OTHER_USER, env=env)
    rebound.wait_ready()
    rebound.wait_until(lambda: list((tmp_path / "run").glob("[0-9]*.sock")))
    asked = subprocess.run(
        [*OTHER_USER, REBOUND, "--restart-now"],
        env=env,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert (asked.returncode, asked.stdout) == (
        1,
        "not restarted: the command may not be signalled\n",
    )
    rebound.wait_until(lambda: rebound.events("not_restarted"))
    rebound.children()[0].kill()
    rebound.wait_ready(2)


def test_a_stop_of_a_command_that_may_not_be_signalled(start, turncoat):
    """Nobody else is kept waiting for it."""
    rebound = start(*JSON, *turncoat, wrapper=OTHER_USER)
    rebound.wait_ready()
    [command] = rebound.children()
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    assert rebound.events("leaving_child")
    command.kill()
