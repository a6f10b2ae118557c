"""The log never blocks rebound and never fails it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import resource
import signal
import socket
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from tests.helpers import DEADLINE, JSON, REBOUND, program, run

CRASHES = ["-b", "0", "-r", "300", "sh", "-c", "exit 3"]


def ends_well(**options):
    command = [REBOUND, "-v", *CRASHES]
    return subprocess.run(command, timeout=DEADLINE, **options).returncode == 3


def test_full_pipe_without_a_reader_that_reads():
    reading, writing = os.pipe()
    with open(reading), open(writing) as stderr:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        assert ends_well(stderr=stderr)


def test_the_inherited_descriptor_stays_blocking():
    """O_NONBLOCK is shared with all that have the same open file: the command, a shell."""
    reading, writing = os.pipe()
    with open(reading), open(writing) as stderr:
        assert ends_well(stderr=stderr)
        assert os.get_blocking(writing)


def test_pipe_whose_reader_is_gone():
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing) as stderr:
        assert ends_well(stderr=stderr)


def test_reader_gone_is_no_sigpipe_for_the_command(start):
    """Our own failed write queues a SIGPIPE, which is not to be forwarded."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing) as stderr:
        rebound = start("-v", *program("record_signals.py"), stderr=stderr)
        rebound.wait_ready()
        rebound.send(signal.SIGUSR1)
        rebound.send(signal.SIGUSR2)
        rebound.wait_until(lambda: len(rebound.lines("signal")) >= 2)
        rebound.send(signal.SIGTERM)
        rebound.wait()
    assert str(int(signal.SIGPIPE)) not in [line.split()[1] for line in rebound.lines("signal")]


def test_full_device():
    with open("/dev/full", "wb") as stderr:
        assert ends_well(stderr=stderr)


def test_closed():
    assert ends_well(preexec_fn=lambda: os.close(2))


def test_file_at_its_size_limit(tmp_path):
    with open(tmp_path / "log", "wb") as stderr:
        assert ends_well(
            stderr=stderr,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
        )
    assert (tmp_path / "log").stat().st_size == 100


def test_socket_that_nobody_reads():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        assert ends_well(stderr=theirs)


def test_terminal_that_nobody_reads():
    master, slave = pty.openpty()
    with open(master, "rb"), open(slave, "wb", buffering=0) as stderr:
        assert ends_well(stderr=stderr)


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_in_one_file_with_the_command(tmp_path, mode):
    """Its own offset would make rebound overwrite what the command wrote, or the reverse."""
    with open(tmp_path / "log", mode) as log:
        subprocess.run(
            [REBOUND, "-b", "0", "-r", "2", "sh", "-c", "echo command; exit 1"],
            stdout=log,
            stderr=log,
        )
    assert (tmp_path / "log").read_text().count("command\n") == 3
    assert (tmp_path / "log").read_text().count("rebound: ") == 5
    assert "\0" not in (tmp_path / "log").read_text()


def test_one_line_whatever_the_commands_name():
    result = run("no\nsuch\x1b[31m\udcff")
    assert result.stderr.count("\n") == 2
    assert "\x1b" not in result.stderr


def test_quiet_and_verbose():
    def events(*args):
        return [line["event"] for line in records(run(*JSON, *args).stderr)]

    assert events("-q", "-r", 1, "false") == ["giving_up"]
    assert events("-q", "true") == []
    assert events("true") == ["starting", "exited"]
    assert events("-v", "true") == ["starting", "started", "exited"]


def test_the_lines_of_a_crash_with_usage_and_core():
    """As the picture in the README has it."""
    result = run("-r", 1, "sh", "-c", "ulimit -c unlimited; cd /tmp; kill -SEGV $$")
    line = next(line for line in result.stderr.splitlines() if "restarting" in line)
    assert re.fullmatch(
        r"rebound: child \(pid \d+\) killed by signal 11 \(SIGSEGV\)(, core dumped)?, "
        r"after [\d.]+m?s, max RSS \d+ MB, restarting \(1\)",
        line,
    )


# --- For programs -------------------------------------------------------------------------


