"""The commands that the documents show work."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.documents import DOCUMENTS, RUN, blocks, text_of
from tests.helpers import DEADLINE, PID1, REBOUND

BLOCKS = [
    (document, block)
    for document in DOCUMENTS
    for marker, block in blocks(text_of(document), "sh")
    if marker == RUN
]

STAND_INS = ("my-daemon", "my-control-plane")
"""Commands of the reader's; these end well at once."""


@pytest.mark.parametrize(("document", "block"), BLOCKS)
def test_it_runs(document, block, tmp_path):
    for name in STAND_INS:
        program = tmp_path / name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    (tmp_path / "rebound").symlink_to(REBOUND)
    path = f"{tmp_path}:{os.environ['PATH']}"
    ended = subprocess.run(
        [*PID1, "bash", "-euo", "pipefail", "-c", block],
        cwd=tmp_path,
        env={"PATH": path},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, ""), (document, ended.stderr)
