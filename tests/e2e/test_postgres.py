"""The main job: a real PostgreSQL outlives the crashes of its control plane, and stops clean."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import helpers
from tests.helpers import DEADLINE, REPOSITORY, Supervised, eventually

CRASHES = (signal.SIGKILL, signal.SIGSEGV, signal.SIGUSR1)
"""The last makes the control plane exit with status 1."""

BIN = max(
    Path("/usr/lib/postgresql").glob("*/bin"),
    key=lambda path: int(path.parent.name),
    default=Path("/usr/lib/postgresql"),
)

AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--reset-env"]
"""PostgreSQL does not run as root; nor do the caller's PG* and locale concern it here."""

SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{directory}'
dynamic_shared_memory_type = mmap  # in the data directory: nothing is left in /dev/shm
"""


class Client:
    """Writes the rows 1, 2, 3… on one connection: a psql(1) that reads a pipe never reconnects."""

    def __init__(self, psql: subprocess.Popen[bytes]) -> None:
        self.committed = 0
        """The last row that the database has acknowledged."""
        self._psql = psql
        self._ask("CREATE TABLE written (number integer PRIMARY KEY); SELECT 0")

    def write(self) -> None:
        """Commit the next row.  Raises `ConnectionError` when the connection has ended."""
        number = self.committed + 1
        self._ask(f"INSERT INTO written VALUES ({number}) RETURNING number")
        self.committed = number

    def _ask(self, query: str) -> None:
        """Run a query with an answer of one line."""
        assert self._psql.stdin
        assert self._psql.stdout
        self._psql.stdin.write(f"{query};\n".encode())
        answer = b""
        while not answer.endswith(b"\n"):
            assert select.select([self._psql.stdout], [], [], DEADLINE)[0], f"no answer: {query}"
            if not (more := self._psql.stdout.read(100)):
                raise ConnectionError("psql has ended")
            answer += more


class Asker:
    """Asks the API of the example's control plane; by asker.py, which may run in a container."""

    def __init__(self, *asker: str) -> None:
        self._asker = asker

    def ask(self, method: str, path: str) -> Any:
        """Ask once.  Return the answer; None if the connection ends without one."""
        output = subprocess.check_output([*self._asker, method, path], timeout=DEADLINE)
        found = json.loads(output)
        assert found["error"] in (None, "ConnectionResetError")
        return found["answer"]

    @contextmanager
    def all_the_time(self) -> Iterator[Callable[[], list[str]]]:
        """Ask for the status all the time.  Yield what returns the lines that tell of it."""
        with tempfile.TemporaryFile() as output:
            pipe = subprocess.PIPE

            def lines() -> list[str]:
                size = os.fstat(output.fileno()).st_size
                # Not seek(): the program that writes has the same position in the file.
                return os.pread(output.fileno(), size, 0).decode().splitlines()

            with subprocess.Popen(self._asker, bufsize=0, stdin=pipe, stdout=output):
                eventually(lines)
                yield lines


def crash_five_times(asker: Asker) -> list[dict[str, Any]]:
    """Crash the control plane, each time once it answers.  Return what its other client saw."""
    with asker.all_the_time() as lines:

        def wait_for_answer(run: int) -> None:
            eventually(lambda: f'"runs": {run},' in lines()[-1])

        for run in range(1, 6):
            wait_for_answer(run)
            assert asker.ask("POST", "/crash") is None
        wait_for_answer(6)
        return [json.loads(line) for line in lines()]


def check_that_no_client_noticed(found: list[dict[str, Any]]) -> None:
    """Check what a client saw of five crashes: nobody was refused, and the state survived."""
    errors = [question["error"] for question in found if question["error"]]
    # A connection that the control plane had in hand when it crashed is lost.
    assert errors == ["ConnectionResetError"] * len(errors)
    assert len(errors) <= 5
    answers = [question["answer"] for question in found if question["answer"]]
    requests = [answer["requests"] for answer in answers]
    assert requests == sorted(set(requests))  # each counts, whichever run answers
    assert [answer["runs"] for answer in answers] == sorted(answer["runs"] for answer in answers)
    assert {answer["runs"] for answer in answers} == {1, 2, 3, 4, 5, 6}
    assert len({answer["pid"] for answer in answers}) == 6
    assert len({answer["since"] for answer in answers}) == 1
    assert len({(answer["database"], answer["postmaster"]) for answer in answers}) == 1


