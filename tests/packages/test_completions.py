"""The completions, in the shells themselves: what is typed, a tab, and the line that comes of it."""

from __future__ import annotations

import re
import shutil
import subprocess

import pexpect
import pytest

from rebound.options import OPTIONS
from tests.helpers import DEADLINE

COMMAND = "my-daemon-of-this-test"

BASH = ["bash", "--norc", "--noprofile", "-i"]
SHELLS = {
    "bash": (BASH, ["source {share}/bash-completion/completions/rebound"]),
    "bash-completion": (
        BASH,
        [
            "source /usr/share/bash-completion/bash_completion",
            "source {share}/bash-completion/completions/rebound",
        ],
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        ["fpath=({share}/zsh/site-functions $fpath)", "autoload -U compinit; compinit -u -D"],
    ),
    "fish": (
        ["fish", "--no-config", "-i"],
        ["source {share}/fish/vendor_completions.d/rebound.fish"],
    ),
}
"""How a shell is started, and what has it know the completions."""

SHOW = {
    "fish": "function rebound; printf '<%s>' $argv; echo; end",
    "": "rebound() { printf '<%s>' \"$@\"; echo; }",
}
"""A stand-in for rebound that shows its arguments: what a line has become."""

LINES = [
    ("--restart-d\t 1 true", ["--restart-delay", "1", "true"]),
    ("--restart on\t x", ["--restart", "on-failure", "x"]),
    ("--restart=al\t x", ["--restart=always", "x"]),
    ("--log-format js\t x", ["--log-format", "json", "x"]),
    ("--drain-signal WI\t x", ["--drain-signal", "WINCH", "x"]),
    ("-p WI\t x", ["-p", "WINCH", "x"]),
    ("-gp WI\t x", ["-gp", "WINCH", "x"]),
    ("--stop-signal QUIT,WI\t", ["--stop-signal", "QUIT,WINCH"]),
    ("--stop-signal=QUIT,WI\t", ["--stop-signal=QUIT,WINCH"]),
    ("-e 143,WI\t", ["-e", "143,WINCH"]),
    ("--rewrite WINCH:VT\t", ["--rewrite", "WINCH:VTALRM"]),
    ("--rewrite=WINCH:VT\t", ["--rewrite=WINCH:VTALRM"]),
    ("--log-file {files}/unu\t x", ["--log-file", "{files}/unusual.log", "x"]),
    ("--log-file={files}/unu\t x", ["--log-file={files}/unusual.log", "x"]),
    ("my-daemon-of\t", [COMMAND]),
    ("-d 1 -g my-daemon-of\t", ["-d", "1", "-g", COMMAND]),
    ("-- my-daemon-of\t", ["--", COMMAND]),
    ("--status my-daemon-of\t", ["--status", "my-daemon-of"]),  # a PID comes there
    # From the command on, the line is the command's.
    (f"{COMMAND} --restart-d\t", [COMMAND, "--restart-d"]),
    (f"{COMMAND} {{files}}/unu\t", [COMMAND, "{files}/unusual.log"]),
]
"""What is typed after `rebound `, and the words that rebound gets."""


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    directory = tmp_path_factory.mktemp("files")
    (directory / "unusual.log").touch()
    program = directory / COMMAND
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return directory


@pytest.fixture(params=SHELLS)
def shell(request, unpacked, files):
    """Return what types a line into a shell, and gives the words that rebound gets."""
    (name, *options), setup = SHELLS[request.param]
    program = shutil.which(name)
    assert program, f"{name} is not installed"
    environment = {
        "PATH": f"{files}:/usr/bin:/bin",
        "HOME": str(files),
        "TERM": "dumb",
        "LC_ALL": "C.UTF-8",
        "INPUTRC": "/dev/null",
        "PS1": "",
    }
    child = pexpect.spawn(
        program, options, env=environment, encoding="utf-8", timeout=DEADLINE, dimensions=(50, 500)
    )
    try:
        for line in setup:
            child.sendline(line.format(share=unpacked / "share"))
        child.sendline(SHOW.get(name, SHOW[""]))
        child.sendline("echo rea''dy")
        child.expect("\rready|\nready|ready\r")

        def type_line(line):
            child.sendline(f"rebound {line}")
            child.expect(r"(?:<[^<>]*>)+\r?\n")
            return re.findall("<([^<>]*)>", str(child.after))

        yield type_line
    finally:
        child.close(force=True)


def test_a_line_is_completed(shell, files):
    expected = {line: [word.format(files=files) for word in words] for line, words in LINES}
    assert {line: shell(line.format(files=files)) for line, _words in LINES} == expected


def test_fish_explains_the_options(unpacked):
    """Each of them, with the text of the table."""
    file = unpacked / "share/fish/vendor_completions.d/rebound.fish"
    command = f"source {file}; complete -C 'rebound --'"
    told = subprocess.run(["fish", "--no-config", "-c", command], capture_output=True, text=True)
    shown = dict(line.split("\t") for line in told.stdout.splitlines() if "\t" in line)
    for option in OPTIONS:
        long = option.spellings[-1]
        assert option.help in (shown.get(long), shown.get(f"{long}=")), long
