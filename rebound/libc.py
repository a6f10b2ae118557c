"""What Python's standard modules lack, through ctypes: signalfd(2) and sigqueue(3).

ctypes takes as long to load as all of rebound; import this once the command runs.
"""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

SFD_CLOEXEC = 0o2000000
SFD_NONBLOCK = 0o4000

SI_QUEUE = -1
"""`si_code` of a signal sent by sigqueue(3), which carries a value."""

BATCH = 32
"""How many signals one read takes at most, so that a flood of them starves nothing."""

_libc = ctypes.CDLL(None, use_errno=True)
_WORD_BITS = 8 * ctypes.sizeof(ctypes.c_ulong)
_SigSet = ctypes.c_ulong * (1024 // _WORD_BITS)  # sigset_t of glibc and musl: 1024 bits
_libc.signalfd.argtypes = (ctypes.c_int, ctypes.POINTER(_SigSet), ctypes.c_int)
# `union sigval` is passed as the pointer that is its widest member.
_libc.sigqueue.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p)


class SignalInfo(ctypes.Structure):
    """`struct signalfd_siginfo` of signalfd(2), 128 bytes."""

    signo: int
    code: int
    pid: int
    ptr: int

    _fields_ = (
        ("signo", ctypes.c_uint32),
        ("errno", ctypes.c_int32),
        ("code", ctypes.c_int32),
        ("pid", ctypes.c_uint32),
        ("uid", ctypes.c_uint32),
        ("fd", ctypes.c_int32),
        ("tid", ctypes.c_uint32),
        ("band", ctypes.c_uint32),
        ("overrun", ctypes.c_uint32),
        ("trapno", ctypes.c_uint32),
        ("status", ctypes.c_int32),
        ("int", ctypes.c_int32),
        ("ptr", ctypes.c_uint64),
        ("utime", ctypes.c_uint64),
        ("stime", ctypes.c_uint64),
        ("addr", ctypes.c_uint64),
        ("reserved", ctypes.c_uint8 * 48),
    )

    @property
    def value(self) -> int | None:
        """The value that sigqueue(3) sent along; None for any other signal."""
        return self.ptr if self.code == SI_QUEUE else None


_buffer = (SignalInfo * BATCH)()


def _raise_errno() -> None:
    errno = ctypes.get_errno()
    raise OSError(errno, os.strerror(errno))


def open_signalfd(signos: Iterable[int]) -> int:
    """Open a descriptor from which the blocked signals `signos` can be read.

    Raises `OSError`: EMFILE or ENFILE without a free descriptor, ENOMEM.
    """
    # Set bit by bit: sigaddset(3) of glibc refuses 32 and 33, which it keeps for itself.
    sigset = _SigSet()
    for signo in signos:
        sigset[(signo - 1) // _WORD_BITS] |= 1 << (signo - 1) % _WORD_BITS
    fd: int = _libc.signalfd(-1, sigset, SFD_CLOEXEC | SFD_NONBLOCK)
    if fd < 0:
        _raise_errno()
    return fd


def read_signals(fd: int) -> list[SignalInfo]:
    """Take up to BATCH pending signals, none if there is none; valid until the next call."""
    try:
        size = os.readv(fd, [_buffer])
    except BlockingIOError:
        return []
    count = size // ctypes.sizeof(SignalInfo)
    return _buffer[:count]


def sigqueue(pid: int, signo: int, value: int) -> None:
    """Send a signal with a value.  Raises `OSError` (EAGAIN, EPERM, ESRCH)."""
    if _libc.sigqueue(pid, signo, value):
        _raise_errno()
