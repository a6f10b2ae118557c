"""The log in a file: it is rebound's alone, can be rotated, and is no hindrance either."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
from contextlib import suppress

import pytest

from tests.helpers import DEADLINE, JSON, PYTHON, REBOUND, eventually, program, run

HALF_A_LINE = "printf half >&2; exit 3"
CRASHES = ["-v", "-b", "0", "-r", "100", "sh", "-c", "exit 3"]


def events(path):
    """The names of a JSON log's events; each line has to be one."""
    return [json.loads(line)["event"] for line in path.read_text().splitlines()]


def told(path, event):
    """Those of one name, with their fields."""
    lines = map(json.loads, path.read_text().splitlines())
    return [line for line in lines if line["event"] == event]


def stops(path):
    """The signals that a log tells of: without -v, those of a stop."""
    return [line["signal"] for line in told(path, "signal")]


def test_the_log_goes_there_and_stderr_stays_the_commands(tmp_path):
    log = tmp_path / "log"
    log.write_text("before\n")
    command = ["sh", "-c", "echo out; echo err >&2; exit 3"]
    result = run(*JSON, "--log-file", log, "-r", 1, *command)
    assert (result.returncode, result.stdout, result.stderr) == (3, "out\n" * 2, "err\n" * 2)
    before, *lines = log.read_text().splitlines()
    assert before == "before"
    names = [json.loads(line)["event"] for line in lines]
    assert names == ["starting", "exited", "exited", "giving_up"]


def test_it_is_made_for_its_owner_and_group(tmp_path):
    log = tmp_path / "log"
    assert run("--log-file", log, "true", preexec_fn=lambda: os.umask(0)).returncode == 0
    assert log.stat().st_mode & 0o777 == 0o640


def test_there_are_no_empty_lines_where_the_command_does_not_write(tmp_path):
    log = tmp_path / "log"
    options = [*JSON, "--log-file", log]
    result = run(*options, "-r", 1, "sh", "-c", HALF_A_LINE)
    assert result.stderr == "half" * 2
    assert events(log) == ["starting", "exited", "exited", "giving_up"]


def test_the_command_does_not_get_the_descriptor(tmp_path):
    listing = ["sh", "-c", "ls /proc/self/fd"]
    bare = subprocess.run(listing, capture_output=True, text=True).stdout
    assert run("--log-file", tmp_path / "log", *listing).stdout == bare


@pytest.mark.parametrize("closed", [[2], [1, 2], [0, 1, 2]])
def test_standard_streams_that_were_closed_stay_closed(tmp_path, closed):
    """The number of the log is that of none of them, which others would write to."""
    log, found = tmp_path / "log", tmp_path / "found"
    look = f"import os; open({str(found)!r}, 'w').write(' '.join(os.listdir('/proc/self/fd')))"

    def close():
        for fd in closed:
            os.close(fd)

    command = [*PYTHON, "-c", look]
    options = [*JSON, "--log-file", log]
    subprocess.run([REBOUND, *options, *command], preexec_fn=close, timeout=DEADLINE)
    with_rebound = found.read_text()
    subprocess.run(command, preexec_fn=close, timeout=DEADLINE)
    assert with_rebound == found.read_text()
    assert events(log) == ["starting", "exited"]


def test_a_number_of_a_closed_stream_is_not_taken(tmp_path, start):
    def close():
        os.close(1)
        os.close(2)

    rebound = start("--log-file", tmp_path / "log", "sleep", "1000", preexec_fn=close)
    eventually((tmp_path / "log").exists)
    eventually(lambda: rebound.children(lambda child: child.name() == "sleep"))
    opened = []
    for fd in os.listdir(f"/proc/{rebound.pid}/fd"):
        with suppress(FileNotFoundError):  # it is closed again, such as that of a module
            if os.readlink(f"/proc/{rebound.pid}/fd/{fd}").endswith("/log"):
                opened.append(int(fd))
    assert len(opened) == 1
    assert opened[0] > 2


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing/log", "No such file or directory"),
        ("", "Is a directory"),
        ("fifo", "No such device or address"),
        ("socket", "No such device or address"),
        ("x" * 300, "File name too long"),
    ],
)
def test_what_cannot_be_opened_is_an_error_before_anything_runs(tmp_path, monkeypatch, name, why):
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.chdir(tmp_path)  # a socket's path has to be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        path = f"{tmp_path}/{name}"
        result = run("--log-file", path, "sh", "-c", "echo runs")
    assert (result.returncode, result.stdout) == (125, "")
    assert result.stderr == f"rebound: cannot open the log file {path}: {why}\n"


