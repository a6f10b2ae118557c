"""What is written for people: the documents, and the commands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from rebound import options

ROOT = Path(__file__).parents[1]

DOCUMENTS = ["README.md", ".github/CONTRIBUTING.md", ".github/SECURITY.md"]
DOCUMENTS += sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))

RUN = "run"
"""The marker above a block of commands that tests/e2e/test_documents.py runs."""

NOT_RUN = "not run: "
"""How a marker begins that says why no test runs the block."""

FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")

_BLOCK = re.compile(r"^(?:<!-- (.*?) -->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXEC_FORM = re.compile(r"^(?:ENTRYPOINT|CMD|HEALTHCHECK CMD) (\[.*?\])$", re.MULTILINE)


def text_of(document: str) -> str:
    return (ROOT / document).read_text()


def blocks(text: str, *languages: str) -> Iterator[tuple[str, str]]:
    """The marker and the text of each fenced block in these languages."""
    for marker, language, block in _BLOCK.findall(text):
        if language in languages:
            yield marker, block


def lines_of_rebound(text: str) -> Iterator[str]:
    """Each command line of rebound's that a document shows, as a shell reads it."""
    for _marker, block in blocks(text, "Dockerfile"):
        for words in _EXEC_FORM.findall(block):
            yield words.strip("[]").replace(", ", " ")
    for _marker, block in blocks(text, "sh", "ini", ""):
        yield from re.findall(r"^(?:\$ |ExecStart=)?(rebound .*)$", block, re.MULTILINE)
    yield from (code for code in CODE.findall(FENCE.sub("", text)) if code.startswith("rebound "))


def mistake_in(line: str) -> str:
    """What rebound would say against a command line of its own; empty if nothing."""
    words = options.split_words(line)
    if not words or words[0].rpartition("/")[2] != "rebound":
        return ""
    try:
        rest = options.parse(words[1:], {})
        options.parse(rest[1:] if "--status" in words or "--restart-now" in words else [], {})
    except options.UsageError as error:
        return f"{line}: {error}"
    return ""