def open_files(process: psutil.Process) -> set[str]:
    """What the descriptors of a process refer to: socket:[INODE], /memfd:NAME…"""
    directory, found = f"/proc/{process.pid}/fd", set()
    for descriptor in os.listdir(directory):
        with suppress(FileNotFoundError):
            found.add(os.readlink(f"{directory}/{descriptor}"))
    return found


def check_that_the_database_holds_nothing(
    control_plane: psutil.Process, postmaster: psutil.Process
) -> None:
    """Check that the API's socket and the state are held by the control plane only."""
    api = os.readlink(f"/proc/{control_plane.pid}/fd/3")
    state = "/memfd:state (deleted)"
    assert api.startswith("socket:")
    assert {api, state} <= open_files(control_plane)
    database = [postmaster, *postmaster.children(recursive=True)]
    assert len(database) > 1
    for process in database:
        assert not {api, state} & open_files(process)


class Cluster:
    """A new database cluster, to be reached by a socket in its own directory only."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self._run("initdb", "--no-sync", "--auth=peer", "-D", self.data)
        with open(self.data / "postgresql.conf", "a") as file:
            file.write(SETTINGS.format(directory=directory))

    def control_plane(self) -> list[str]:
        """Give the command line of the control plane."""
        log = self.directory / "log"
        return helpers.program("control_plane.py", *_command("pg_ctl", "-D", self.data, "-l", log))

    def api_server(self) -> list[str]:
        """Give the command line of the example's control plane, which has an API."""
        program = shutil.copy(REPOSITORY / "images/postgres/control-plane", self.directory)
        settings = (f"PATH={BIN}:{os.defpath}", f"PGDATA={self.data}", f"PGHOST={self.directory}")
        # Not --reset-env: what rebound tells it is in the environment.
        return [*AS_POSTGRES[:-1], "env", *settings, str(program)]

    def connect(self) -> subprocess.Popen[bytes]:
        """Start a psql that reads queries and prints bare answers; an error ends it."""
        psql = _command("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", self.directory, "postgres")
        pipe = subprocess.PIPE
        return subprocess.Popen(psql, bufsize=0, cwd=self.directory, stdin=pipe, stdout=pipe)

    def processes(self) -> list[psutil.Process]:
        """All processes of the database, also those in another PID namespace."""
        everything = psutil.process_iter(["cwd"])
        return [process for process in everything if process.info["cwd"] == str(self.data)]

    def state(self) -> str:
        """What the cluster says that it is: in production, shut down…"""
        found = re.search("cluster state: +(.*)", self._run("pg_controldata", self.data))
        assert found
        return found[1]

    def rows(self) -> list[int]:
        """The rows on disk; no server may be running."""
        query = "SELECT number FROM written ORDER BY number\n"
        answer = self._run("postgres", "--single", "-D", self.data, "postgres", stdin=query)
        return [int(number) for number in re.findall(r'= "(\d+)"', answer)]

    def _run(self, name: str, *args: object, stdin: str = "") -> str:
        return subprocess.run(
            _command(name, *args),
            check=True,
            cwd=self.directory,
            input=stdin,
            stdout=subprocess.PIPE,
            text=True,
            timeout=DEADLINE,
        ).stdout


