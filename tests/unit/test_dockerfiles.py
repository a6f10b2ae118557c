"""What the images are built on does not change by itself."""

from __future__ import annotations

import re
from pathlib import Path

DOCKERFILES = sorted((Path(__file__).parents[2] / "images").glob("*/Dockerfile"))
ARGUMENT = r"^ARG (\w+)=(\S+)$"


def test_each_base_is_a_build_argument_with_a_digest() -> None:
    assert len(DOCKERFILES) == 4
    for path in DOCKERFILES:
        text = path.read_text()
        arguments = dict(re.findall(ARGUMENT, text, re.MULTILINE))
        bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
        assert [base for base in bases if base != "scratch"] == [f"${{{a}}}" for a in arguments]
        for base in arguments.values():
            assert re.fullmatch(r"[a-z]+:[\w.-]*\d[\w.-]*@sha256:[0-9a-f]{64}", base), path


def test_the_dockerfiles_agree_on_their_bases() -> None:
    found: dict[str, set[str]] = {}
    for path in DOCKERFILES:
        for argument, base in re.findall(ARGUMENT, path.read_text(), re.MULTILINE):
            found.setdefault(argument, set()).add(base)
    assert {argument: len(bases) for argument, bases in found.items()} == dict.fromkeys(found, 1)
