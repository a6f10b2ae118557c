"""The command line: one table of options, its parser and its help."""

from __future__ import annotations

from rebound.core.exitstatus import StatusSet
from rebound.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    Settings = dict[str, Any]

USAGE = "rebound [options] [--] command [args…]"
_USAGES = (
    USAGE,
    "rebound --status [--json | --openmetrics] [PID]",
    "rebound --restart-now [--json] [PID]",
)

_HELP_COLUMNS, _HELP_INDENT = 80, 28

_LONGEST_VALUE = 2000
"""Characters.  All exit statuses fit in; an error that repeats the value still fits in one line."""

HELP = "help"
VERSION = "version"
LICENSE = "license"
STATUS = "status"
RESTART_NOW = "restart-now"

ACTION = "action"
"""The setting that names one of these, to do it instead of running a command."""

JSON = "json"
"""The setting that makes STATUS and RESTART_NOW answer in JSON."""

OPENMETRICS = "openmetrics"
"""The setting that makes STATUS answer with metrics."""


class UsageError(ValueError):
    """A mistake on the command line; its text says what is wrong and what is allowed."""


class Option(Record):
    """One option: its spellings, its value's name (empty for a flag), and what it does.

    `apply` puts its effect into the settings, which become the fields of `Config`; it
    raises `ValueError` for a value that is not allowed.
    """

    spellings: tuple[str, ...]
    metavar: str
    help: str
    apply: Callable[[Settings, str], None]


def _sets(field: str, kind: str) -> Callable[[Settings, str], None]:
    """Return what sets a field to a value of this kind, see `values.read`."""

    def apply(settings: Settings, text: str) -> None:
        settings[field] = _read(kind, text)

    return apply


def _read(kind: str, text: str) -> Any:
    from rebound.core import values  # a start without options needs no values

    return values.read(kind, text)


def _means(field: str, value: object) -> Callable[[Settings, str], None]:
    def apply(settings: Settings, _text: str) -> None:
        settings[field] = value

    return apply


def _adds_statuses(field: str) -> Callable[[Settings, str], None]:
    def apply(settings: Settings, text: str) -> None:
        settings[field] = settings.get(field, StatusSet()).union(_read("statuses", text))

    return apply


def _add_stop_signals(settings: Settings, text: str) -> None:
    stop_signals = settings.get("stop_signals", frozenset())
    settings["stop_signals"] = stop_signals | _read("stop_signals", text)


def _set_rate(settings: Settings, text: str) -> None:
    settings["max_restarts"], settings["max_restarts_window"] = _read("rate", text)


def _add_rewrite(settings: Settings, text: str) -> None:
    settings["rewrite"] = (*settings.get("rewrite", ()), _read("rewrite", text))


def _add_listen(settings: Settings, text: str) -> None:
    settings["listen"] = (*settings.get("listen", ()), _read("listen", text))


