"""Completions for bash, zsh and fish, of the table of options.

What a shell needs to know of each option comes from the table; how it asks is in the templates
beside this file.
"""

from __future__ import annotations

from pathlib import Path

from images.packages.values import Values, taking_values, values_of
from rebound.options import OPTIONS, RESTART_NOW, STATUS, Option

HERE = Path(__file__).parent

ASKING = (f"--{STATUS}", f"--{RESTART_NOW}")
"""The options after which a PID comes instead of a command."""


SHORT = "".join(spelling[1] for spelling in taking_values() if not spelling.startswith("--"))
"""The letters of options that take a value: the last of a cluster waits for it."""


def quote(text: str) -> str:
    """Return one word for a shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def fill(template: str, **parts: str) -> str:
    """Return a template with its lines and words `@name@` filled in."""
    text = (HERE / template).read_text()
    for name, part in parts.items():
        text = text.replace(f"@{name}@", part)
    return text


def bash() -> str:
    """Return the completions for bash, 4 or later."""
    cases = []
    for option in OPTIONS:
        values = values_of(option)
        if not option.metavar:
            continue
        pattern = " | ".join(option.spellings)
        words = quote(" ".join(values.words))
        how = f"files={int(values.files)} separator={quote(values.separator)}"
        cases.append(f"\t{pattern}) words={words} {how} ;;\n")
    return fill(
        "rebound.bash",
        spellings=" ".join(spelling for option in OPTIONS for spelling in option.spellings),
        valued=" | ".join(taking_values()),
        short=SHORT,
        asking=" | ".join(ASKING),
        cases="".join(cases).rstrip("\n"),
    )


def zsh() -> str:
    """Return the completions for zsh."""
    return fill("rebound.zsh", options="\n".join(f"\t{_zsh_option(o)} \\" for o in OPTIONS))


def _zsh_option(option: Option) -> str:
    spellings = [
        spelling + (("=" if spelling.startswith("--") else "+") if option.metavar else "")
        for spelling in option.spellings
    ]
    text = "[" + option.help.replace("\\", "\\\\").replace("]", "\\]") + "]"
    if option.metavar:
        name = option.metavar.replace(":", "\\:")
        text += f":{name}:{_zsh_action(values_of(option))}"
    names = "{" + ",".join(spellings) + "}" if len(spellings) > 1 else spellings[0]
    return f"'*'{names}{quote(text)}"


def _zsh_action(values: Values) -> str:
    words = " ".join(values.words)
    if values.files:
        return "_files"
    if values.separator:
        most = f"-n {values.most} " if values.most else ""
        separator = values.separator.replace(":", "\\:")
        return f"_sequence -s {separator} {most}compadd - {words}"
    return f"({words})" if words else " "


def fish() -> str:
    """Return the completions for fish."""
    lines = []
    for option in OPTIONS:
        words = ["complete -c rebound -n 'not __rebound_has_command'"]
        for spelling in option.spellings:
            long = spelling.startswith("--")
            words.append(f"-l {spelling[2:]}" if long else f"-s {spelling[1:]}")
        if option.metavar:
            words.append(_fish_value(values_of(option)))
        words.append(f"-d {_fish_quote(option.help)}")
        lines.append(" ".join(words))
    return fill(
        "rebound.fish",
        valued=" ".join(taking_values()),
        short=SHORT,
        asking=" ".join(ASKING),
        options="\n".join(lines),
    )


def _fish_value(values: Values) -> str:
    words = " ".join(values.words)
    if values.files:
        return "-r -F"
    if values.separator:
        return f"-x -a {_fish_quote(f'(__rebound_list {values.separator} {words})')}"
    return f"-x -a {_fish_quote(words)}" if words else "-x"


def _fish_quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


FILES = {
    "share/bash-completion/completions/rebound": bash,
    "share/zsh/site-functions/_rebound": zsh,
    "share/fish/vendor_completions.d/rebound.fish": fish,
}
"""Where the shells look below the prefix, and what is to be there."""
