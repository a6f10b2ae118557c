"""Records the picture at the top of the README: `python -m tests.demo`, as root, with rebound in PATH.

A real shell in a PID namespace of its own runs the real program; only the colours are ours.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator

import pexpect

from tests.helpers import DEADLINE, PID1, REPOSITORY

PICTURE = REPOSITORY / "docs/terminal.svg"
WIDTH = 100
"""Columns."""

PROMPT = "$ "

TYPED = (
    ("rebound docs/demo/control-plane &", r"restarting \(2\).*still runs"),
    ("rebound --status", r"control-plane.*\n"),
    ("kill %1; wait %1; echo exit status $?", r"exit status \d+"),
)
"""What is typed, and what is awaited, as a pattern, before the next is."""

DIFFERS = re.compile(r"\b\d[\d.]*(?:ms|s| MB)?\b(?<!143)")
"""Pids, times and sizes; 143 is the exit status."""


def record(rebound: str) -> list[str]:
    """Return the lines that a terminal shows."""
    with tempfile.TemporaryDirectory() as directory:
        os.symlink(rebound, f"{directory}/rebound")
        environment = {
            "HOME": directory,
            "LANG": "C.UTF-8",
            "PATH": f"{directory}:/usr/bin:/bin",
            "PS1": PROMPT,
            "REBOUND_RUN_DIR": f"{directory}/run",
            "TERM": "dumb",
        }
        command = [*PID1, "bash", "--norc", "--noediting"]
        with pexpect.spawn(
            command[0],
            command[1:],
            cwd=REPOSITORY,
            dimensions=(40, WIDTH),
            encoding="utf-8",
            env=environment,
            timeout=DEADLINE,
        ) as shell:
            shell.logfile_read = shown = io.StringIO()
            shell.expect_exact(PROMPT)
            for line, awaited in TYPED:
                shell.sendline()  # for a prompt below what was written meanwhile
                shell.expect_exact(f"\n{PROMPT}")
                shell.sendline(line)
                shell.expect(f"(?s){awaited}")
            shell.expect_exact(PROMPT)
            shell.sendline("exit")
            shell.expect(pexpect.EOF)
    return [*_tidied(shown.getvalue())]


def _tidied(text: str) -> Iterator[str]:
    """Leave out prompts without a command, and what is not about rebound."""
    typed = [line for line, _awaited in TYPED]
    for line in text.replace("\r", "").split("\n"):
        words = line.replace(PROMPT, "")
        if words in typed:
            yield f"{PROMPT}{words}"
        elif words and words != "exit" and not words.startswith("[1]"):
            yield words


def steady(text: str) -> str:
    """Return the text without what differs each time, and with single blanks."""
    return " ".join(DIFFERS.sub("N", text).split())


def draw(lines: list[str]) -> str:
    """Return the picture."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for line in lines:
        style = "bold" if line.startswith(PROMPT) else "cyan" if line.startswith("rebound:") else ""
        console.print(Text(line, style))
    return str(console.export_svg(title="rebound", unique_id="terminal"))


def main() -> int:
    """Record, and draw."""
    rebound = shutil.which(os.environ.get("REBOUND", "rebound"))
    if not rebound:
        print("no rebound found", file=sys.stderr)
        return 1
    PICTURE.write_text(draw(record(rebound)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
