"""The command line: every option, every mistake, and where the options end."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebound import options
from rebound.core.config import Config, conflict_in
from rebound.core.exitstatus import StatusSet
from rebound.options import (
    ACTION,
    GROUPS,
    JSON,
    OPENMETRICS,
    OPTIONS,
    UsageError,
    format_help,
    parse,
)

FLAGS = [
    ("--fresh",),
    ("-0", "--restart-on-zero"),
    ("-g", "--own-group"),
    ("-G", "--signal-group"),
    ("-k", "--kill-group"),
    ("-q", "--quiet"),
    ("-v", "--verbose"),
    ("-h", "--help"),
    ("--version",),
    ("--license",),
    ("--notify",),
    ("--status",),
    ("--restart-now",),
    ("--json",),
    ("--openmetrics",),
    ("--log-reopen",),
]
VALUED = [
    ("--restart",),
    ("-r", "--max-restarts"),
    ("-d", "--restart-delay"),
    ("-b", "--burst"),
    ("--max-delay",),
    ("--reset-after",),
    ("-e", "--success"),
    ("-n", "--no-restart"),
    ("--force-restart",),
    ("--max-runtime",),
    ("--max-memory",),
    ("--stop-signal",),
    ("--rewrite",),
    ("--drain-signal",),
    ("--listen",),
    ("--fd-store",),
    ("--stop-timeout",),
    ("-p", "--parent-death-signal"),
    ("--watchdog",),
    ("--http",),
    ("--health-cmd",),
    ("--health-http",),
    ("--health-tcp",),
    ("--health-interval",),
    ("--health-timeout",),
    ("--health-start-period",),
    ("--health-retries",),
    ("--oom-score-adj",),
    ("--termination-log",),
    ("--log-format",),
    ("--log-file",),
]
SPELLINGS = [spelling for option in FLAGS + VALUED for spelling in option]
VALUED_SPELLINGS = [spelling for option in VALUED for spelling in option]
LONG_FLAGS = [option[-1] for option in FLAGS]


def settings_of(*words: str) -> dict[str, Any]:
    """What these options set."""
    settings: dict[str, Any] = {}
    assert parse([*words, "command"], settings) == ["command"]
    return settings


def statuses(*codes: int, signals: tuple[int, ...] = ()) -> StatusSet:
    """A status set."""
    return StatusSet(frozenset(codes), frozenset(signals))


def test_the_options_are_the_documented_ones() -> None:
    """All of them, no more, and each takes a value or not."""
    flags = [option.spellings for option in OPTIONS if not option.metavar]
    valued = [option.spellings for option in OPTIONS if option.metavar]
    assert sorted(flags) == sorted(FLAGS)
    assert sorted(valued) == sorted(VALUED)


EFFECTS: list[tuple[str, dict[str, Any]]] = [
    ("-0", {"restart": "always"}),
    ("--restart-on-zero", {"restart": "always"}),
    ("--restart never", {"restart": "never"}),
    ("-r 3", {"max_restarts": 3, "max_restarts_window": None}),
    ("--max-restarts 3/1m", {"max_restarts": 3, "max_restarts_window": 60}),
    ("-d 1.5", {"restart_delay": 1.5}),
    ("--restart-delay 500ms", {"restart_delay": 0.5}),
    ("-b 0", {"burst": 0}),
    ("--burst 3", {"burst": 3}),
    ("--max-delay 5m", {"max_delay": 300}),
    ("--reset-after 1h", {"reset_after": 3600}),
    ("-e 143,INT", {"success": statuses(143, signals=(2,))}),
    ("--success 1", {"success": statuses(1)}),
    ("-n 78,SIGQUIT", {"no_restart": statuses(78, signals=(3,))}),
    ("--no-restart 1", {"no_restart": statuses(1)}),
    ("-g", {"own_group": True}),
    ("--own-group", {"own_group": True}),
    ("-G", {"signal_group": True}),
    ("--signal-group", {"signal_group": True}),
    ("-k", {"kill_group": True}),
    ("--kill-group", {"kill_group": True}),
    ("--rewrite TERM:INT", {"rewrite": ((15, 2),)}),
    ("--fresh", {"fresh": True}),
    ("--stop-signal USR1,RTMIN+3", {"stop_signals": frozenset({10, 37})}),
    ("--drain-signal INT", {"drain_signal": 2}),
    ("--listen :80 --listen api=@api", {"listen": (":80", "api=@api")}),
    ("--fd-store 4", {"fd_store": 4}),
    ("--stop-timeout 5s", {"stop_timeout": 5}),
    ("-p TERM", {"parent_death_signal": 15}),
    ("--parent-death-signal 9", {"parent_death_signal": 9}),
    ("-q", {"verbosity": "quiet"}),
    ("--quiet", {"verbosity": "quiet"}),
    ("-v", {"verbosity": "verbose"}),
    ("--verbose", {"verbosity": "verbose"}),
    ("--watchdog 10s", {"watchdog": 10}),
    ("--notify", {"notify": True}),
    ("--force-restart 0,TERM", {"force_restart": StatusSet(frozenset({0}), frozenset({15}))}),
    ("--max-runtime 12h", {"max_runtime": 43200}),
    ("--http :9180", {"http": ":9180"}),
    ("--health-cmd true", {"health_command": "true"}),
    ("--health-http http://[::1]:80/x", {"health_http": "http://[::1]:80/x"}),
    ("--health-tcp localhost:80", {"health_tcp": "localhost:80"}),
    ("--health-interval 5s", {"health_interval": 5}),
    ("--health-timeout 500ms", {"health_timeout": 0.5}),
    ("--health-start-period 0", {"health_start_period": 0}),
    ("--health-retries 1", {"health_retries": 1}),
    ("--oom-score-adj -1000", {"oom_score_adj": -1000}),
    ("--max-memory 512M", {"max_memory": "512M"}),
    ("--termination-log=", {"termination_log": ""}),
    ("--log-format json", {"log_format": "json"}),
    ("--log-file /log", {"log_file": "/log"}),
    ("--log-reopen", {"log_reopen": True}),
    ("--status", {ACTION: options.STATUS}),
    ("--restart-now", {ACTION: options.RESTART_NOW}),
    ("--json", {JSON: True}),
    ("--openmetrics", {OPENMETRICS: True}),
    ("-h", {ACTION: options.HELP}),
    ("--help", {ACTION: options.HELP}),
    ("--version", {ACTION: options.VERSION}),
    ("--license", {ACTION: options.LICENSE}),
]


@pytest.mark.parametrize(("line", "settings"), EFFECTS)
def test_what_an_option_sets(line: str, settings: dict[str, Any]) -> None:
    """Exactly that, and Config takes it."""
    assert settings_of(*line.split()) == settings
    Config(**{name: settings[name] for name in settings.keys() - {ACTION, JSON, OPENMETRICS}})


def test_stop_signals_add_up() -> None:
    """As all lists do."""
    words = ["--stop-signal", "QUIT", "--stop-signal=USR1,QUIT"]
    assert settings_of(*words) == {"stop_signals": frozenset({3, 10})}


def test_every_spelling_is_tried_above() -> None:
    """A new option needs a line there."""
    assert sorted(re.split("[ =]", line)[0] for line, _ in EFFECTS) == sorted(SPELLINGS)


# --- How options are written ----------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("-0g", "-0 -g"),
        ("-r3", "-r 3"),
        ("-r3/1m", "-r 3/1m"),
        ("-0gGkr3", "-0 -g -G -k -r 3"),
        ("-0r 3 -g", "-0 -r 3 -g"),
        ("-rd3", "-r d3"),
        ("--max-restarts=3", "-r 3"),
        ("--rewrite=TERM:0", "--rewrite TERM:0"),
    ],
)
def test_clusters_and_attached_values(line: str, same: str) -> None:
    """Short flags may share a dash, a value may follow its option at once."""

    def outcome(text: str) -> object:
        try:
            return settings_of(*text.split())
        except UsageError as error:
            return str(error)

    assert outcome(line) == outcome(same)


@pytest.mark.parametrize("value", ["-1", "--", "--help", "-"])
def test_the_word_after_an_option_is_its_value(value: str) -> None:
    """Even if it looks like an option: so it is refused, not taken for something else."""
    with pytest.raises(UsageError, match=re.escape(repr(value))):
        parse(["-r", value, "command"], {})


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["-g", "sh", "-c", "exit 1"], ["sh", "-c", "exit 1"]),
        (["-g", "--", "sh", "--", "-g"], ["sh", "--", "-g"]),
        (["--", "-g"], ["-g"]),
        (["--", "--", "x"], ["--", "x"]),
        (["-", "-g"], ["-", "-g"]),
        (["", "-g"], ["", "-g"]),
        (["-g", "--"], []),
        (["-g"], []),
        ([], []),
    ],
)
def test_options_end_at_two_dashes_or_the_first_word(words: list[str], command: list[str]) -> None:
    """From there on every word is the command's."""
    assert parse(words, {}) == command