def test_empty_means_stderr():
    """So a command line can undo what REBOUND_OPTIONS says."""
    env = {**os.environ, "REBOUND_OPTIONS": "--log-file /nonexistent/log"}
    assert run("--log-file=", "true", env=env).stderr.startswith("rebound: starting true\n")


@pytest.mark.parametrize("options", [[], ["--log-file="]])
def test_nothing_to_reopen_is_a_mistake(options):
    result = run(*options, "--log-reopen", "true")
    assert result.returncode == 125
    assert result.stderr == "rebound: option --log-reopen goes with --log-file\n"


def test_a_mistake_is_said_on_stderr(tmp_path):
    """Whoever has made it looks there."""
    result = run("--log-file", tmp_path / "log", "--wrong", "true")
    assert (result.returncode, "unknown option" in result.stderr) == (125, True)
    assert not (tmp_path / "log").exists()


# --- What does not take everything --------------------------------------------------------


def test_fifo_whose_reader_does_not_read(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    with open(reader, "rb"):
        assert run("--log-file", tmp_path / "fifo", *CRASHES, timeout=DEADLINE).returncode == 3


def test_full_device():
    assert run("--log-file", "/dev/full", *CRASHES).returncode == 3


def test_at_its_size_limit(tmp_path):
    """In JSON, too, half a line of ours is the last one."""
    log = tmp_path / "log"

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))

    options = [*JSON, "--log-file", log]
    assert run(*options, *CRASHES, preexec_fn=limit).returncode == 3
    assert log.stat().st_size == 100


# --- Where the command writes, too ----------------------------------------------------------


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/stderr", "/proc/self/fd/1"])
def test_a_standard_stream_by_name(name):
    """Half a line may be left there."""
    fd = 2 if name.endswith("err") else 1
    options = [*JSON, "--log-file", name]
    result = run(*options, "-r", 1, "sh", "-c", f"printf half >&{fd}; exit 3")
    shared, other = (result.stderr, result.stdout)[:: 1 if fd == 2 else -1]
    assert other == ""
    lines = [json.loads(line)["event"] for line in shared.splitlines() if line.startswith("{")]
    assert lines == ["starting", "exited", "exited", "giving_up"]
    assert shared.splitlines()[0].startswith('{"ts"')
    assert shared.count("half\n") == 2


def test_a_file_that_is_stdout_has_one_offset(tmp_path):
    with open(tmp_path / "out", "wb") as out:
        command = ["-b", "0", "-r", "2", "sh", "-c", "echo command; exit 1"]
        subprocess.run([REBOUND, "--log-file", "/dev/stdout", *command], stdout=out)
    text = (tmp_path / "out").read_text()
    assert (text.count("command\n"), text.count("rebound: ")) == (3, 5)
    assert "\0" not in text


# --- Rotation -------------------------------------------------------------------------------


def rotate(rebound, log):
    """As logrotate does; wait until there is a new file, and return the old one."""
    old = log.with_suffix(".1")
    log.rename(old)
    rebound.send(signal.SIGHUP)
    rebound.wait_until(log.exists)
    return old


