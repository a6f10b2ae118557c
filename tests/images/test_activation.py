"""Sockets that podman was handed reach the command in the container; docker has no such thing."""

from __future__ import annotations

import os
import socket
import subprocess

import psutil
import pytest

from tests.helpers import DEADLINE, eventually
from tests.images.engine import ENGINE, engine

SERVER = """
die "not for me" if $ENV{LISTEN_PID} != $$;
open L, "+<&=3" or die;
while (accept C, L) { print C "run $ENV{REBOUND_RESTARTS} $ENV{LISTEN_FDNAMES}\n"; close C }
"""
"""In Perl, which each Debian has."""


def ask(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(DEADLINE)
        client.connect(path)
        return client.recv(100).decode()


def activated(path, name):
    """Give a command line that listens, and starts the container at the first connection."""
    passed = [f"--setenv={word}" for word in ("CONTAINERS_CONF", "HOME", "PATH")]
    activate = ["systemd-socket-activate", f"--listen={path}", "--fdname=web", *passed]
    options = ["--rm", f"--name={name}", "--network=none"]
    return [*activate, ENGINE, "run", *options, "rebound:debian", "perl", "-e", SERVER]


if ENGINE == "podman":

    def test_the_socket_of_podman_outlives_a_crash(tmp_path):
        path, name = str(tmp_path / "socket"), f"rebound-activated-{os.getpid()}"
        with (
            open(tmp_path / "log", "w+") as log,
            subprocess.Popen(activated(path, name), stderr=log) as podman,
        ):
            try:
                eventually(lambda: "Listening on " in (tmp_path / "log").read_text())
                assert ask(path) == "run 0 web\n"
                pid = int(engine("inspect", "--format", "{{.State.Pid}}", name))
                [command] = psutil.Process(pid).children()
                command.kill()
                command.wait()
                assert ask(path) == "run 1 web\n"
                engine("stop", name)
                assert podman.wait(DEADLINE) == 128 + 15
            finally:
                engine("rm", "--force", "--ignore", name)
                podman.kill()
        with pytest.raises(ConnectionRefusedError):
            ask(path)