OPTIONS = (
    Option(
        ("-0", "--restart-on-zero"),
        "",
        "also restart on exit status 0 (--restart always)",
        _means("restart", "always"),
    ),
    Option(
        ("--restart",),
        "WHEN",
        "on-failure (default), always, never (a plain init)",
        _sets("restart", "restart"),
    ),
    Option(
        ("-r", "--max-restarts"),
        "N[/TIME]",
        "give up after N restarts, or N within TIME; 0: never",
        _set_rate,
    ),
    Option(
        ("-d", "--restart-delay"),
        "TIME",
        "wait before every restart (default 0)",
        _sets("restart_delay", "duration"),
    ),
    Option(
        ("-b", "--burst"),
        "N",
        "delay from the N-th rapid failure in a row on (default 5; 0: never)",
        _sets("burst", "count"),
    ),
    Option(
        ("--max-delay",),
        "TIME",
        "the back-off doubles from 1s to TIME (default 60s)",
        _sets("max_delay", "duration"),
    ),
    Option(
        ("--reset-after",),
        "TIME",
        "a run of at least TIME is not a rapid failure (default 10s)",
        _sets("reset_after", "duration"),
    ),
    Option(
        ("-e", "--success"),
        "STATUS,…",
        "statuses or signals that count as exit status 0",
        _adds_statuses("success"),
    ),
    Option(
        ("-n", "--no-restart"),
        "STATUS,…",
        "statuses or signals that are never restarted",
        _adds_statuses("no_restart"),
    ),
    Option(
        ("--force-restart",),
        "STATUS,…",
        "statuses or signals after which it is restarted in any case",
        _adds_statuses("force_restart"),
    ),
    Option(
        ("--max-runtime",),
        "TIME",
        "end each run after TIME, or up to a tenth sooner; start anew",
        _sets("max_runtime", "period"),
    ),
    Option(
        ("--max-memory",),
        "SIZE",
        "restart a run that takes more memory: 512M, 2G, 50%",
        _sets("max_memory", "memory_size"),
    ),
    Option(
        ("-g", "--own-group"),
        "",
        "own process group, and terminal; signals to our group reach it once",
        _means("own_group", True),
    ),
    Option(
        ("-G", "--signal-group"),
        "",
        "forward signals to that whole group (implies -g)",
        _means("signal_group", True),
    ),
    Option(
        ("-k", "--kill-group"),
        "",
        "SIGKILL what a crashed run left in its group (implies -g)",
        _means("kill_group", True),
    ),
    Option(
        ("--fresh",),
        "",
        "before each restart, end what the run left (TERM, 10s later KILL)",
        _means("fresh", True),
    ),
    Option(
        ("--stop-signal",),
        "SIG,…",
        "signals that begin the shutdown, as TERM and INT do",
        _add_stop_signals,
    ),
    Option(
        ("--rewrite",),
        "FROM:TO",
        "send signal TO instead of FROM (0: none); repeatable",
        _add_rewrite,
    ),
    Option(
        ("--drain-signal",),
        "SIG",
        "ask adopted processes to stop with SIG at shutdown",
        _sets("drain_signal", "signal"),
    ),
    Option(
        ("--stop-timeout",),
        "TIME",
        "SIGKILL what is left TIME after the shutdown began",
        _sets("stop_timeout", "duration"),
    ),
    Option(
        ("--listen",),
        "[NAME=]ADDRESS",
        "hand every run a socket that stays open (sd_listen_fds); repeatable",
        _add_listen,
    ),
    Option(
        ("--fd-store",),
        "N",
        "keep N descriptors of a run for the next one (sd_notify FDSTORE)",
        _sets("fd_store", "count"),
    ),
    Option(
        ("-p", "--parent-death-signal"),
        "SIG",
        "rebound gets SIG when its own parent dies",
        _sets("parent_death_signal", "signal"),
    ),
    Option(
        ("--watchdog",),
        "TIME",
        "restart a run that sends no keep-alive (sd_notify) for TIME",
        _sets("watchdog", "period"),
    ),
    Option(
        ("--notify",),
        "",
        "tell our own service manager (sd_notify) when the command is ready",
        _means("notify", True),
    ),
    Option(
        ("--http",),
        "ADDRESS",
        "serve probes and metrics there: /livez /readyz /metrics /status",
        _sets("http", "http"),
    ),
    Option(
        ("--health-cmd",),
        "CMD",
        "restart a run for which /bin/sh -c CMD keeps failing",
        _sets("health_command", "command"),
    ),
    Option(
        ("--health-http",),
        "URL",
        "the same where a GET of URL keeps failing (200 to 399 pass)",
        _sets("health_http", "health_http"),
    ),
    Option(
        ("--health-tcp",),
        "HOST:PORT",
        "the same where no connection can be made",
        _sets("health_tcp", "health_tcp"),
    ),
    Option(
        ("--health-interval",),
        "TIME",
        "wait TIME from one check to the next (default 30s)",
        _sets("health_interval", "period"),
    ),
    Option(
        ("--health-timeout",),
        "TIME",
        "a check that takes longer fails (default 30s)",
        _sets("health_timeout", "period"),
    ),
    Option(
        ("--health-start-period",),
        "TIME",
        "failures within TIME of the start do not count (default 0s)",
        _sets("health_start_period", "duration"),
    ),
    Option(
        ("--health-retries",),
        "N",
        "the command is unhealthy after N failures in a row (default 3)",
        _sets("health_retries", "positive_count"),
    ),
    Option(
        ("--oom-score-adj",),
        "N",
        "-1000 to 1000: the higher, the sooner it is killed",
        _sets("oom_score_adj", "oom_score_adj"),
    ),
    Option(
        ("--termination-log",),
        "PATH",
        "say there why rebound ended; empty: leave it to the command",
        _sets("termination_log", "text"),
    ),
    Option(
        ("--log-format",),
        "FORMAT",
        "text (default), timed (with the time), or json: an object a line",
        _sets("log_format", "log_format"),
    ),
    Option(
        ("--log-file",),
        "PATH",
        "append the log to this file instead of stderr",
        _sets("log_file", "text"),
    ),
    Option(
        ("--log-reopen",),
        "",
        "open the log file again at SIGHUP, for log rotation",
        _means("log_reopen", True),
    ),
    Option(("-q", "--quiet"), "", "log errors only", _means("verbosity", "quiet")),
    Option(
        ("-v", "--verbose"),
        "",
        "also log every signal and every reaped process",
        _means("verbosity", "verbose"),
    ),
    Option(
        ("--status",),
        "",
        "show the status of all running rebounds, or of the one with PID",
        _means(ACTION, STATUS),
    ),
    Option(
        ("--restart-now",),
        "",
        "make a running rebound restart its command",
        _means(ACTION, RESTART_NOW),
    ),
    Option(("--json",), "", "answer --status or --restart-now in JSON", _means(JSON, True)),
    Option(
        ("--openmetrics",),
        "",
        "answer --status in metrics, as Prometheus reads them",
        _means(OPENMETRICS, True),
    ),
    Option(("-h", "--help"), "", "show this help", _means(ACTION, HELP)),
    Option(
        ("--version",),
        "",
        "show the version; with -v also the commit and the Python in it",
        _means(ACTION, VERSION),
    ),
    Option(("--license",), "", "show the licences, in short", _means(ACTION, LICENSE)),
)