# --- Words of a line, as of REBOUND_OPTIONS ---------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        (" \t\n", []),
        (" -0\t-g\n-k\r\n", ["-0", "-g", "-k"]),
        ("--health-cmd 'curl -f x'", ["--health-cmd", "curl -f x"]),
        ("--health-cmd='curl -f x'", ["--health-cmd=curl -f x"]),
        ("''", [""]),
        ("a'' \"\" b", ["a", "", "b"]),
        ("a'b'\"c\"d", ["abcd"]),
        ("'a\"b' \"a'b\"", ['a"b', "a'b"]),
        (r"'a\b' \'a\ b", [r"a\b", "'a b"]),
        (r'"\a\$\`\"\\\'"', [r"\a$`" + '"' + r"\\'"]),
        ('a\\\nb "c\\\nd" \\\n', ["ab", "cd"]),
        ("$HOME `x` * ~ # ; | & {a,b}", ["$HOME", "`x`", "*", "~", "#", ";", "|", "&", "{a,b}"]),
        ('"$HOME `x`"', ["$HOME `x`"]),
    ],
)
def test_words_of_a_line(line: str, words: list[str]) -> None:
    """Nothing but white space, quotes and backslashes is special."""
    assert options.split_words(line) == words


@pytest.mark.parametrize("line", ["'", '"', "a 'b", "'\"", r"'a'\''", r'"\"', '"\\', "\\", "a \\"])
def test_an_open_quote_is_a_mistake(line: str) -> None:
    """So is a backslash that quotes nothing."""
    with pytest.raises(UsageError, match=r"is not closed$|has nothing to quote$"):
        options.split_words(line)