def _command(name: str, *args: object) -> list[str]:
    """Give the command line of one of PostgreSQL's programs."""
    return [*AS_POSTGRES, str(BIN / name), *map(str, args)]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster whose database does not run yet; no process and no file is left at the end."""
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        shutil.chown(directory, "postgres", "postgres")
        cluster = Cluster(directory)
        yield cluster
        for process in cluster.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        eventually(lambda: not cluster.processes())
    finally:
        shutil.rmtree(directory)


def crash(run: Supervised, signo: int, client: Client) -> None:
    """Crash the control plane, and write rows until it is back."""
    runs = len(run.lines("ready"))

    def is_back() -> bool:
        client.write()
        return len(run.lines("ready")) > runs

    (control_plane,) = (p for p in run.children() if "control_plane" in str(p.cmdline()))
    os.kill(control_plane.pid, signo)
    run.wait_until(is_back)


def test_outlives_50_crashes_and_shuts_down_clean(
    mode: list[str], cluster: Cluster, start: Callable[..., Supervised]
) -> None:
    run = start(
        *("-b", "0", "--drain-signal", "INT", "--", *cluster.control_plane()),
        wrapper=mode,
        cwd=cluster.directory,
    )
    run.wait_ready()
    (postmaster,) = set(cluster.processes()) & set(run.children())

    with cluster.connect() as psql:
        try:
            client = Client(psql)
            for signo in islice(cycle(CRASHES), 50):
                crash(run, signo, client)
                assert postmaster in run.children()
            run.send(signal.SIGTERM)
            with pytest.raises(ConnectionError):
                run.wait_until(client.write)
        finally:
            psql.kill()

    assert run.wait() == 0
    assert not cluster.processes()
    assert cluster.state() == "shut down"
    assert len(set(run.lines("ready"))) == 51
    # The answer to the very last row may have been lost with the connection.
    assert cluster.rows()[: client.committed] == list(range(1, client.committed + 1))


def test_tini_leaves_it_in_production(
    cluster: Cluster, start: Callable[..., Supervised], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control; with IPC of its own, as a killed server leaves a shared segment."""
    monkeypatch.setattr(helpers, "REBOUND", "tini")
    run = start(
        *("--", *cluster.control_plane()), wrapper=[*helpers.PID1, "--ipc"], cwd=cluster.directory
    )
    run.wait_ready()
    (tini,) = psutil.Process(run.popen.pid).children()
    tini.terminate()
    assert run.wait() == 0
    assert cluster.state() == "in production"


def test_no_client_notices_that_the_control_plane_crashes(
    mode: list[str], cluster: Cluster, start: Callable[..., Supervised]
) -> None:
    address = str(cluster.directory / "api.sock")
    asker = Asker(*helpers.program("asker.py", address))
    options = ("--listen", f"api={address}", "--fd-store", "1", "-b", "0", "--drain-signal", "INT")
    run = start(*options, "--", *cluster.api_server(), wrapper=mode, cwd=cluster.directory)
    run.wait_ready()
    found = crash_five_times(asker)
    run.wait_ready(times=6)
    check_that_no_client_noticed(found)
    (postmaster,) = set(cluster.processes()) & set(run.children())
    (control_plane,) = set(run.children()) - {postmaster}
    check_that_the_database_holds_nothing(control_plane, postmaster)
    assert asker.ask("POST", "/reload") == {"done": "reload"}
    assert asker.ask("POST", "/checkpoint") == {"done": "checkpoint"}
    assert asker.ask("GET", "/reload") == {"error": "this wants POST"}
    assert "error" in asker.ask("GET", "/favicon.ico")
    run.send(signal.SIGTERM)
    assert run.wait() == 0
    assert not cluster.processes()
    assert cluster.state() == "shut down"


def test_a_database_that_crashed_is_started_again(
    cluster: Cluster, start: Callable[..., Supervised]
) -> None:
    """By its control plane, which rebound restarts for that."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = "{}:{}".format(*free.getsockname())
    health = ("--health-http", f"http://{address}/healthz", "--health-interval", "100ms")
    options = ("--listen", f"api={address}", *health, "--drain-signal", "INT")
    run = start(*helpers.JSON, *options, "--", *cluster.api_server(), cwd=cluster.directory)
    run.wait_ready()
    run.wait_until(lambda: run.events("healthy"))
    (crashed,) = set(cluster.processes()) & set(run.children())
    crashed.kill()
    run.wait_ready(times=2)
    # Perhaps a further one: as long as a process of the old database is left, none can start.
    assert run.events("exited")[0]["reason"] == "unhealthy"
    with cluster.connect() as psql:
        Client(psql).write()
        psql.kill()
    run.send(signal.SIGTERM)
    assert run.wait() == 0
    assert cluster.state() == "shut down"
