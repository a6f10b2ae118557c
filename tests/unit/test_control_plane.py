"""The state of the example's control plane: a crash leaves the old or the new one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import Any

import pytest

from tests.helpers import REPOSITORY


@pytest.fixture
def state_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Its class State."""
    monkeypatch.setenv("PGDATA", "/nonexistent")
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    path = str(REPOSITORY / "images/postgres/control-plane")
    spec = spec_from_loader("control_plane", SourceFileLoader("control_plane", path))
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.State


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
