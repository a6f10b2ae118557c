"""A real Prometheus scrapes a command that crashes; the rules for its alerts say what they should."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.helpers import DEADLINE, JSON, REPOSITORY, eventually

KUBERNETES = REPOSITORY / "docs" / "kubernetes"
RULES = "prometheus-rules.yaml"
TESTS = "prometheus-rules.test.yaml"


def promtool(directory, *words):
    return subprocess.run(
        ["promtool", *words], cwd=directory, capture_output=True, text=True, timeout=DEADLINE
    )


def test_the_rules_are_right():
    checked = promtool(KUBERNETES, "check", "rules", RULES)
    assert checked.returncode == 0, checked
    tested = promtool(KUBERNETES, "test", "rules", TESTS)
    assert tested.returncode == 0, tested


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("> 4", "> 40"),
        ('{reason!="requested"}', ""),
        ("for: 5m", "for: 3m"),
        ("oom|memory", "oom"),
        ("log_dropped_total", "log_drops_total"),
        ("up{job", "down{job"),
    ],
)
def test_wrong_rules_are_found(tmp_path, right, wrong):
    """Negative control."""
    for name in (RULES, TESTS):
        shutil.copy(KUBERNETES / name, tmp_path)
    rules = (KUBERNETES / RULES).read_text()
    assert rules.count(right) == 1
    (tmp_path / RULES).write_text(rules.replace(right, wrong))
    assert promtool(tmp_path, "test", "rules", TESTS).returncode == 1


@pytest.fixture
def prometheus(tmp_path):
    """Start one that scrapes an address, with our rules; give what asks its API."""
    processes = []

    def start(address):
        (tmp_path / "prometheus.yml").write_text(f"""
global: {{scrape_interval: 100ms, scrape_timeout: 100ms, evaluation_interval: 100ms}}
rule_files: [{KUBERNETES / RULES}]
scrape_configs: [{{job_name: rebound, static_configs: [{{targets: ["{address}"]}}]}}]
""")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            where = f"127.0.0.1:{free.getsockname()[1]}"
        with open(tmp_path / "log", "wb") as log:
            command = [
                "prometheus",
                f"--config.file={tmp_path}/prometheus.yml",
                f"--storage.tsdb.path={tmp_path}/data",
                f"--web.listen-address={where}",
            ]
            processes.append(subprocess.Popen(command, stdout=log, stderr=log))

        def ask(path, **parameters):
            try:
                with urlopen(f"http://{where}/api/v1/{path}?{urlencode(parameters)}") as answer:
                    return json.load(answer)["data"]
            except OSError:  # it is starting; or an error, which comes again until the deadline
                return None

        return ask

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_prometheus_sees_a_command_that_crashes(start, prometheus):
    """Its counters grow, nothing of the format is refused, and the alert fires."""
    command = ["sh", "-c", "sleep 0.05; [ $(($REBOUND_RESTARTS % 2)) = 0 ] || kill -9 $$; exit 3"]
    rebound = start(*JSON, "-v", "-b0", "--http", "127.0.0.1:0", "--listen", "@prom", *command)
    [serving] = rebound.wait_until(lambda: rebound.events("serving"))
    ask = prometheus(serving["address"])

    def samples(query):
        data = ask("query", query=query) or {"result": []}
        return {tuple(one["metric"].items()): float(one["value"][1]) for one in data["result"]}

    def value(query):
        [found] = samples(query).values() or [0.0]
        return found

    eventually(lambda: value('rebound_exits_total{reason="exit"}') >= 3)
    assert value('rebound_exits_total{reason="signal"}') >= 2
    # Of one scrape: between two ends there is a start.
    assert value("sum(rebound_starts_total) - sum(rebound_exits_total)") in (0, 1)
    assert value('up{job="rebound"}') == 1
    assert value("time() - rebound_last_exit_time_seconds") < DEADLINE
    assert value("count(rebound_info)") == 1
    assert value('rebound_waiting_connections{fd="3"}') == 0
    [target] = ask("targets", state="active")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    [metadata] = ask("metadata", metric="rebound_exits")["rebound_exits"]
    assert metadata["type"] == "counter"

    def firing():
        alerts = (ask("alerts") or {"alerts": []})["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    assert eventually(firing) == {"ReboundCrashLoop"}