GROUPS = {
    "-0": "Restarts",
    "-g": "Process groups",
    "--stop-signal": "Signals and the end",
    "--listen": "Descriptors that outlive a run",
    "-p": "The parent",
    "--watchdog": "Readiness and health",
    "--oom-score-adj": "Memory",
    "--termination-log": "Log and last words",
    "--status": "Running rebounds",
    "-h": "Help",
}
"""The titles in --help, each by the first spelling of the group's first option."""

_BY_SPELLING = {spelling: option for option in OPTIONS for spelling in option.spellings}


def spelling_of(field: str) -> str:
    """Return the option that sets a field of `Config`."""
    return "--" + {"health_command": "health-cmd"}.get(field, field.replace("_", "-"))


def split_words(text: str) -> list[str]:
    """Split a line into words as a POSIX shell does: by white space, quotes and backslashes.

    It expands nothing: each other character stands for itself (POSIX.1-2017, Shell Command
    Language, 2.2).  Raises `UsageError` for a quote that is not closed.
    """
    words: list[str] = []
    word: str | None = None  # between two words; a quote begins one, even an empty one
    quote = ""
    chars = iter(text)
    for char in chars:
        if char == quote:
            quote = ""
        elif not quote and char.isspace():
            if word is not None:
                words.append(word)
            word = None
        elif not quote and char in "'\"":
            quote, word = char, word or ""
        elif literal := _literal(char, quote, chars):
            word = (word or "") + literal
    if quote:
        raise UsageError(f"a quote ({quote}) is not closed")
    return words if word is None else [*words, word]


def _literal(char: str, quote: str, following: Iterator[str]) -> str:
    """Return the text for a character within `quote`; a backslash takes the next one, too."""
    if char != "\\" or quote == "'":
        return char
    escaped = next(following, "")
    if not escaped:
        raise UsageError("a backslash at the end has nothing to quote")
    if escaped == "\n":
        return ""  # the line goes on
    return char + escaped if quote and escaped not in '$`"\\' else escaped


