"""The manual page rebound(1), in mdoc(7): the table of options, and the words of --help."""

from __future__ import annotations

import re
import textwrap
import time

from images.packages.completions import fill
from images.packages.project import AUTHOR, URLS, commit_time
from rebound.options import OPTIONS, Option, format_help

WIDTH = 70
"""Of the lines of the source: `mandoc -T lint` wants less than 80, escapes included."""

MONTHS = "January February March April May June July August September October November December"
"""Not of the locale."""


def escape(text: str) -> str:
    """Return text that roff(7) shows as it is."""
    text = text.replace("\\", "\\e").replace("…", "...")
    text = re.sub(r"(?<![A-Za-z0-9])-", r"\\-", text)  # a sign or an option, not a hyphen
    return re.sub(r"^([.'])", r"\\&\1", text)


def prose(text: str) -> str:
    """Return text lines: a new one for each sentence, as mdoc(7) asks for."""
    sentences = re.split(r"(?<=[.:])\s+(?=[A-Z]|rebound)", " ".join(text.split()))
    lines = [line for sentence in sentences for line in textwrap.wrap(sentence, WIDTH)]
    return "\n".join(escape(line) for line in lines)


def synopsis(usage: str) -> str:
    """Return the macros for one line of the usage: `rebound --status [--json] [PID]`."""
    name, *words = re.findall(r"\[[^]]*\]|\S+", usage)
    macros = [f".Nm {name}"]
    for word in words:
        inner = " ".join(map(argument, word.strip("[]").split()))
        macros.append(f".Op {inner}" if word.startswith("[") else f".{inner}")
    return "\n".join(macros)


def argument(word: str) -> str:
    """Return the macro for one word of the usage."""
    if word == "|":
        return word
    return f"Fl {escape(word[1:])}" if word.startswith("-") else f"Ar {escape(word)}"


def item(option: Option) -> str:
    """Return the entry of one option."""
    value = f" Ar {escape(option.metavar)}" if option.metavar else ""
    flags = " , ".join(f"Fl {escape(spelling[1:])}{value}" for spelling in option.spellings)
    return f".It {flags}\n{prose(option.help)}"


def manual() -> str:
    """Return the page."""
    usage, summary, _options, *rest = format_help().rstrip("\n").split("\n\n")
    notes, _, status = "\n".join(rest).partition("Exit status: ")
    day = time.gmtime(commit_time())
    return fill(
        "rebound.1.in",
        date=f"{MONTHS.split()[day.tm_mon - 1]} {day.tm_mday}, {day.tm_year}",
        synopsis="\n".join(map(synopsis, usage.removeprefix("usage:").strip().split("\n"))),
        summary=prose(summary),
        options="\n".join(map(item, OPTIONS)),
        notes=prose(notes),
        status=prose(status[0].upper() + status[1:]),
        documentation=URLS["Documentation"],
        author=AUTHOR,
    )
