"""The metrics: what the strict parser of prometheus_client reads, whatever is in the fields."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import rebound
from rebound.control import status
from rebound.core import openmetrics
from rebound.core.events import Exited
from rebound.core.exitstatus import REASONS, ExitStatus
from rebound.core.states import RUNNING
from tests.unit.stories import PID, STARTED, in_state, step
from tests.unit.test_client import WELL_FORMED

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

FAMILIES = {family.name: family for family in openmetrics.FAMILIES}


def fields(**others: Any) -> dict[str, Any]:
    """Those of a run that is well, after a crash."""
    subject = in_state(RUNNING)
    step(subject, Exited(PID, ExitStatus(signal=11)), 5)
    step(subject, STARTED, 6)
    return {**status.describe(subject, "cmd", 7, PID, 2), **others}


def read(text: str) -> Samples:
    """The samples by name and labels; each of them is there once."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
        ours = FAMILIES[family.name]
        assert (family.type, family.unit) == (ours.kind, ours.unit)
        assert family.documentation == ours.help
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def value(samples: Samples, name: str, /, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def test_what_one_rebound_tells() -> None:
    samples = read(openmetrics.render([fields(resident=4096, stored=3, log_dropped=9)]))
    labels = {"version": rebound.__version__, "pid": "7", "command": "cmd"}
    assert value(samples, "rebound_info", **labels) == 1
    assert value(samples, "rebound_starts_total") == 2
    for reason in REASONS:
        assert value(samples, "rebound_exits_total", reason=reason) == (reason == "signal")
    assert (value(samples, "rebound_up"), value(samples, "rebound_ready")) == (1, 1)
    began = value(samples, "rebound_run_start_time_seconds")
    assert began == pytest.approx(value(samples, "rebound_last_exit_time_seconds") + 1)
    assert value(samples, "rebound_backoff_seconds") == 0
    assert value(samples, "rebound_adopted_processes") == 2
    assert value(samples, "rebound_command_resident_bytes") == 4096
    assert value(samples, "rebound_log_dropped_total") == 9
    assert value(samples, "rebound_stored_descriptors") == 3
    assert len(samples) == len(FAMILIES) - 1 + len(REASONS) - 1  # no sockets, seven reasons


def test_the_sockets_are_told_apart_by_the_numbers_that_runs_see() -> None:
    """Two of them may have one name, and no address."""
    sockets = [
        {"name": "api", "address": "[::]:80", "waiting": 5},
        {"name": "unknown", "address": None, "waiting": 0},
        {"name": "unknown", "address": None, "waiting": 1},
        {"name": "udp", "address": "udp:[::]:80", "waiting": None},
    ]
    samples = read(openmetrics.render([fields(sockets=sockets)]))
    name = "rebound_waiting_connections"
    assert value(samples, name, fd="3", name="api", address="[::]:80") == 5
    assert value(samples, name, fd="5", name="unknown", address="") == 1
    assert sum(sample == name for sample, _labels in samples) == 3


def test_several_have_their_pids() -> None:
    """Families stay in one piece; of one that does not answer there is that it is not ready."""
    silent = {"pid": 9, "ok": False, "error": "no answer within 5 s"}
    samples = read(openmetrics.render([fields(), fields(pid=8, child_pid=None), silent]))
    assert [value(samples, "rebound_up", pid=pid) for pid in ("7", "8")] == [1, 0]
    assert value(samples, "rebound_ready", pid="9") == 0
    assert sum(("pid", "9") in labels for _name, labels in samples) == 1
    assert all("pid" in dict(labels) for _name, labels in samples)


def test_no_sample_comes_twice() -> None:
    """Those of other containers that share the run directory may have one pid, and not answer."""
    silent = {"pid": 1, "ok": False, "error": "another user's"}
    assert read(openmetrics.render([silent, silent])) == {("rebound_ready", frozenset()): 0}


def test_an_earlier_version_tells_less() -> None:
    """What it does not count has no sample."""
    old = {name: None if name in status.SINCE_1_2 else text for name, text in fields().items()}
    names = {name for name, _labels in read(openmetrics.render([old]))}
    assert names == {"rebound_up", "rebound_ready", "rebound_adopted_processes"}


def test_none_is_a_text_without_samples() -> None:
    assert openmetrics.render([]) == "# EOF\n"
    assert read(openmetrics.render([])) == {}


def test_labels_bear_any_text() -> None:
    command = 'a"b\\c\nd\té\udcff{},="'
    samples = read(openmetrics.render([fields(command=command)]))
    [labels] = [dict(labels) for name, labels in samples if name == "rebound_info"]
    assert labels["command"] == command.replace("\udcff", "\\udcff")


@given(st.lists(st.fixed_dictionaries(WELL_FORMED), max_size=3))
def test_whatever_a_rebound_answers_can_be_read(rebounds: list[dict[str, object]]) -> None:
    """Any process may have written it."""
    read(openmetrics.render(rebounds))


def test_the_kinds_of_ends_are_those_of_the_issue() -> None:
    """They stay: alerts name them."""
    assert REASONS == ("exit", "signal", "oom", "hung", "unhealthy", "memory", "requested")
