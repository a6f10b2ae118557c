"""Kubernetes' termination message."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess

import pytest

from tests.helpers import DEADLINE, PID1, REBOUND, run

CRASH = ["sh", "-c", "kill -SEGV $$"]


@pytest.fixture
def message(tmp_path):
    path = tmp_path / "termination-log"
    path.touch()
    return path


def in_container(message, *args):
    """Run rebound where the file has the path that Kubernetes gives it."""
    bind = f"touch /dev/termination-log; mount --bind {message} /dev/termination-log;"
    bind += 'exec "$0" "$@"'
    unshare = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", bind]
    result = subprocess.run(
        [*unshare, REBOUND, *args], capture_output=True, text=True, timeout=DEADLINE
    )
    return result.returncode


def test_why_it_ended(message):
    assert run("--termination-log", message, "-r1", *CRASH).returncode == 139
    assert re.fullmatch(
        r"sh killed by signal 11 \(SIGSEGV\)(, core dumped)?; 1 restart in [\d.]+m?s; max restarts \(1\) reached\n",
        message.read_text(),
    )


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["false"], 1, "false exited with status 1; 0 restarts in "),
        (
            ["/no/such"],
            127,
            "/no/such could not be executed: No such file or directory; 0 restarts",
        ),
        (["no\nsuch"], 127, "no\\nsuch could not be executed: "),
    ],
)
def test_other_ends(message, words, code, text):
    assert run("--termination-log", message, "--restart=never", *words).returncode == code
    assert message.read_text().startswith(text)
    assert message.read_text().count("\n") == 1


def test_an_own_error(message):
    assert run("--termination-log", message, "--no-such-option").returncode == 125
    assert message.read_text().startswith("rebound: unknown option --no-such-option")


def test_a_question_is_no_end(message):
    """Options come from the container's environment."""
    env = {**os.environ, "REBOUND_OPTIONS": f"--termination-log {message}"}
    assert run("--status", "nonsense", env=env).returncode == 125
    assert message.read_text() == ""


def test_a_hung_run_is_no_good_end(message):
    """Even if it ends with 0 on our signal."""
    options = ["--health-cmd", "false", "--health-interval", "50ms", "--health-retries", "1"]
    command = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    result = run("--termination-log", message, "--restart=never", *options, *command)
    assert result.returncode == 1
    assert message.read_text().startswith("sh exited with status 0, unhealthy; 0 restarts in ")


def test_a_stop(start, message):
    rebound = start("--termination-log", message, "sh", "-c", "echo ready; exec sleep 1000")
    rebound.wait_ready()
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    assert message.read_text().endswith("; stopped by signal 15 (SIGTERM)\n")


def test_a_good_end_leaves_none(message):
    assert run("--termination-log", message, "true").returncode == 0
    assert run("--termination-log", message, "-e1", "false").returncode == 0
    assert message.read_text() == ""


def test_what_the_command_has_written_stays(message):
    script = f"echo mine >{message}; exit 3"
    assert run("--termination-log", message, "--restart=never", "sh", "-c", script).returncode == 3
    assert message.read_text() == "mine\n"


def test_a_file_that_was_asked_for_is_made(tmp_path):
    run("--termination-log", tmp_path / "new", "-r0", "--restart=never", "false")
    assert (tmp_path / "new").read_text().startswith("false exited")


@pytest.fixture
def dev():
    """Leave nothing in the system's own /dev, in which one test works at a time."""
    with open("/dev/null") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        existed = os.path.lexists("/dev/termination-log")
        yield
        if not existed and os.path.lexists("/dev/termination-log"):
            os.unlink("/dev/termination-log")


@pytest.mark.usefixtures("dev")
def test_the_default(message):
    assert in_container(message, "--restart=never", "false") == 1
    assert message.read_text().startswith("false exited with status 1")
    message.write_text("")
    assert in_container(message, "--termination-log=", "--restart=never", "false") == 1
    assert message.read_text() == ""
    assert in_container(message, "--restart=never", "false") == 1
    message.write_text("")
    assert in_container(message, "-b", "x", "false") == 125
    assert message.read_text().startswith("rebound: option -b: 'x' is not")


@pytest.mark.usefixtures("dev")
def test_a_probe_that_is_misspelt_is_not_the_end(message):
    """Only PID 1 says by default why it could not begin: others may be run by hand."""
    script = f"touch /dev/termination-log; mount --bind {message} /dev/termination-log;"
    script += f'"{REBOUND}" --statsu; true'
    subprocess.run([*PID1, "--mount", "sh", "-c", script], check=True, timeout=DEADLINE)
    assert message.read_text() == ""


@pytest.mark.parametrize("path", ["/no/such/directory/x", "/proc/self/nope", "/dev/full", "/tmp"])
def test_a_place_that_cannot_be_written(path):
    result = run("-v", "--termination-log", path, "-r1", "false")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr


def test_a_pipe_without_a_reader_holds_nothing_up(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert run("--termination-log", tmp_path / "fifo", "-r1", "false").returncode == 1
