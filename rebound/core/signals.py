"""Signal numbers and their names.

They come from `_signal`, the C half of the standard `signal` module.  The Python half turns
every number into an enum, which costs more start-up time than all else that rebound loads.
Nothing here calls the system.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

SIGHUP = int(_signal.SIGHUP)
SIGINT = int(_signal.SIGINT)
SIGQUIT = int(_signal.SIGQUIT)
SIGTRAP = int(_signal.SIGTRAP)
SIGABRT = int(_signal.SIGABRT)
SIGKILL = int(_signal.SIGKILL)
SIGPIPE = int(_signal.SIGPIPE)
SIGTERM = int(_signal.SIGTERM)
SIGCHLD = int(_signal.SIGCHLD)
SIGCONT = int(_signal.SIGCONT)
SIGSTOP = int(_signal.SIGSTOP)
SIGTSTP = int(_signal.SIGTSTP)
SIGTTIN = int(_signal.SIGTTIN)
SIGTTOU = int(_signal.SIGTTOU)
SIGWINCH = int(_signal.SIGWINCH)
SIGXFSZ = int(_signal.SIGXFSZ)
SIGRTMIN = int(_signal.SIGRTMIN)
SIGRTMAX = int(_signal.SIGRTMAX)

LAST = 64
"""The highest signal number of Linux (`_NSIG`; 128 on MIPS, which rebound does not support)."""

_LONGEST = len("SIGRTMIN+30")

_ALIASES = ("SIGCLD", "SIGIOT", "SIGPOLL", "SIGRTMIN", "SIGRTMAX")

_numbers: dict[str, int] = {}
_names: dict[int, str] = {}
"""Filled when a name is first needed: mostly after the command's first start."""


def _make_names() -> None:
    for name in dir(_signal):
        number = getattr(_signal, name)
        if name.startswith("SIG") and name[3].isalpha() and isinstance(number, int):
            _numbers[name] = int(number)
            if name not in _ALIASES:
                _names[int(number)] = name


def name(signo: int) -> str:
    """Return the usual name: `SIGTERM`, `SIGRTMIN+3`; the number if there is no name."""
    if SIGRTMIN <= signo <= SIGRTMAX:
        return "SIGRTMIN" if signo == SIGRTMIN else f"SIGRTMIN+{signo - SIGRTMIN}"
    if not _names:
        _make_names()
    return _names.get(signo, str(signo))


def from_bits(bits: int) -> frozenset[int]:
    """Return the signals of a bit set: bit 0 stands for signal 1 (proc(5), sigset_t)."""
    return frozenset(signo for signo in range(1, LAST + 1) if bits >> (signo - 1) & 1)


def describe(signo: int) -> str:
    """Return number and name for people: `signal 15 (SIGTERM)`."""
    return f"signal {signo} ({name(signo)})"


def parse(text: str) -> int:
    """Read a signal: a name with or without SIG, `RTMIN+n`, `RTMAX-n`, or 1 to 64.

    Raises `ValueError`; its text says what is allowed.
    """
    if not _numbers:
        _make_names()
    if not text.isascii() or len(text) > _LONGEST:
        pass
    elif text.isdecimal():
        if 1 <= int(text) <= LAST:
            return int(text)
    else:
        upper = text.upper()
        full = upper if upper.startswith("SIG") else "SIG" + upper
        if full in _numbers:
            return _numbers[full]
        for base, sign in (("SIGRTMIN", "+"), ("SIGRTMAX", "-")):
            offset = full.removeprefix(base + sign)
            if offset != full and offset.isdecimal():
                signo = _numbers[base] + int(sign + offset)
                if SIGRTMIN <= signo <= SIGRTMAX:
                    return signo
    raise ValueError(f"{text!r} is not a signal (a name such as TERM or SIGTERM, or 1 to {LAST})")
