"""What the images are built on does not change by itself."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import rebound

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "images").glob("*/Dockerfile"))
ARGUMENT = r"^ARG (\w+)=(\S+)$"


def test_each_base_is_a_build_argument_with_a_digest() -> None:
    assert len(DOCKERFILES) == 4
    for path in DOCKERFILES:
        text = path.read_text()
        arguments = dict(re.findall(ARGUMENT, text, re.MULTILINE))
        bases = re.findall(r"^FROM (?:--platform=\S+ )?(\S+)", text, re.MULTILINE)
        assert [base for base in bases if base != "scratch"] == [f"${{{a}}}" for a in arguments]
        for base in arguments.values():
            assert re.fullmatch(r"[a-z]+:[\w.-]*\d[\w.-]*@sha256:[0-9a-f]{64}", base), path


def test_the_dockerfiles_agree_on_their_bases() -> None:
    found: dict[str, set[str]] = {}
    for path in DOCKERFILES:
        for argument, base in re.findall(ARGUMENT, path.read_text(), re.MULTILINE):
            found.setdefault(argument, set()).add(base)
    assert {argument: len(bases) for argument, bases in found.items()} == dict.fromkeys(found, 1)


def test_workflows_run_on_the_same_base() -> None:
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    [base] = set(re.findall(r"^ +image: (\S+)$", workflow, re.MULTILINE))
    assert f"ARG DEBIAN={base}\n" in DOCKERFILES[0].read_text()


def test_the_labels_are_what_the_project_says() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for path in DOCKERFILES:
        label = r'^(?:LABEL|     ) org\.opencontainers\.image\.(\w+)="(.*?)"'
        labels = dict(re.findall(label, path.read_text(), re.MULTILINE))
        assert labels["version"] == rebound.__version__
        assert labels["source"] == project["urls"]["Source"]
        assert labels["licenses"] == "GPL-3.0-or-later"
        assert labels["revision"] == "${REVISION:-unknown}"
        if labels["title"] == "rebound":
            assert labels["description"] == project["description"]


def test_the_build_stages_are_one() -> None:
    stages = {
        text.partition(" AS build\n")[2].partition("\nFROM ")[0]
        for text in (path.read_text() for path in DOCKERFILES)
        if " AS build\n" in text
    }
    assert len(stages) == 1
