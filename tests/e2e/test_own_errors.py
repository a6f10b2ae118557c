"""Bad input and refusals: one clear line, status 125; exec errors: 126 and 127."""

from __future__ import annotations

import os
import re
import signal

import pytest

from tests.helpers import JSON, events, run


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "no command given"),
        (["--"], "no command given"),
        (["-r"], "needs a value"),
        (["-r", "x", "true"], "not a whole number"),
        (["-r", "-1", "true"], "not a whole number"),
        (["-r", "3/soon", "true"], "not a time"),
        (["-d", "1d", "true"], "not a time"),
        (["-d", "nan", "true"], "not a time"),
        (["-d", "9" * 400, "true"], "not a time"),
        (["-n", "9" * 2000, "true"], "0 to 255"),
        (["-p", "9" * 2000, "true"], "not a signal"),
        (["-p", "9" * 5000, "true"], "2000 characters at most"),
        (["-b", "2.5", "true"], "not a whole number"),
        (["--restart", "sometimes", "true"], "on-failure, always, never"),
        (["-e", "256", "true"], "0 to 255"),
        (["-n", "", "true"], "neither an exit status"),
        (["--rewrite", "TERM", "true"], "FROM:TO"),
        (["--rewrite", "TERM:WRONG", "true"], "not a signal"),
        (["--drain-signal", "0", "true"], "not a signal"),
        (["-p", "65", "true"], "not a signal"),
        (["--wrong", "true"], "unknown option --wrong"),
        (["-qx", "true"], "unknown option -x"),
        (["--quiet=1", "true"], "takes no value"),
        ([""], "the command is an empty word"),
        (["--", ""], "the command is an empty word"),
        (["-0", "", "true"], "the command is an empty word"),
        (["-0 true"], 'write each as a word of its own: ["-0", "true"]'),
    ],
)
def test_bad_option(args, says):
    result = run(*args)
    assert result.returncode == 125
    assert re.fullmatch(f"rebound: [^\n]*{re.escape(says)}[^\n]*\n", result.stderr)
    assert result.stdout == ""


@pytest.mark.parametrize(
    "value", ["-r x", "true", "--wrong", "''", "--health-cmd 'curl -f", "-0\\"]
)
def test_bad_options_variable(value):
    """The line says where the mistake is."""
    result = run("true", env={"REBOUND_OPTIONS": value})
    assert result.returncode == 125
    assert re.fullmatch("rebound: REBOUND_OPTIONS[^\n]*\n", result.stderr)


def test_a_value_with_blanks_in_the_options_variable():
    options = "-q --health-interval 10ms --health-retries 1 -r 1 --health-cmd 'exit  3'"
    result = run(*JSON, "-v", "sleep", "1000", env={**os.environ, "REBOUND_OPTIONS": options})
    assert events(result.stderr, "health_failed")[0]["msg"].endswith("exited with status 3")


def test_help_and_version_go_to_stdout():
    assert run("--help").stdout.startswith("usage: rebound [options]")
    assert re.fullmatch(r"rebound \d+\.\d+\.\d+\n", run("--version").stdout)
    with open("/dev/full", "wb") as full:
        assert run("--help", stdout=full, capture_output=False).returncode == 125


@pytest.mark.parametrize("words", [("-v", "--version"), ("--version", "--verbose")])
def test_the_version_with_what_it_is_made_of(words):
    version, commit, python = run(*words).stdout.splitlines()
    assert f"{version}\n" == run("--version").stdout
    assert re.fullmatch(r"commit (unknown|[0-9a-f]{40}(-dirty)?)", commit)
    assert re.fullmatch(r"Python 3\.\d+\.\d+", python)


def test_the_licences_in_short():
    text = run("--license").stdout
    assert text.startswith(run("--version").stdout)
    for name in ("Apache License 2.0", "python-prctl", "CPython", "glibc", "libffi", "libcap"):
        assert name in text
    assert max(map(len, text.splitlines())) <= 80


def test_command_not_found():
    result = run(*JSON, "no-such-command", "x")
    assert result.returncode == 127
    [failed] = events(result.stderr, "exec_failed")
    assert (failed["command"], failed["error"]) == ("no-such-command", "No such file or directory")
    assert run("/no/such/command").returncode == 127


HINT = " (one word with blanks: write each word by itself)"


@pytest.mark.parametrize("word", ["no-such-command --flag", "no-such\tcommand"])
def test_a_command_that_is_one_word_with_blanks_and_not_found(word):
    """As in an image: ENTRYPOINT ["rebound", "my-daemon --flag"]."""
    result = run(*JSON, word)
    assert result.returncode == 127
    [line] = events(result.stderr, "exec_failed")
    assert line["error"] == "No such file or directory"
    assert line["msg"].endswith(HINT)


def test_words_with_blanks_that_need_no_hint(tmp_path):
    """Not of the arguments; nor of a program with such a name that is there."""

    def hinted(*args):
        result = run(*JSON, *args)
        failed = events(result.stderr, "exec_failed")
        return result.returncode, any(line["msg"].endswith(HINT) for line in failed)

    assert hinted("no-such-command", "a b") == (127, False)
    program = tmp_path / "my program"
    program.write_text("")
    assert hinted(program) == (126, False)
    program.write_text('#!/bin/sh\nrm "$0"\nexit 1\n')
    program.chmod(0o755)
    assert hinted("-r", 2, program) == (127, False)


def test_command_not_executable(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    result = run(*JSON, plain)
    assert result.returncode == 126
    [failed] = events(result.stderr, "exec_failed")
    assert (failed["command"], failed["error"]) == (str(plain), "Permission denied")
    assert run(tmp_path).returncode == 126
    plain.write_bytes(b"\x7fELF nonsense")
    plain.chmod(0o755)
    result = run(*JSON, plain)
    assert result.returncode == 126
    [failed] = events(result.stderr, "exec_failed")
    assert failed["error"] == "Exec format error"


def test_exec_failing_on_a_restart_is_a_failure_with_back_off(tmp_path, start):
    """The binary is gone while it is being replaced."""
    command = tmp_path / "command"

    def install(text):
        new = tmp_path / "new"
        new.write_text(text)
        new.chmod(0o755)
        new.rename(command)

    install(f"#!/bin/sh\nrm {command}\nexit 1\n")
    rebound = start(*JSON, "--max-delay", "50ms", command)
    failed = rebound.wait_until(lambda: rebound.events("exec_failed")[2:])[0]
    assert (failed["command"], failed["error"]) == (str(command), "No such file or directory")
    assert len(rebound.events("delayed")) >= 2
    install("#!/bin/sh\nexit 0\n")
    assert rebound.wait() == 0


def test_a_stop_ends_a_loop_of_failing_execs(tmp_path, start):
    command = tmp_path / "command"
    command.write_text(f"#!/bin/sh\nrm {command}\nexit 1\n")
    command.chmod(0o755)
    rebound = start(*JSON, "--max-delay", 0, command)
    rebound.wait_until(lambda: len(rebound.events("exec_failed")) >= 10)
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143


def test_exec_failing_on_restarts_counts_towards_the_maximum(tmp_path):
    command = tmp_path / "command"
    command.write_text(f"#!/bin/sh\nrm {command}\nexit 1\n")
    command.chmod(0o755)
    result = run(*JSON, "-r", 3, "--max-delay", "1ms", command)
    assert result.returncode == 127
    assert len(events(result.stderr, "exec_failed")) == 3


def test_options_end_at_two_dashes():
    assert run("--", "-r").returncode == 127