def parse(words: Sequence[str], settings: Settings) -> list[str]:
    """Apply the options at the head of `words` to `settings`; return the words after them.

    Options end at `--`, which is dropped, or at the first word that is not an option.  Raises
    `UsageError`.
    """
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            break
        if len(word) < 2 or not word.startswith("-"):
            return [word, *rest]
        try:
            if word.startswith("--"):
                _apply_long(word, rest, settings)
            else:
                _apply_short(word[1:], rest, settings)
        except UsageError as error:
            raise UsageError(f"{error}{_hint(word)}") from None
    return rest


def _hint(word: str) -> str:
    """Return a hint if a word looks like several: ENTRYPOINT ["rebound", "-0 x"]."""
    words = word.split()
    if len(words) < 2:
        return ""
    separate = ", ".join(f'"{part}"' for part in words)
    return f"; write each as a word of its own: [{separate}]"


def _apply_long(word: str, rest: list[str], settings: Settings) -> None:
    spelling, equals, value = word.partition("=")
    option = _find(spelling)
    if option.metavar:
        _apply(option, spelling, value if equals else _next(option, spelling, rest), settings)
    elif equals:
        raise UsageError(f"option {spelling} takes no value")
    else:
        option.apply(settings, "")


def _apply_short(letters: str, rest: list[str], settings: Settings) -> None:
    """Apply clustered letters, as in `-0g`; a value may follow its letter, as in `-r3`."""
    while letters:
        spelling, letters = "-" + letters[0], letters[1:]
        option = _find(spelling)
        if option.metavar:
            _apply(option, spelling, letters or _next(option, spelling, rest), settings)
            return
        option.apply(settings, "")


def _find(spelling: str) -> Option:
    if spelling not in _BY_SPELLING:
        shown = repr(spelling) if spelling.endswith(" ") else spelling
        raise UsageError(f"unknown option {shown} (rebound --help lists them)")
    return _BY_SPELLING[spelling]


def _next(option: Option, spelling: str, rest: list[str]) -> str:
    if not rest:
        raise UsageError(f"option {spelling} needs a value ({option.metavar})")
    return rest.pop(0)


def _apply(option: Option, spelling: str, value: str, settings: Settings) -> None:
    if len(value) > _LONGEST_VALUE:
        raise UsageError(f"option {spelling}: a value may have {_LONGEST_VALUE} characters at most")
    try:
        option.apply(settings, value)
    except ValueError as error:
        raise UsageError(f"option {spelling}: {error}") from None


def format_help() -> str:
    """Return the text of --help, in 80 columns."""
    from rebound.core.columns import wrap

    lines = []
    for option in OPTIONS:
        title = GROUPS.get(option.spellings[0])
        if title:
            lines += ["", f"{title}:"]
        head = f"  {', '.join(option.spellings)} {option.metavar}".rstrip()
        first, *others = wrap(option.help, _HELP_COLUMNS - _HELP_INDENT)
        if len(head) > _HELP_INDENT - 2:
            lines.append(head)
            head = ""
        lines += [f"{head:{_HELP_INDENT}}{first}", *(" " * _HELP_INDENT + text for text in others)]
    return (
        f"usage: {_USAGES[0]}\n" + "".join(f"       {usage}\n" for usage in _USAGES[1:]) + "\n"
        "Run a command, restart it when it crashes, forward signals to it, reap orphans;\n"
        "at the end, let the processes that it left behind shut down.\n" + "\n".join(lines) + "\n\n"
        "TIME is in seconds, or with a unit: 500ms, 10s, 5m, 1h.  Signals go by name or\n"
        "number.  rebound first reads options from the environment variable\n"
        "REBOUND_OPTIONS; quotes and backslashes in it work as in a shell.\n"
        "Exit status: the command's, 128+n after signal n, 125 for an error of rebound's\n"
        "own, 126 if the command cannot be executed, 127 if it cannot be found.  With\n"
        "--status: 0 if all commands run and are ready, 1 if not, 3 if there is no\n"
        "rebound.\n"
    )
