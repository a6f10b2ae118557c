"""The example's control plane: what it keeps over a crash, and what it is told and tells."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import REPOSITORY


@pytest.fixture
def control_plane(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The module, for a database in an empty directory."""
    monkeypatch.setenv("PGDATA", str(tmp_path / "data"))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    path = str(REPOSITORY / "images/postgres/control-plane")
    spec = spec_from_loader("control_plane", SourceFileLoader("control_plane", path))
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def state_of(control_plane: Any) -> Any:
    """Its class State."""
    return control_plane.State


@pytest.fixture
def memory() -> Iterator[int]:
    descriptor = os.memfd_create("state")
    yield descriptor
    os.close(descriptor)


def test_it_is_what_the_last_run_left(state_of: Any, memory: int) -> None:
    state = state_of(memory)
    assert (state.values["runs"], state.values["requests"]) == (0, 0)
    for name in ("runs", "requests", "requests"):
        state.count(name)
        assert state_of(memory).values == state.values


def test_a_change_counts_only_when_it_is_complete(state_of: Any, memory: int) -> None:
    size = 2 * state_of.PLACE

    def content() -> bytes:
        return os.pread(memory, size, 0).ljust(size, b"\0")

    state = state_of(memory)
    state.count("runs")
    for _ in range(12):  # with one digit, and with two
        old, before = dict(state.values), content()
        state.count("requests")
        new, after = dict(state.values), content()
        found = []
        for written in range(size + 1):
            os.pwrite(memory, after[:written] + before[written:], 0)
            found.append(state_of(memory).values)
        assert all(values in (old, new) for values in found)
        assert (found[0], found[-1]) == (old, new)


def test_one_that_makes_no_sense_is_replaced(state_of: Any, memory: int) -> None:
    os.pwrite(memory, b"00000000 {}\n" + os.urandom(5000), 0)
    state = state_of(memory)
    assert state.values["change"] == 0
    state.count("runs")
    assert state_of(memory).values == state.values


# --- The password -----------------------------------------------------------------------


def test_the_password_is_taken_out_of_the_environment(
    control_plane: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert control_plane.read_password() == ""
    monkeypatch.setenv("POSTGRES_PASSWORD", "open sesame")
    assert control_plane.read_password() == "open sesame"
    assert control_plane.read_password() == ""
    file = tmp_path / "password"
    file.write_text("from a file\n")
    monkeypatch.setenv("POSTGRES_PASSWORD_FILE", str(file))
    assert control_plane.read_password() == "from a file"
    assert not [name for name in os.environ if name.startswith("POSTGRES_")]


def test_a_password_that_cannot_be_had_is_an_error(
    control_plane: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Never a database that is open to all, or to nobody."""
    file = tmp_path / "password"
    for content, password, error in (
        (None, "", FileNotFoundError),
        ("\n", "", ValueError),
        ("one", "another", ValueError),
    ):
        if content is not None:
            file.write_text(content)
        monkeypatch.setenv("POSTGRES_PASSWORD", password)
        monkeypatch.setenv("POSTGRES_PASSWORD_FILE", str(file))
        with pytest.raises(error):
            control_plane.read_password()


@pytest.mark.parametrize("password", ["", "secret"])
def test_the_database_is_open_only_with_a_password(
    control_plane: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, password: str
) -> None:
    data, ran = tmp_path / "data", []

    def run(program: str, *_args: str, stdin: str = "") -> None:
        ran.append((program, stdin))
        if program == "initdb":
            new = tmp_path / "data.new"
            new.mkdir()
            (new / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
            new.chmod(0o2770)

    monkeypatch.setattr(control_plane, "run", run)
    monkeypatch.setattr(subprocess, "call", lambda *_, **__: 0)  # pg_ctl status
    control_plane.start_database(password)
    assert ran == [("initdb", password)]
    lines = (data / "pg_hba.conf").read_text().splitlines()
    assert ("host all all all scram-sha-256" in lines) == bool(password)
    assert (data / "postgresql.conf").exists() == bool(password)
    # A volume of Kubernetes has been opened to its fsGroup.
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


# --- Its health -------------------------------------------------------------------------


def test_it_is_unhealthy_when_the_database_has_gone(
    control_plane: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Server:
        started = False

    request = control_plane.Request.__new__(control_plane.Request)
    request.server = Server
    assert request.health() == {"database": "down"}  # it makes it, or starts it
    Server.started = True
    with pytest.raises(control_plane.Unhealthy):
        request.health()
    monkeypatch.setattr(control_plane, "postmaster", lambda: (7, "starting"))
    assert request.health() == {"database": "starting"}
