"""The C library through ctypes: calls that Python lacks, or has only in large modules.

Python lacks signalfd(2) and sigqueue(3).  `_socket` is large, and few users ask for a status.
ctypes takes as long to load as all of rebound: import this only once the command runs.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

if not hasattr(ctypes, "CDLL"):
    # If Python cannot look at a package's files (stat(2): ENOMEM), it takes the package for a mere
    # directory, and keeps an empty package for it (PEP 420).
    del sys.modules["ctypes"]
    raise ImportError("ctypes cannot be read")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SFD_CLOEXEC = 0o2000000
SFD_NONBLOCK = 0o4000
"""O_CLOEXEC and O_NONBLOCK, as for every call that makes a descriptor."""

SI_QUEUE = -1
"""`si_code` of a signal sent by sigqueue(3), which carries a value."""

BATCH = 32
"""The most signals that one read takes, so that a flood of them starves nothing."""

_libc = ctypes.CDLL(None, use_errno=True)
_WORD_BITS = 8 * ctypes.sizeof(ctypes.c_ulong)
_SigSet = ctypes.c_ulong * (1024 // _WORD_BITS)  # sigset_t of glibc and musl: 1024 bits
_libc.signalfd.argtypes = (ctypes.c_int, ctypes.POINTER(_SigSet), ctypes.c_int)
# `union sigval` is passed as a pointer, its widest member.
_libc.sigqueue.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
_libc.bind.argtypes = _libc.connect.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)

_libc.ptrace.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_libc.syscall.restype = ctypes.c_long

_PTRACE_DETACH = 17
# glibc has no function for the first one, nor old versions for the second.
_SYS_KCMP = {"x86_64": 312, "aarch64": 272}
_SYS_STATX = {"x86_64": 332, "aarch64": 291}
_SYS_RT_SIGPROCMASK = {"x86_64": 14, "aarch64": 135}
_SIG_SETMASK = 2
_MOST_ARGUMENTS = 5
_libc.syscall.argtypes = (ctypes.c_long,) * (1 + _MOST_ARGUMENTS)
_KCMP_FILE = 0
_AT_EMPTY_PATH, _AT_STATX_DONT_SYNC = 0x1000, 0x4000
_STATX_TYPE, _STATX_INO = 0x1, 0x100
_AF_UNIX, _SOCK_STREAM = 1, 1
_SUN_PATH_SIZE = 108


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


class _Statx(ctypes.Structure):
    """`struct statx` of statx(2), 256 bytes; what is not used has no name here."""

    mode: int
    ino: int
    rdev_major: int
    dev_major: int
    dev_minor: int

    _fields_ = (
        ("to_mode", ctypes.c_uint8 * 28),
        ("mode", ctypes.c_uint16),
        ("padding", ctypes.c_uint16),
        ("ino", ctypes.c_uint64),
        ("to_rdev", ctypes.c_uint8 * 88),
        ("rdev_major", ctypes.c_uint32),
        ("rdev_minor", ctypes.c_uint32),
        ("dev_major", ctypes.c_uint32),
        ("dev_minor", ctypes.c_uint32),
        ("rest", ctypes.c_uint8 * 112),
    )


def _raise_errno() -> None:
    error = ctypes.get_errno()
    raise OSError(error, os.strerror(error))


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
    """Take up to BATCH pending signals; the list is valid until the next call."""
    try:
        size = os.readv(fd, [_buffer])
    except BlockingIOError:
        return []
    count = size // ctypes.sizeof(SignalInfo)
    return _buffer[:count]


def signal_mask() -> int:
    """Return the signals that the calling thread blocks, one a bit.

    Those that the C library keeps for itself are among them.  Raises `OSError`.
    """
    mask = ctypes.c_uint64()
    address, size = ctypes.addressof(mask), ctypes.sizeof(mask)
    _syscall(_SYS_RT_SIGPROCMASK, _SIG_SETMASK, 0, address, size)
    return mask.value


def set_signal_mask(bits: int) -> None:
    """Block these signals in the calling thread, and no others.  Raises `OSError`."""
    mask = ctypes.c_uint64(bits)
    address, size = ctypes.addressof(mask), ctypes.sizeof(mask)
    _syscall(_SYS_RT_SIGPROCMASK, _SIG_SETMASK, address, 0, size)


def sigqueue(pid: int, signo: int, value: int) -> None:
    """Send a signal with a value.  Raises `OSError` (EAGAIN, EPERM, ESRCH)."""
    if _libc.sigqueue(pid, signo, value):
        _raise_errno()


def stop_tracing(pid: int, signo: int) -> None:
    """Let a stopped tracee go on, with a signal or 0 (PTRACE_DETACH); ignore that it is gone."""
    _libc.ptrace(_PTRACE_DETACH, pid, None, signo)


def is_same_file(first: int, second: int) -> bool:
    """Return whether two descriptors are one open file (kcmp(2)).

    Raises `OSError`: EPERM, ENOSYS if the kernel or a seccomp profile refuses to tell.
    """
    pid = os.getpid()
    return _syscall(_SYS_KCMP, pid, pid, _KCMP_FILE, first, second) == 0


def cached_stat(fd: int) -> tuple[int, tuple[int, int], int, int]:
    """Return the mode, device and inode of a descriptor, and the major number that it stands for.

    It asks no server of a network file system, nor the daemon of FUSE (statx(2)).  Raises
    `OSError`: EBADF; EPERM, ENOSYS if the kernel or a seccomp profile refuses.
    """
    found = _Statx()
    path = ctypes.c_char(b"\0")
    flags, mask = _AT_EMPTY_PATH | _AT_STATX_DONT_SYNC, _STATX_TYPE | _STATX_INO
    _syscall(_SYS_STATX, fd, ctypes.addressof(path), flags, mask, ctypes.addressof(found))
    return found.mode, (found.dev_major, found.dev_minor), found.ino, found.rdev_major


def _syscall(numbers: Mapping[str, int], *arguments: int) -> int:
    number = numbers.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    result: int = _libc.syscall(number, *arguments, *[0] * (_MOST_ARGUMENTS - len(arguments)))
    if result < 0:
        _raise_errno()
    return result


def unix_socket() -> int:
    """Make a stream socket that does not block.  Raises `OSError` (EMFILE, ENFILE, ENOMEM)."""
    fd: int = _libc.socket(_AF_UNIX, _SOCK_STREAM | SFD_CLOEXEC | SFD_NONBLOCK, 0)
    if fd < 0:
        _raise_errno()
    return fd


def bind(fd: int, path: str) -> None:
    """Bind a socket to a path, or after a NUL to an abstract name.

    Raises `OSError` (EADDRINUSE, EACCES, EROFS, ENAMETOOLONG).
    """
    address = _address(path)
    if _libc.bind(fd, address, len(address)):
        _raise_errno()


def listen(fd: int, backlog: int) -> None:
    """Let others connect to a socket.  Raises `OSError`."""
    if _libc.listen(fd, backlog):
        _raise_errno()


def connect(fd: int, path: str | bytes) -> None:
    """Connect to a socket.  Raises `OSError` (ECONNREFUSED, EAGAIN, EACCES, ENOENT)."""
    address = _address(path)
    if _libc.connect(fd, address, len(address)):
        _raise_errno()


def _address(path: str | bytes) -> bytes:
    """Return a `struct sockaddr_un`; an abstract name has no NUL at its end, but at its head."""
    name = os.fsencode(path)
    if not name.startswith(b"\0"):
        name += b"\0"
    if len(name) > _SUN_PATH_SIZE:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    return _AF_UNIX.to_bytes(2, sys.byteorder) + name
