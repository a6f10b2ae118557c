"""What the log does about half a line that is in its way, and at which level it writes."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rebound.kernel.log import Log

PIPE_BUF = 4096


@pytest.mark.parametrize(
    ("verbosity", "shown"),
    [
        ("quiet", ["error"]),
        ("normal", ["error", "info"]),
        ("verbose", ["error", "info", "debug"]),
    ],
)
def test_levels(tmp_path: Path, verbosity: str, shown: list[str]) -> None:
    """`is_verbose` spares the work for what would not be written."""
    log = Log(verbosity, "json", str(tmp_path / "log"))
    assert log.is_verbose == ("debug" in shown)
    for level in ("error", "info", "debug"):
        assert log.shows(level) == (level in shown)
        log.write(level, "started", "started")
    log.close()
    log.write("error", "error", "closed")
    lines = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(line)["level"] for line in lines] == shown


def test_half_a_line_in_the_way_of_what_was_dropped() -> None:
    """In JSON a line after the command's end begins anew, whichever is the first that goes out."""
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as reader, open(writing, "wb", buffering=0) as writer:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BUF)
        log = Log(line_format="json", fd=writing)
        writer.write(b"x" * PIPE_BUF)
        log.expect_half_a_line()
        log.write("info", "exited", "child exited")  # finds no room
        reader.read(PIPE_BUF)
        writer.write(b"half")
        log.write("info", "starting", "starting")
        log.write("info", "started", "started")
        log.close()
        half, *lines = reader.read(PIPE_BUF).splitlines()
    assert half == b"half"
    assert [json.loads(line)["event"] for line in lines] == ["dropped", "starting", "started"]
    assert log.dropped_in_all == 1


def test_half_a_line_of_our_own_in_the_way(tmp_path: Path) -> None:
    """A full disk may take half of it; what comes when there is room again begins anew."""
    code = """
import resource, sys
from rebound.kernel.log import Log
log = Log(line_format="json", path=sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (20, resource.RLIM_INFINITY))
log.write("info", "starting", "starting")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.write("info", "started", "started")
"""
    subprocess.run([sys.executable, "-Ic", code, tmp_path / "log"], check=True)
    half, *lines = (tmp_path / "log").read_text().splitlines()
    assert len(half) == 20
    assert [json.loads(line)["event"] for line in lines] == ["dropped", "started"]
