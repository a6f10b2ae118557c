"""What holds for the standalone file only: it needs nothing but itself and the kernel."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests import helpers
from tests.helpers import DEADLINE, JSON, REBOUND, run

BUSYBOX = "/bin/busybox"  # Debian's busybox-static

READ_ONLY_ROOT = """
mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec chroot "$0" "$@"
"""


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """Give what to put before rebound: a read-only root with it and a busybox, no more."""
    root = tmp_path / "root"
    root.mkdir()
    for program, name in ((REBOUND, "rebound"), (BUSYBOX, "busybox")):
        shutil.copy(program, root / name)
    monkeypatch.setattr(helpers, "REBOUND", "/rebound")
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    return [*unshare, "sh", "-c", READ_ONLY_ROOT, str(root)]


def test_it_is_static_and_what_its_sum_says():
    headers = subprocess.run(["readelf", "-lW", REBOUND], capture_output=True, text=True).stdout
    assert "LOAD" in headers
    assert not re.search("INTERP|DYNAMIC", headers)
    directory, name = Path(REBOUND).parent, Path(REBOUND).name
    subprocess.run(["sha256sum", "--check", "--quiet", f"{name}.sha256"], cwd=directory, check=True)


def test_it_looks_at_no_file_before_the_command_starts(tmp_path):
    trace = tmp_path / "trace"
    with open(tmp_path / "log", "wb") as log:  # a pipe would be opened once more
        command = ["strace", "-f", "-e", "trace=%file", "-o", trace, REBOUND, "/bin/true"]
        subprocess.run(command, stderr=log, check=True)
    calls = trace.read_text().partition('execve("/bin/true"')[0]
    paths = re.findall(r'^\d+ +(\w+)\([^"]*"([^"]+)"', calls, re.MULTILINE)
    if ("readlink", "/") in paths:  # without a snapshot: is Python's `home` a symbolic link?
        paths.remove(("readlink", "/"))
    assert paths == [
        ("execve", REBOUND),
        ("readlink", "/proc/self/exe"),  # the C library
        ("openat", "/dev/tty"),  # rebound, in case it is to hand the terminal over
    ]


def test_restart_in_a_bare_root(bare, start):
    script = "echo run; echo >/file || exit 7"
    rebound = start("-r", 2, "/busybox", "sh", "-c", script, wrapper=bare)
    assert rebound.wait() == 7
    assert rebound.lines() == ["run"] * 3
    assert "can't create /file: Read-only file system" in rebound.log


def test_drain_in_a_bare_root(bare, start):
    # A pipeline, since `&` takes its input from /dev/null.
    orphan = "trap 'echo orphan stopped; exit' TERM; echo ready; while :; do read line; done"
    script = f'/busybox sleep 1000 | /busybox sh -c "{orphan}"'
    rebound = start("/busybox", "sh", "-c", script, wrapper=bare)
    rebound.wait_ready()
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    assert rebound.lines("orphan") == ["orphan stopped"]


def test_a_health_check_in_a_bare_root(bare, start):
    """Without a shell, /proc and /dev."""
    options = [
        "--health-http",
        "http://127.0.0.1:1",
        "--health-interval=50ms",
        "--health-retries=1",
    ]
    rebound = start(*JSON, *options, "/busybox", "sleep", "1000", wrapper=bare)
    rebound.wait_until(lambda: rebound.events("unhealthy"))
    [failed, *_] = rebound.events("health_failed")
    assert failed["msg"].endswith("127.0.0.1:1: Connection refused")
    assert rebound.wait_until(lambda: rebound.events("exited"))[0]["reason"] == "unhealthy"


def test_status_in_a_bare_root(bare, start):
    """Neither /run nor /proc: the socket is abstract, and the client tries PID 1."""
    command = ["/busybox", "sh", "-c", "/busybox echo ready; exec /busybox sleep 1000"]
    rebound = start(*command, wrapper=bare)
    rebound.wait_ready()
    enter = ["nsenter", "--pid", "--root", f"--target={rebound.pid}"]
    inside = ["env", "-u", "REBOUND_RUN_DIR", *enter]
    rebound.wait_until(lambda: run("--status", wrapper=inside).returncode == 0)
    assert run("--restart-now", 1, wrapper=inside).returncode == 0
    rebound.wait_ready(2)


def test_command_not_found_in_a_bare_root(bare, start):
    rebound = start(*JSON, "/no-such-command", wrapper=bare)
    assert rebound.wait() == 127
    lines = [json.loads(line) for line in rebound.log.splitlines()]
    assert [line["event"] for line in lines] == ["starting", "exec_failed"]
    assert {line["command"] for line in lines} == {"/no-such-command"}
    assert lines[1]["error"] == "No such file or directory"


def test_a_signal_is_kept_from_before_python_starts():
    """Python's first memory comes from mmap(2)."""
    strace = ["strace", "-qq", "-o", "/dev/null", "-e", "inject=mmap:signal=USR1:when=1"]
    command = [*strace, REBOUND, "-q", "--restart", "never", "sleep", "1000"]
    assert subprocess.run(command, timeout=DEADLINE).returncode == 128 + signal.SIGUSR1


@pytest.mark.parametrize("action", [signal.SIG_IGN, signal.SIG_DFL])
def test_it_changes_no_disposition(start, action):
    def set_action():
        for signo in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(signo, action)

    rebound = start("sh", "-c", "echo ready; exec sleep 1000", preexec_fn=set_action)
    rebound.wait_ready()
    command = rebound.children()[0].pid
    ignored = [
        int(re.findall(r"^SigIgn:\s*(\w+)", status.read_text(), re.MULTILINE)[0], 16)
        for status in (Path(f"/proc/{pid}/status") for pid in (rebound.pid, command))
    ]
    both = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
    # glibc's posix_spawn leaves its own two signals, 32 and 33, ignored.
    assert [mask & both for mask in ignored] == [both * (action == signal.SIG_IGN)] * 2


def test_it_is_small_when_idle(start):
    with open(REBOUND, "rb") as file:
        has_snapshot = b"\0.snapshot\0" in file.read()
        os.fsync(file)  # what is not on the disk yet would count as ours
    rebound = start("sh", "-c", "echo ready; exec sleep 1000")
    rebound.wait_ready()
    limits = (8.5e6, 1600, 11.3e6) if has_snapshot else (7.5e6, 3700, 6.8e6)
    most_memory, most_written, longest_file = limits
    # It has become idle, a moment after the command's start, once it is so small.  A page of the
    # snapshot that nobody has written to counts here, too, but once for all instances together.
    rebound.wait_until(lambda: psutil.Process(rebound.pid).memory_full_info().pss < most_memory)
    rollup = Path(f"/proc/{rebound.pid}/smaps_rollup").read_text()
    written = re.findall(r"^Private_Dirty: +(\d+) kB$", rollup, re.MULTILINE)
    assert int(written[0]) < most_written
    assert Path(REBOUND).stat().st_size < longest_file


def test_help_needs_no_environment():
    assert run("--help", env={}).stdout.startswith("usage: rebound")
