"""The image of the headline case: PostgreSQL outlives its control plane, and stops clean.

And no client of the control plane notices that it crashes.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.e2e.test_postgres import (
    Asker,
    Client,
    check_that_no_client_noticed,
    check_that_the_database_holds_nothing,
    crash_five_times,
)
from tests.helpers import PROGRAMS, eventually
from tests.images.engine import ENGINE, Container
from tests.machine.pod import first_pod, load

IMAGE = "rebound-postgres"
SOCKET = "--volume=/run/postgresql"  # the option makes it a volume, for clients to share


def beside(container: Container, *command: str) -> list[str]:
    """Give a command line that runs one of PostgreSQL's programs in a container of its own."""
    options = ("--rm", "--interactive", "--network=none", f"--volumes-from={container.id}")
    program, *args = command
    return [ENGINE, "run", *options, f"--entrypoint={program}", IMAGE, *args]


def child(container: Container, name: str) -> psutil.Process:
    """Return the child of rebound whose command line has this name in it."""
    (found,) = (p for p in container.init.children() if name in " ".join(p.cmdline()))
    return found


def asker(container: Container) -> Asker:
    """Return a client of the API, in the container."""
    program = ("python3", "-IS", "-c", (PROGRAMS / "asker.py").read_text(), "127.0.0.1:8080")
    return Asker(ENGINE, "exec", "--interactive", container.id, *program)


def state(container: Container) -> str:
    """What pg_controldata(1) says of a container that has ended."""
    return state_by(beside(container, "pg_controldata"))


def state_by(pg_controldata: list[str]) -> str:
    """What it says, run by this command line."""
    answer = subprocess.check_output(pg_controldata, text=True)
    [state] = re.findall("cluster state: +(.*)", answer)
    return str(state)