letters = "ab'\"\\ \t\u00e9"


@pytest.mark.parametrize(
    ("shell", "alphabet", "take"),
    [
        ("dash", letters, "set -- {}"),
        # Where a shell does not take the end of a line for the end of a command.
        ("bash", letters + "\n", 'words=({}\n); set -- "${{words[@]}}"'),
    ],
)
@given(data=st.data())
def test_a_shell_splits_alike(shell: str, alphabet: str, take: str, data: st.DataObject) -> None:
    """Real ones, into the same words."""
    program, expected = "", ""
    for line in data.draw(st.lists(st.text(alphabet, max_size=12), min_size=20, max_size=20)):
        try:
            words = options.split_words(line)
        except UsageError:
            continue
        program += take.format(line) + "\nprintf '%s\\0' $# \"$@\"\n"
        expected += "".join(f"{word}\0" for word in (len(words), *words))
    result = subprocess.run([shell, "-c", program], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == (expected, "")


@pytest.mark.parametrize("shell", ["dash", "bash"])
@given(st.text(letters, max_size=12).filter(lambda line: line.count("\\") < 2))
def test_what_is_a_mistake_here_is_one_for_a_shell(shell: str, line: str) -> None:
    """Except that for a shell a backslash at the very end stands for itself."""
    try:
        options.split_words(line)
    except UsageError as error:
        if "backslash" not in str(error):
            assert subprocess.run([shell, "-c", f": {line}"], capture_output=True).returncode == 2


# --- Repeated options -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("earlier", "later", "settings"),
    [
        ("-0", "--restart never", {"restart": "never"}),
        ("--restart never", "-0", {"restart": "always"}),
        ("-r 3/1m", "-r 5", {"max_restarts": 5, "max_restarts_window": None}),
        ("-d 1", "--restart-delay=2", {"restart_delay": 2}),
        ("-q", "-v", {"verbosity": "verbose"}),
        ("-v", "-q", {"verbosity": "quiet"}),
        ("-e 1", "-e 2,TERM", {"success": statuses(1, 2, signals=(15,))}),
        ("-n HUP", "-n 2", {"no_restart": statuses(2, signals=(1,))}),
        ("--rewrite TERM:INT", "--rewrite HUP:0", {"rewrite": ((15, 2), (1, 0))}),
    ],
)
def test_the_command_line_goes_over_the_environment(
    earlier: str, later: str, settings: dict[str, Any]
) -> None:
    """The later word wins, in one line or in two; lists grow."""
    assert settings_of(*earlier.split(), *later.split()) == settings
    in_two = settings_of(*earlier.split())
    parse(later.split(), in_two)
    assert in_two == settings