def records(text):
    return [json.loads(line) for line in text.splitlines() if line]


def test_json_is_one_object_a_line_with_stable_names():
    result = run("-v", *JSON, "-r1", "-b1", "--max-delay=1ms", "sh", "-c", "exit 3")
    lines = records(result.stderr)
    events = [line["event"] for line in lines]
    assert events == [
        "starting",
        "started",
        "exited",
        "delayed",
        "starting",
        "started",
        "exited",
        "giving_up",
    ]
    assert all(list(line)[:3] == ["ts", "level", "event"] for line in lines)
    assert all(list(line)[-1] == "msg" for line in lines)
    stamps = [line["ts"] for line in lines]
    assert stamps == sorted(stamps)
    assert abs(datetime.now(UTC) - datetime.fromisoformat(stamps[0])) < timedelta(minutes=1)
    ended = lines[2]
    assert ended["pid"] == lines[1]["pid"]
    assert (ended["reason"], ended["code"], ended["restarts"]) == ("exit:3", 3, 1)
    assert ended["max_rss"] > 100_000
    assert lines[-1]["level"] == "error"


@pytest.mark.parametrize("options", [[], ["-q"]])
def test_json_after_half_a_line_of_the_command(options):
    """A crash within a line on the same stderr; an empty line is none."""
    command = ["sh", "-c", "printf 'progress 42%%' >&2; exit 3"]
    result = run(*options, *JSON, "-r1", *command)
    lines = [line for line in result.stderr.splitlines() if "progress" not in line]
    events = [record["event"] for record in records("\n".join(lines))]
    assert "giving_up" in events
    assert events.count("exited") == (0 if options == ["-q"] else 2)
    assert result.stderr.count("{") == len(events)
    assert result.stderr.count("\n\n") == 0


def test_text_after_half_a_line_of_the_command():
    """People can read it."""
    assert "halfrebound: child" in run("sh", "-c", "printf half >&2").stderr


def test_times():
    """Before each line, of an error of our own, too."""
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    before = datetime.now(UTC) - timedelta(seconds=1)
    for options in ([], ["--no-such-option"]):
        log = run("--log-format", "timed", *options, "sh", "-c", "exit 0").stderr.splitlines()
        assert all(re.fullmatch(rf"{time} rebound: .+", line) for line in log)
        assert before < datetime.fromisoformat(log[0].split()[0]) < datetime.now(UTC)
    long = run("--log-format", "timed", "x" * 9000).stderr.splitlines()
    assert [len(line) <= 4096 for line in long] == [True, True]


def test_json_of_any_name():
    result = run(*JSON, 'no\nsuch\x1b[31m\udcff"' + "x" * 5000)
    assert [line["event"] for line in records(result.stderr)] == ["starting", "exec_failed"]
    assert all(len(line) < 4096 for line in result.stderr.splitlines())


def test_json_of_an_own_error():
    result = run(*JSON, "--no-such-option")
    [line] = records(result.stderr)
    assert (result.returncode, line["event"]) == (125, "own_error")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_what_could_not_be_written_is_counted(start, log_format):
    """And the count is written when there is room again, before the next line."""
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as reader, open(writing, "wb") as stderr:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        command = program("record_signals.py")
        rebound = start("-v", "--log-format", log_format, *command, stderr=stderr)
        rebound.wait_ready()
        for times in range(200):
            rebound.send(signal.SIGUSR1)
            rebound.wait_until(lambda times=times: len(rebound.lines("signal")) > times)
        reader.read(4096)
        rebound.send(signal.SIGUSR2)
        rebound.wait_until(lambda: len(rebound.lines("signal")) > 200)
        lines = reader.read(4096).decode().splitlines()
        rebound.send(signal.SIGTERM)
        rebound.wait()
    if log_format == "json":
        dropped, after, *_ = records("\n".join(lines[-2:]))
        assert (dropped["event"], after["signal"]) == ("dropped", "SIGUSR2")
        assert 100 < dropped["count"] < 200
    else:
        assert re.fullmatch(r"rebound: 1\d\d messages could not be written", lines[-2])
        assert "SIGUSR2" in lines[-1]
