"""The image of the headline case: PostgreSQL outlives its control plane, and stops clean."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.e2e.test_postgres import Client
from tests.helpers import eventually
from tests.images.engine import ENGINE, Container

IMAGE = "rebound-postgres"
SOCKET = "--volume=/run/postgresql"  # the option makes it a volume, for clients to share


def beside(container: Container, *command: str) -> list[str]:
    """Give a command line that runs one of PostgreSQL's programs in a container of its own."""
    options = ("--rm", "--interactive", "--network=none", f"--volumes-from={container.id}")
    program, *args = command
    return [ENGINE, "run", *options, f"--entrypoint={program}", IMAGE, *args]


def state(container: Container) -> str:
    """What pg_controldata(1) says of a container that has ended."""
    answer = subprocess.check_output(beside(container, "pg_controldata"), text=True)
    [state] = re.findall("cluster state: +(.*)", answer)
    return str(state)


def test_outlives_20_crashes_and_shuts_down_clean():
    options = (SOCKET, "--env=REBOUND_OPTIONS=--burst 0")
    pipe = subprocess.PIPE
    with Container(IMAGE, options=options) as container:
        rebound = container.init

        def child(name):
            (found,) = (p for p in rebound.children() if name in " ".join(p.cmdline()))
            return found

        eventually(lambda: container.lines("creating"))
        child("control-plane").kill()  # while it makes the database
        container.wait_ready()
        postmaster = child("postgres")
        psql = beside(container, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1")
        with subprocess.Popen(psql, bufsize=0, stdin=pipe, stdout=pipe) as process:
            client = Client(process)
            for crashes in range(1, 21):
                child("control-plane").kill()
                container.wait_ready(times=crashes + 1)
                client.write()
                assert child("postgres") == postmaster
            assert container.stop() == 0
            with pytest.raises((ConnectionError, BrokenPipeError)):
                eventually(client.write)
        assert state(container) == "shut down"


def test_an_init_that_restarts_nothing_leaves_it_in_production():
    """Negative control."""
    with Container(IMAGE, options=("--init", "--entrypoint", "control-plane")) as container:
        container.wait_ready()
        assert container.stop() == 0
        assert state(container) == "in production"