# --- Mistakes -------------------------------------------------------------------------

ALLOWED = {
    "--restart": "on-failure, always, never",
    "-r": "a whole number from 0",
    "-d": "500ms, 10s, 5m, 1h",
    "-b": "a whole number from 0",
    "--max-delay": "500ms, 10s, 5m, 1h",
    "--reset-after": "500ms, 10s, 5m, 1h",
    "-e": "0 to 255",
    "-n": "0 to 255",
    "--force-restart": "0 to 255",
    "--max-runtime": "500ms, 10s, 5m, 1h",
    "--stop-signal": "1 to 64",
    "--rewrite": "FROM:TO",
    "--drain-signal": "TERM or SIGTERM, or 1 to 64",
    "--stop-timeout": "500ms, 10s, 5m, 1h",
    "--http": "is not an address",
    "--listen": "127.0.0.1:8080, [::1]:8080",
    "--fd-store": "a whole number from 0",
    "-p": "TERM or SIGTERM, or 1 to 64",
    "--watchdog": "500ms, 10s, 5m, 1h",
    "--health-http": "http://127.0.0.1:8080/healthz, http://[::1]/",
    "--health-tcp": "127.0.0.1:8080, [::1]:8080",
    "--health-interval": "500ms, 10s, 5m, 1h",
    "--health-timeout": "500ms, 10s, 5m, 1h",
    "--health-start-period": "500ms, 10s, 5m, 1h",
    "--health-retries": "a whole number from 1",
    "--oom-score-adj": "a whole number from -1000 to 1000",
    "--log-format": "text, json, timed",
    "--max-memory": "bytes, or 64K, 512M, 2G, or 1% to 100%",
}
ANY_TEXT = {"--health-cmd", "--termination-log", "--log-file"}


@pytest.mark.parametrize(
    "option",
    [option for option in VALUED if option[0] not in ANY_TEXT],
    ids=lambda option: option[-1],
)
@pytest.mark.parametrize("value", ["", "wrong", "-1001"])
def test_a_bad_value_is_refused(option: tuple[str, ...], value: str) -> None:
    """With the option as it was written, the value, and what is allowed."""
    for spelling in option:
        with pytest.raises(UsageError) as raised:
            parse([spelling, value], {})
        text = str(raised.value)
        assert text.startswith(f"option {spelling}: {value!r} ")
        assert ALLOWED[option[0]] in text


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (["--watchdog", "0"], "it must be more than 0"),
        (["--max-runtime", "0s"], "it must be more than 0"),
        (["--health-interval", "0s"], "it must be more than 0"),
        (["--health-timeout", "0.0"], "it must be more than 0"),
        (["--health-retries", "0"], "a whole number from 1"),
        (["--health-cmd", " "], "a shell command"),
    ],
)
def test_nothing_is_too_little(words: list[str], allowed: str) -> None:
    """Where it would mean a busy loop, or the end of each run at once."""
    with pytest.raises(UsageError, match=allowed):
        parse(words, {})


@pytest.mark.parametrize("spelling", VALUED_SPELLINGS)
def test_a_missing_value_is_a_mistake(spelling: str) -> None:
    """The text names what is missing."""
    metavar = {name: option.metavar for option in OPTIONS for name in option.spellings}[spelling]
    with pytest.raises(UsageError) as raised:
        parse([spelling], {})
    assert str(raised.value) == f"option {spelling} needs a value ({metavar})"


