"""The whole machine: what is kept for the next time, what is put into it, and its report."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.distros import REPOSITORY
from tests.kernels import judge
from tests.kernels.scenarios import Scenario
from tests.machine import __main__ as machine
from tests.machine import cache
from tests.machine.scenarios import END, MACHINES

ALL = [*(scenario for lanes in MACHINES.values() for lane in lanes for scenario in lane), END]


@pytest.fixture
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cache, "CACHE", tmp_path / "cache")


def test_digests_tell_where_a_text_ends() -> None:
    assert cache.digest("ab", "c") == cache.digest("ab", "c")
    assert len({cache.digest(*parts) for parts in (("ab", "c"), ("a", "bc"), ("abc",), ())}) == 4


def test_a_digest_of_files_is_of_names_and_contents(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cache, "REPOSITORY", tmp_path)
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    file.write_text("1")
    found = [cache.digest_of_files([folder, file])]
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/x.pyc").write_text("not counted")
    assert cache.digest_of_files([folder, file]) == found[0]
    (folder / "a").write_text("1")
    found.append(cache.digest_of_files([folder, file]))
    (folder / "a").rename(folder / "b")
    found.append(cache.digest_of_files([folder, file]))
    file.write_text("2")
    found.append(cache.digest_of_files([folder, file]))
    assert len(set(found)) == 4


@pytest.mark.usefixtures("_own_cache")
def test_what_is_kept_is_made_once_for_each_key(capsys: pytest.CaptureFixture[str]) -> None:
    def make(directory: Path) -> None:
        (directory / "file").touch()

    first = cache.kept("disk", "1", make)
    assert [file.name for file in first.iterdir()] == ["file"]
    assert cache.kept("disk", "1", make) == first
    assert capsys.readouterr().out.count("making") == 1
    other = cache.kept("other", "1", make)
    second = cache.kept("disk", "2", make)
    assert sorted(cache.CACHE.iterdir()) == sorted([other, second])
    cache.kept("disk", "2", make, renew=True)
    assert capsys.readouterr().out.count("making") == 3


@pytest.mark.usefixtures("_own_cache")
def test_of_what_could_not_be_made_nothing_is_kept() -> None:
    def fail(_directory: Path) -> None:
        raise OSError

    with pytest.raises(OSError, match=r"^$"):
        cache.kept("disk", "1", fail)
    assert list(cache.CACHE.iterdir()) == []


def test_the_marks_of_all_scenarios_can_be_told_apart() -> None:
    names = [scenario.name for scenario in ALL]
    assert len(set(names)) == len(names)
    log = "".join(f"@@ {s.name}: {mark}\r\n" for s in reversed(ALL) for mark in s.marks)
    assert list(judge.problems(ALL, log)) == []
    assert len(list(judge.problems(ALL, ""))) == len(ALL)


@pytest.mark.parametrize("scenario", ALL[:-1], ids=lambda scenario: scenario.name)
def test_the_shell_understands_each_scenario(scenario: Scenario) -> None:
    subprocess.run(["sh", "-n"], input=scenario.script, text=True, check=True)


def test_each_program_and_unit_is_used() -> None:
    texts = [scenario.script for scenario in ALL]
    texts += [path.read_text() for path in machine.GUEST.rglob("*") if path.is_file()]
    text = "\n".join(texts)
    for program in (machine.GUEST / "programs").iterdir():
        assert f"/opt/tests/programs/{program.name}" in text, program
    for unit in (machine.GUEST / "units").iterdir():
        assert re.search(rf"\b{unit.stem}\b", "\n".join(texts[: len(ALL)])), unit


def test_the_second_disk_has_what_is_played(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one_file = tmp_path / "one file"
    one_file.touch()
    monkeypatch.setattr("tests.kernels.machine.one_file", lambda _architecture: one_file)
    archive = machine.make_archive([[Scenario("crash", "true", ())]], tmp_path)
    names = subprocess.run(["tar", "--list", "--file", archive], capture_output=True, text=True)
    assert {
        "./opt/tests/play",
        "./opt/tests/lanes/0/00-crash",
        "./etc/systemd/system/store.service",
        "./etc/containers/systemd/sdnotify.container",
        "./usr/local/bin/rebound",
    } <= set(names.stdout.splitlines())


def test_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.kernels.machine.qemu_version", lambda _architecture: "7.2")
    facts = {"kernel": "6.12", "systemd": "257"}
    results = [
        machine.Result("systemd", facts, 99.4, ["store: what is wrong"]),
        machine.Result("podman", {}, 120.0, []),
    ]
    lines = list(machine.report(results))
    assert "| systemd | 6.12 | 257 | ? | ? | 1 | 99 |" in lines
    assert "| podman | ? | ? | ? | ? | 0 | 120 |" in lines
    assert lines[-1] == "- store: what is wrong"


def test_what_is_played_may_be_chosen() -> None:
    assert [[s.name for s in lane] for lane in machine.lanes_of("podman", ["pod"])] == [["pod"]]
    assert machine.lanes_of("systemd", ["pod"]) == []


def test_the_digests_are_of_files_that_exist() -> None:
    from tests.machine import image

    assert all((REPOSITORY / name).exists() for name in image.SOURCES)
