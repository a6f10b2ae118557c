"""The wheels that are built of locked requirements."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
import venv

import pytest
from packaging.requirements import Requirement

from tests.helpers import PYTHON, REPOSITORY
from tests.package.test_installation import pip, works


@pytest.fixture
def checkout(tmp_path):
    """Return a checkout of our own, of what a wheel is built of."""
    copy = tmp_path / "checkout"
    for name in ("rebound", "images/wheel"):
        shutil.copytree(REPOSITORY / name, copy / name)
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(REPOSITORY / name, copy)
    return copy


def build(checkout):
    command = [checkout / "images/wheel/build.sh", PYTHON[0]]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True)


def test_the_wheels_are_all_that_an_installation_takes(checkout, tmp_path):
    assert build(checkout).returncode == 0
    venv.create(tmp_path / "venv", with_pip=True)
    options = ("-q", "--no-index", "--find-links", checkout / "dist")
    pip("install", *options, "rebound-init", python=tmp_path / "venv/bin/python")
    assert works(tmp_path / "venv/bin/rebound")


@pytest.mark.parametrize(("locked", "project"), [("build", "hatchling"), ("run", "python-prctl")])
def test_another_file_than_the_locked_one_is_not_built_of(checkout, locked, project):
    file = checkout / f"images/wheel/{locked}.txt"
    [entry] = re.findall(rf"^{project}==(?:.*\\\n)+.*", file.read_text(), re.MULTILINE)
    other = re.sub(r"sha256:\w+", "sha256:" + "0" * 64, entry)
    file.write_text(file.read_text().replace(entry, other))
    result = build(checkout)
    assert result.returncode == 1
    assert "DO NOT MATCH THE HASHES" in result.stderr
    assert not list(checkout.glob("dist/*.whl"))


def test_the_locked_versions_are_what_the_project_asks_for():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    required = project["build-system"]["requires"]
    assert set(required) <= set(project["dependency-groups"]["build"])
    for name, requirements in (("build", required), ("run", project["project"]["dependencies"])):
        text = (REPOSITORY / f"images/wheel/{name}.txt").read_text()
        locked = dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))
        for requirement in map(Requirement, requirements):
            assert locked[requirement.name] in requirement.specifier