@pytest.mark.parametrize("flag", LONG_FLAGS)
@pytest.mark.parametrize("value", ["", "yes"])
def test_a_flag_takes_no_value(flag: str, value: str) -> None:
    """Not even an empty one."""
    with pytest.raises(UsageError, match=f"^option {flag} takes no value$"):
        parse([f"{flag}={value}"], {})


@pytest.mark.parametrize(
    ("word", "unknown"),
    [("-x", "-x"), ("-0x", "-x"), ("-1", "-1"), ("--max", "--max"), ("--x=1", "--x"), ("-é", "-é")],
)
def test_an_unknown_option_is_a_mistake(word: str, unknown: str) -> None:
    """Abbreviations too: they would break with the next option that begins so."""
    with pytest.raises(UsageError, match=re.escape(f"unknown option {unknown} (rebound --help")):
        parse([word, "command"], {})


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("-0 my-daemon", '["-0", "my-daemon"]'),
        ("-r 3 my-daemon", '["-r", "3", "my-daemon"]'),
        ("-r3 my-daemon", '["-r3", "my-daemon"]'),
        ("--restart always my-daemon", '["--restart", "always", "my-daemon"]'),
        ("--max-delay=5s\tmy-daemon", '["--max-delay=5s", "my-daemon"]'),
        ("--quiet my-daemon --x=1", '["--quiet", "my-daemon", "--x=1"]'),
    ],
)
def test_several_words_in_one_are_a_mistake_with_a_hint(word: str, words: str) -> None:
    """As in an image: ENTRYPOINT ["rebound", "-0 my-daemon"]."""
    with pytest.raises(UsageError) as raised:
        parse([word], {})
    assert str(raised.value).endswith(f"; write each as a word of its own: {words}")


@pytest.mark.parametrize("words", [["-r", "3 my-daemon"], ["-r", "x"], ["--wrong"]])
def test_other_mistakes_have_no_such_hint(words: list[str]) -> None:
    """A value may have blanks: the word with the option is what counts."""
    with pytest.raises(UsageError) as raised:
        parse(words, {})
    assert "word of its own" not in str(raised.value)


word = st.text(st.characters(exclude_characters="\0"), max_size=8)  # none in a command line
value = word | st.sampled_from(["3", "3/1m", "500ms", "TERM", "78,SIGQUIT", "TERM:0", "never"])
words = st.lists(
    value
    | st.sampled_from(SPELLINGS)
    | st.builds("{}{}".format, st.sampled_from(SPELLINGS), value)
    | st.builds("{}={}".format, st.sampled_from(SPELLINGS), value)
)


@given(words)
def test_any_command_line_is_taken_or_a_usage_error(line: list[str]) -> None:
    """What is taken makes a valid Config, and the command is the line's end, untouched."""
    settings: dict[str, Any] = {}
    try:
        command = parse(line, settings)
    except UsageError:
        return
    assert line[len(line) - len(command) :] == command
    settings.pop(ACTION, None)
    settings.pop(JSON, None)
    settings.pop(OPENMETRICS, None)
    if not conflict_in(settings):
        Config(**settings)


# --- Help -----------------------------------------------------------------------------


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.spellings[-1])
def test_the_help_shows_every_option(option: Any) -> None:
    """With its spellings, its value's name and what it does, in one line or in several."""
    head = f"  {', '.join(option.spellings)} {option.metavar}".rstrip()
    words = " ".join(format_help().split())
    assert f"{head.strip()} {option.help}" in words
    assert any(line == head or line.startswith(head + "  ") for line in format_help().splitlines())


def test_the_help_has_titles_and_80_columns() -> None:
    """No option is above the first title, and each title has options."""
    lines = format_help().splitlines()
    assert max(map(len, lines)) <= 80
    spellings = [option.spellings[0] for option in OPTIONS]
    assert [spelling for spelling in spellings if spelling in GROUPS] == list(GROUPS)
    assert spellings[0] in GROUPS
    titles = [
        line.removesuffix(":") for line in lines if line in {f"{t}:" for t in GROUPS.values()}
    ]
    assert titles == list(GROUPS.values())