def test_outlives_20_crashes_and_shuts_down_clean():
    options = (SOCKET, "--env=REBOUND_OPTIONS=--burst 0")
    pipe = subprocess.PIPE
    with Container(IMAGE, options=options) as container:
        eventually(lambda: container.lines("creating"))
        child(container, "control-plane").kill()  # while it makes the database
        container.wait_ready()
        postmaster = child(container, "postgres")
        psql = beside(container, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1")
        with subprocess.Popen(psql, bufsize=0, stdin=pipe, stdout=pipe) as process:
            client = Client(process)
            for crashes in range(1, 21):
                child(container, "control-plane").kill()
                container.wait_ready(times=crashes + 1)
                client.write()
                assert child(container, "postgres") == postmaster
            assert container.stop() == 0
            with pytest.raises((ConnectionError, BrokenPipeError)):
                eventually(client.write)
        assert state(container) == "shut down"


def test_no_client_notices_that_the_control_plane_crashes():
    with Container(IMAGE, options=("--env=REBOUND_OPTIONS=--burst 0",)) as container:
        client = asker(container)
        eventually(lambda: container.lines("creating"))
        status = client.ask("GET", "/status")  # while it makes the database
        assert (status["runs"], status["database"]) == (1, "down")
        container.wait_ready()
        postmaster = child(container, "postgres")
        check_that_no_client_noticed(crash_five_times(client))
        container.wait_ready(times=6)
        assert child(container, "postgres") == postmaster
        control_plane = child(container, "control-plane")
        check_that_the_database_holds_nothing(control_plane, postmaster)
        scores = [
            Path(f"/proc/{process.pid}/oom_score_adj").read_text().strip()
            for process in (control_plane, postmaster, container.init)
        ]
        assert scores == ["1000", scores[2], scores[2]]
        for action in ("reload", "checkpoint"):
            assert client.ask("POST", f"/{action}") == {"done": action}
        assert container.stop() == 0
        assert state(container) == "shut down"


def test_without_the_two_options_they_do():
    """Negative control."""
    options = ("--entrypoint=rebound", "--env=REBOUND_OPTIONS=--burst 0")
    with Container(IMAGE, "control-plane", options=options) as container:
        client = asker(container)
        container.wait_ready()
        with client.all_the_time() as lines:
            assert client.ask("POST", "/crash") is None
            container.wait_ready(times=2)
            assert [line for line in lines() if "ConnectionRefusedError" in line]
        assert client.ask("GET", "/status")["runs"] == 1


def test_an_init_that_restarts_nothing_leaves_it_in_production():
    """Negative control."""
    with Container(IMAGE, options=("--init", "--entrypoint", "control-plane")) as container:
        container.wait_ready()
        assert container.stop() == 0
        assert state(container) == "in production"


def as_in_the_manifest(directory: Path, *options: str) -> Container:
    """Start it as docs/kubernetes/statefulset.yaml says, with its volumes in this directory."""
    [*_, pod] = first_pod(load("statefulset.yaml"))
    [container], context = pod["spec"]["containers"], pod["spec"]["securityContext"]
    data, secrets = directory / "data", directory / "secrets"
    if not data.exists():
        data.mkdir()
        os.chown(data, 0, context["fsGroup"])
        data.chmod(0o2775)
        secrets.mkdir()
        (secrets / "password").write_text("open sesame\n")
    sources = {"data": f"{data}:", "password": f"{secrets}:", "run": ""}
    program, *arguments = container["command"]
    options = (
        *options,
        *("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges"),
        # podman would make /run and /tmp writable, all the same.
        *(("--read-only-tmpfs=false",) if "podman" in ENGINE else ()),
        f"--user={context['runAsUser']}:{context['runAsGroup']}",
        f"--entrypoint={program}",
        *(f"--env={entry['name']}={entry['value']}" for entry in container["env"]),
        *(f"--volume={sources[m['name']]}{m['mountPath']}" for m in container["volumeMounts"]),
    )
    return Container(IMAGE, *arguments, *container["args"], options=options)


def logs_in(container: Container, password: str) -> bool:
    """Whether a client of the container's network is let in by this password."""
    options = ("--rm", f"--network=container:{container.id}", f"--env=PGPASSWORD={password}")
    psql = ("--entrypoint=psql", IMAGE, "--host=127.0.0.1", "--command=SELECT 1")
    found = subprocess.run([ENGINE, "run", *options, *psql], capture_output=True, check=False)
    return not found.returncode


def test_what_kubernetes_runs_takes_clients_by_a_password(tmp_path):
    with as_in_the_manifest(tmp_path) as container:
        container.wait_ready()
        container.wait_well("exec", container.id, "rebound")
        assert logs_in(container, "open sesame")
        assert not logs_in(container, "close sesame")
        assert not logs_in(container, "")
        assert container.stop() == 0
    # What Kubernetes may do at the next mount of the volume.
    (tmp_path / "data/data").chmod(0o2770)
    with as_in_the_manifest(tmp_path) as container:
        container.wait_ready()
        assert logs_in(container, "open sesame")
        assert container.stop() == 0


def test_what_kubernetes_runs_gives_up_with_a_clean_database(tmp_path):
    with as_in_the_manifest(tmp_path, "--env=REBOUND_OPTIONS=--burst 0") as container:
        psql = (ENGINE, "exec", "-i", container.id, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1")
        container.wait_ready()
        with subprocess.Popen(psql, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as it:
            client = Client(it)  # it stays; PostgreSQL's SIGTERM would wait for it
            for crashes in range(1, 12):
                child(container, "control-plane").kill()
                if crashes <= 10:
                    container.wait_ready(times=crashes + 1)
                    client.write()
            assert container.wait() == 128 + 9
    volume = f"--volume={tmp_path}/data:/var/lib/postgresql"
    options = ("--rm", "--network=none", volume, "--entrypoint=pg_controldata")
    assert state_by([ENGINE, "run", *options, IMAGE]) == "shut down"