def test_rotation(tmp_path, start):
    log = tmp_path / "log"
    options = ["-v", *JSON, "--log-file", log, "--log-reopen"]
    rebound = start(*options, *program("record_signals.py"))
    rebound.wait_ready()
    old = rotate(rebound, log)
    rebound.wait_until(lambda: rebound.lines("signal"))
    rebound.send(signal.SIGTERM)
    rebound.wait()
    assert rebound.lines("signal")[0].startswith(f"signal {int(signal.SIGHUP)} ")
    assert events(old) == ["starting", "started"]
    assert events(log)[:2] == ["signal", "signal"]
    assert events(log)[-1] in ("exited", "draining")
    assert rebound.log == ""


def test_rotation_without_a_hup_for_the_command(tmp_path, start):
    """One that does not handle it would die of it."""
    log = tmp_path / "log"
    options = [*JSON, "--log-file", log, "--log-reopen", "--rewrite", "HUP:0"]
    rebound = start(*options, "sh", "-c", "echo ready; exec sleep 1000")
    rebound.wait_ready()
    rotate(rebound, log)
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    assert stops(log) == ["SIGTERM"]


def test_rotation_while_no_command_runs(tmp_path, start):
    log = tmp_path / "log"
    options = [*JSON, "--log-file", log, "--log-reopen", "-b1", "--max-delay", "1h"]
    rebound = start(*options, "false")
    rebound.wait_until(lambda: log.exists() and '"delayed"' in log.read_text())
    rotate(rebound, log)
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    assert stops(log) == ["SIGTERM"]


def test_no_rotation_unless_asked_for(tmp_path, start):
    log = tmp_path / "log"
    rebound = start(*JSON, "--log-file", log, *program("record_signals.py"))
    rebound.wait_ready()
    log.rename(tmp_path / "old")
    rebound.send(signal.SIGHUP)
    rebound.wait_until(lambda: rebound.lines("signal"))
    rebound.send(signal.SIGTERM)
    rebound.wait()
    assert not log.exists()
    assert stops(tmp_path / "old") == ["SIGTERM"]


def test_what_cannot_be_reopened_is_gone_on_with(tmp_path, start):
    directory = tmp_path / "logs"
    directory.mkdir()
    log = directory / "log"
    options = [*JSON, "--log-file", log, "--log-reopen"]
    rebound = start(*options, *program("record_signals.py"))
    rebound.wait_ready()
    directory.rename(tmp_path / "old")
    for times in range(3):
        rebound.send(signal.SIGHUP)
        rebound.wait_until(lambda times=times: len(rebound.lines("signal")) > times)
    said = [line["msg"] for line in told(tmp_path / "old/log", "error")]
    why = f"cannot open the log file {log}: No such file or directory; going on with the old one"
    assert said == [why] * 3
    directory.mkdir()
    rebound.send(signal.SIGHUP)
    rebound.wait_until(log.exists)
    rebound.send(signal.SIGTERM)
    rebound.wait()
    assert stops(log) == ["SIGTERM"]


def test_rotation_leaves_no_descriptor_behind(tmp_path, start):
    log = tmp_path / "log"
    rebound = start("--log-file", log, "--log-reopen", *program("record_signals.py"))
    rebound.wait_ready()
    rotate(rebound, log)
    before = sorted(os.listdir(f"/proc/{rebound.pid}/fd"))
    for times in range(20):
        log.unlink()
        rebound.send(signal.SIGHUP)
        rebound.wait_until(log.exists)
        rebound.wait_until(lambda times=times: len(rebound.lines("signal")) > times + 1)
    assert len(os.listdir(f"/proc/{rebound.pid}/fd")) == len(before)


def test_in_the_library(tmp_path):
    code = "import rebound, sys; config = rebound.Config(log_file=sys.argv[1]); "
    code += "sys.exit(rebound.supervise(['true'], config))"
    result = subprocess.run(
        [PYTHON[0], "-Ic", code, tmp_path / "log"], capture_output=True, timeout=DEADLINE
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert (tmp_path / "log").read_text().startswith("rebound: starting true\n")
