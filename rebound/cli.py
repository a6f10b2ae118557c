"""The command `rebound`: from its arguments to its exit status."""

from __future__ import annotations

import os
import posix
import sys

import rebound
from rebound import linux, options, signals
from rebound.config import Config
from rebound.exitstatus import OWN_ERROR
from rebound.log import Log
from rebound.supervisor import Supervisor

OPTIONS_VARIABLE = "REBOUND_OPTIONS"


def main() -> int:
    """Run the command line in `sys.argv`; return the exit status."""
    inherited = _inherited()
    try:
        return _run(sys.argv[1:], inherited)
    except options.UsageError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(error.strerror or str(error))


def _run(words: list[str], inherited: linux.Inherited) -> int:
    settings: options.Settings = {}
    surplus = options.parse(os.environ.get(OPTIONS_VARIABLE, "").split(), settings)
    if surplus:
        raise options.UsageError(f"{OPTIONS_VARIABLE} may hold options only, not {surplus[0]!r}")
    command = options.parse(words, settings)
    if settings.pop(options.HELP_FLAG, False):
        return _print(options.format_help())
    if settings.pop(options.VERSION_FLAG, False):
        return _print(f"rebound {rebound.__version__}\n")
    if not command:
        raise options.UsageError(f"no command given; usage: {options.USAGE}")
    linux.set_name("rebound")
    return Supervisor(command, Config(**settings), inherited, _environment()).run()


def _inherited() -> linux.Inherited:
    """Give the mask and dispositions from before the launcher and Python changed them."""
    seen = linux.block_signals()
    told = sys._xoptions.get("rebound")  # "MASK,IGNORED", two hexadecimal bit sets
    if not isinstance(told, str):
        return seen
    mask, ignored = (_signal_set(int(bits, 16)) for bits in told.split(","))
    return linux.Inherited(mask, ignored)


def _signal_set(bits: int) -> frozenset[int]:
    return frozenset(signo for signo in range(1, signals.LAST + 1) if bits >> (signo - 1) & 1)


def _environment() -> dict[bytes, bytes]:
    """Give the environment for the command: ours, as it was before Python started."""
    environment = dict(posix.environ)
    environment.pop(OPTIONS_VARIABLE.encode(), None)
    environment.pop(b"", None)  # Python can read "=value", but not pass it on
    if "rebound" in sys._xoptions:
        # In the C locale Python has set LC_CTYPE (PEP 538); the launcher tells what it was.
        before = sys._xoptions.get("lc_ctype")
        if isinstance(before, str):
            environment[b"LC_CTYPE"] = os.fsencode(before)
        else:
            environment.pop(b"LC_CTYPE", None)
    return environment


def _print(text: str) -> int:
    try:
        os.write(1, text.encode())
    except OSError as error:
        return _fail(f"standard output: {error.strerror}")
    return 0


def _fail(text: str) -> int:
    Log().write("error", text)
    return OWN_ERROR
