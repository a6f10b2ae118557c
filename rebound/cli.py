"""The command `rebound`: from its arguments to its exit status."""

from __future__ import annotations

import gc
import os
import posix
import sys

from rebound import options
from rebound.core import signals
from rebound.core.config import TERMINATION_LOG, Config, conflict_in
from rebound.core.exitstatus import OWN_ERROR
from rebound.kernel import linux
from rebound.kernel.log import Log
from rebound.supervisor import Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

OPTIONS_VARIABLE = "REBOUND_OPTIONS"
RUN_DIRECTORY_VARIABLE = "REBOUND_RUN_DIR"
RUN_DIRECTORY = "/run/rebound"

_LONGEST_SHOWN = 40
"""Characters of a wrong argument in the message about it."""

_GARBAGE_THRESHOLD = 10_000
"""How many new objects start a collection.  The loaded modules stay below it, and are no garbage:
looking through them takes a millisecond, in which rebound reads no signal."""


def main() -> int:
    """Run the command line in `sys.argv`; return the exit status."""
    gc.set_threshold(_GARBAGE_THRESHOLD)
    settings: options.Settings = {}
    try:
        return _run(sys.argv[1:], _inherited(), settings)
    except options.UsageError as error:
        return _fail(str(error), settings)
    except OSError as error:
        return _fail(error.strerror or str(error), settings)
    except ImportError as error:  # a module for an option: no descriptor, no memory
        return _fail(str(error), settings)


def _run(words: list[str], inherited: linux.Inherited, settings: options.Settings) -> int:
    _take_options_variable(settings)
    command = options.parse(words, settings)
    run_directory = os.environ.get(RUN_DIRECTORY_VARIABLE, RUN_DIRECTORY)
    action = settings.get(options.ACTION)
    if action in (options.STATUS, options.RESTART_NOW):
        linux.restore_signals(inherited)
        linux.end_on_interrupt()
        return _ask(action, run_directory, command, settings)
    if action == options.HELP:
        return _print(options.format_help())
    if action in (options.VERSION, options.LICENSE):
        return _print(_about(action, settings))
    _check(settings, command)
    linux.set_name("rebound")
    settings.setdefault("termination_log", TERMINATION_LOG)
    config = Config(run_directory=run_directory, **settings)
    return Supervisor(command, config, inherited, _environment()).run()


def _check(settings: options.Settings, command: Sequence[str]) -> None:
    """Refuse what goes ill together; what remains makes a valid `Config`."""
    if settings.pop(options.JSON, False):
        raise options.UsageError("option --json goes with --status or --restart-now")
    if settings.pop(options.OPENMETRICS, False):
        raise options.UsageError("option --openmetrics goes with --status")
    if settings.get("log_reopen") and signals.SIGHUP in settings.get("stop_signals", ()):
        raise options.UsageError("option --log-reopen goes without --stop-signal HUP: HUP stops")
    if settings.get("log_reopen") and not settings.get("log_file"):
        raise options.UsageError("option --log-reopen goes with --log-file")
    if conflict := conflict_in(settings, options.spelling_of):
        raise options.UsageError(f"options {conflict}")
    if not command:
        raise options.UsageError(f"no command given; usage: {options.USAGE}")
    if not command[0]:
        raise options.UsageError(
            f"the command is an empty word (an unset variable?); usage: {options.USAGE}"
        )


def _take_options_variable(settings: options.Settings) -> None:
    text = os.environ.get(OPTIONS_VARIABLE)
    if not text:
        return
    try:
        surplus = options.parse(options.split_words(text), settings)
    except options.UsageError as error:
        raise options.UsageError(f"{OPTIONS_VARIABLE}: {error}") from None
    if surplus:
        raise options.UsageError(f"{OPTIONS_VARIABLE} may hold options only, not {surplus[0]!r}")


def _ask(action: str, directory: str, words: list[str], settings: options.Settings) -> int:
    """Ask rebounds that run already; return the exit status of `client`."""
    from rebound.control import client
    from rebound.control.runsocket import is_pid

    words = words[:1] + options.parse(words[1:], settings)
    if len(words) > 1 or not all(map(is_pid, words)):
        given = " ".join(words)
        if len(given) > _LONGEST_SHOWN:
            given = given[:_LONGEST_SHOWN] + "…"
        raise options.UsageError(
            f"option --{action} takes one PID at most, a number from 1, not {given!r}"
        )
    pid = int(words[0]) if words else None
    as_json = settings.get(options.JSON, False)
    as_openmetrics = settings.get(options.OPENMETRICS, False)
    if as_openmetrics and (as_json or action != options.STATUS):
        raise options.UsageError("option --openmetrics goes with --status, and without --json")
    try:
        if action == options.STATUS:
            text, status = client.show_status(
                directory, pid, as_json=as_json, as_openmetrics=as_openmetrics
            )
        else:
            text, status = client.restart_now(directory, pid, as_json=as_json)
    except client.Unclear as error:
        raise options.UsageError(str(error)) from None
    return _print(text) or status


def _about(action: str, settings: options.Settings) -> str:
    from rebound import about

    if action == options.LICENSE:
        return about.licenses()
    return about.version(verbose=settings.get("verbosity") == "verbose")


def _inherited() -> linux.Inherited:
    """Return the mask and dispositions from before the launcher and Python changed them."""
    seen = linux.block_signals()
    told = sys._xoptions.get("rebound")  # "MASK,IGNORED", two hexadecimal bit sets
    if not isinstance(told, str):
        return seen
    mask, ignored = (signals.from_bits(int(bits, 16)) for bits in told.split(","))
    return linux.Inherited(mask & linux.valid_signals(), ignored)


def _environment() -> dict[bytes, bytes]:
    """Return the environment for the command: ours, as it was before Python started."""
    environment = dict(posix.environ)
    environment.pop(OPTIONS_VARIABLE.encode(), None)
    if "rebound" in sys._xoptions:
        # In the C locale Python sets LC_CTYPE (PEP 538); the launcher tells the old value.
        before = sys._xoptions.get("lc_ctype")
        if isinstance(before, str):
            environment[b"LC_CTYPE"] = os.fsencode(before)
        else:
            environment.pop(b"LC_CTYPE", None)
    return environment


def _print(text: str) -> int:
    data = text.encode(errors="backslashreplace")
    try:
        while data:  # a pipe with O_NONBLOCK may take only a part
            data = data[os.write(1, data) :]
    except OSError as error:
        return _fail(f"standard output: {error.strerror}", {})
    return 0


def _fail(text: str, settings: options.Settings) -> int:
    try:
        log = Log(line_format=settings.get("log_format", "text"))
    except (ImportError, OSError):  # no descriptor to load the other format
        log = Log()
    log.write("error", "own_error", text)
    _leave_message(text, settings)
    return OWN_ERROR


def _leave_message(text: str, settings: options.Settings) -> None:
    """Tell Kubernetes, too, unless this rebound only asks another one in the container."""
    path = settings.get("termination_log", TERMINATION_LOG if os.getpid() == 1 else "")
    if path and options.ACTION not in settings:
        try:
            from rebound.parts import termination

            termination.write_message(path, f"rebound: {text}")
        except (ImportError, OSError):
            pass
