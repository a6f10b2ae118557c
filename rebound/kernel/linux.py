"""Thin system calls: each function says what can fail, why, and what then.

They decide nothing.  `libc` has the calls that Python's own modules lack; it needs ctypes
and is loaded only after the command has been started.
"""

from __future__ import annotations

import errno
import os
import time

import _prctl  # the C half of python-prctl; the Python half is slow to load

from rebound.core import signals
from rebound.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Iterable
else:
    import _signal

SI_KERNEL = 0x80
"""`si_code` of a signal that the kernel itself sent, e.g. for ^C (sigaction(2))."""


class Inherited(Record):
    """The signal settings that rebound was started with, and that every run gets."""

    mask: frozenset[int]
    """The blocked signals, without the few that the C library keeps for itself."""
    ignored: frozenset[int]
    """The ignored signals."""


class NoProcess(OSError):
    """The system refused to make a process, or to prepare it for the exec."""


class NotJoined(NoProcess):
    """A process could not move into its cgroup; without one it can be started."""


def valid_signals() -> frozenset[int]:
    """Return all signals but the few that the C library keeps for itself."""
    return frozenset(int(signo) for signo in _signal.valid_signals())


def block_signals() -> Inherited:
    """Block every signal that can be blocked; return what was blocked and ignored before.

    From here on a signal waits in the kernel until it is read.  Python ignores SIGPIPE and
    SIGXFSZ before any of our code runs, so those two count as not ignored.
    """
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    ignored = {
        int(signo)
        for signo in _signal.valid_signals()
        if _signal.getsignal(signo) == _signal.SIG_IGN
    }
    return Inherited(
        valid_signals() & mask,
        frozenset(ignored - {signals.SIGPIPE, signals.SIGXFSZ}),
    )


def restore_signals(inherited: Inherited) -> None:
    """Undo `block_signals`; pending signals are delivered now."""
    _signal.pthread_sigmask(_signal.SIG_SETMASK, inherited.mask)


def default_signals(inherited: Inherited) -> frozenset[int]:
    """Return the signals that have their default action in the command.

    An exec keeps ignored signals ignored, and Python ignores two more.
    """
    return valid_signals() - inherited.ignored


def reset_signals(signos: Iterable[int]) -> None:
    """Reset these signals to their default action; not SIGKILL and SIGSTOP, which have no other."""
    for signo in signos:
        _signal.signal(signo, _signal.SIG_DFL)


def end_on_interrupt() -> None:
    """Let ^C end us silently, as it ends any other tool: Python would raise an error."""
    if _signal.getsignal(_signal.SIGINT) != _signal.SIG_IGN:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)


def stop_ignoring_children() -> None:
    """Reset SIGCHLD: while it is ignored the kernel reaps children itself (wait(2), NOTES).

    Raises `OSError` where a seccomp profile refuses.
    """
    try:
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    except OSError as error:
        raise OSError(error.errno, f"cannot reset SIGCHLD: {error.strerror}") from None


def wait_for_signal(timeout: float | None) -> tuple[int, int, int] | None:
    """Take one blocked signal without a descriptor: (signo, code, pid); None on timeout."""
    everything = _signal.valid_signals()
    if timeout is None:
        info: _signal.struct_siginfo | None = _signal.sigwaitinfo(everything)
    else:
        info = _signal.sigtimedwait(everything, timeout)
    return None if info is None else (info.si_signo, info.si_code, info.si_pid)


def become_subreaper() -> None:
    """Adopt the orphans among our descendants (PR_SET_CHILD_SUBREAPER, Linux 3.4).

    PID 1 adopts all orphans of its PID namespace anyway (pid_namespaces(7)).  Raises `OSError`
    where the kernel, a seccomp profile or an emulation (qemu-user) refuses.
    """
    if os.getpid() == 1:
        return
    try:
        _prctl.prctl(_prctl.PR_SET_CHILD_SUBREAPER, 1)
    except OSError as error:
        raise OSError(error.errno, f"cannot become a subreaper: {error.strerror}") from None


def set_name(name: str) -> None:
    """Set the name that ps(1) and pgrep(1) show for us; ignore a failure."""
    try:
        _prctl.prctl(_prctl.PR_SET_NAME, name)
    except OSError:
        pass


def set_parent_death_signal(signo: int) -> None:
    """Have the kernel send us `signo` when our parent dies (PR_SET_PDEATHSIG).

    The kernel does not report a parent that died just before: if we have a new parent, it did.
    Raises `OSError` (EINVAL) if the kernel does not know the signal.
    """
    parent = os.getppid()
    try:
        _prctl.prctl(_prctl.PR_SET_PDEATHSIG, signo)
    except OSError as error:
        raise OSError(error.errno, f"no parent death signal {signo}: {error.strerror}") from None
    if os.getppid() != parent:
        _signal_ourselves(signo)


def open_pidfd(pid: int) -> int:
    """Open a descriptor that becomes readable when child `pid` ends; it is close-on-exec.

    Raises `OSError`: EPERM or ENOSYS under an old seccomp profile or gVisor, EMFILE or
    ENFILE without a free descriptor.  SIGCHLD alone is enough then.
    """
    if not hasattr(os, "pidfd_open"):  # a Python built on headers older than Linux 5.3
        raise OSError(errno.ENOSYS, "not known to this Python")
    return os.pidfd_open(pid)


def yield_cpu() -> None:
    """Let other processes run first; ignore that a seccomp profile refuses."""
    try:
        os.sched_yield()
    except OSError:
        pass


def pause(seconds: float) -> None:
    """Sleep, at most 1 s; ignore that a seccomp profile refuses."""
    try:
        time.sleep(seconds)
    except OSError:
        pass


def close(fd: int) -> None:
    """Close a descriptor; ignore EINTR, EIO and ENOSPC.

    The descriptor is gone in each case (close(2)).
    """
    try:
        os.close(fd)
    except OSError:
        pass


def set_blocking(fd: int, is_blocking: bool) -> None:
    """Set or clear O_NONBLOCK, for all who share the open file; ignore a failure."""
    try:
        os.set_blocking(fd, is_blocking)
    except OSError:  # a seccomp profile
        pass


def send(pid: int, signo: int) -> OSError | None:
    """Send a signal to a child that we have not reaped; a negative pid means its group.

    Until a child is reaped its pid, and the group of that number, cannot be reused: the signal
    cannot hit a stranger.  Returns the error, if any: ESRCH for an empty group, EPERM for a
    process of another user.
    """
    try:
        os.kill(pid, signo)
    except OSError as error:
        return error
    return None


def send_to_all(signo: int) -> bool:
    """As PID 1, send a signal to all others in our PID namespace and below it (kill(2)).

    Returns False if we are not PID 1, as it would hit strangers, or if we may signal none (EPERM).
    """
    if os.getpid() != 1:
        return False
    error = send(-1, signo)
    return error is None or error.errno == errno.ESRCH  # nobody is left


def queue(pid: int, signo: int, value: int) -> OSError | None:
    """Send a signal that carries a value, as sigqueue(3) does.

    Returns the error, if any.  After EAGAIN, a full queue (RLIMIT_SIGPENDING), it uses kill(2),
    which needs no room in the queue: the value is lost, the signal arrives.
    """
    from rebound.kernel import libc

    try:
        libc.sigqueue(pid, signo, value)
    except BlockingIOError:
        return send(pid, signo)
    except OSError as error:
        return error
    return None


def suspend(signo: int) -> None:
    """Stop ourselves by the default action of `signo`; return once continued.

    The kernel does not stop PID 1, nor a member of an orphaned process group, which no shell
    could continue (setpgid(2)).  Then this returns at once.
    """
    _signal_ourselves(signo)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [signo])
    _signal.pthread_sigmask(_signal.SIG_BLOCK, [signo])


def _signal_ourselves(signo: int) -> None:
    try:
        # This uses tgkill(2).  A refused getpid(2) returns -1, which to kill(2) means everybody.
        _signal.raise_signal(signo)
    except OSError:  # a seccomp profile refuses: the signal is not sent
        pass


def shares_our_group(pid: int) -> bool:
    """Return whether an unreaped child is in our process group: terminal keys reach it then."""
    try:
        return os.getpgid(pid) == os.getpgrp()
    except OSError:
        return False


def is_session_leader() -> bool:
    """Return whether we lead our session; the kernel sends a hang-up to the leader alone.

    Returns True if a seccomp profile refuses to tell: better forward it twice than never.
    """
    try:
        return os.getsid(0) == os.getpid()
    except OSError:
        return True


def make_directory(path: str | bytes) -> None:
    """Make a directory with the mode of the umask; do nothing if it is there.

    Raises `OSError`: EACCES, EROFS, ENOENT without a parent.
    """
    try:
        os.mkdir(path)
    except FileExistsError:  # perhaps another rebound has just made it
        pass


def cpu_time() -> float:
    """Return how many seconds of CPU time this thread has taken; 0 if a seccomp profile refuses.

    Time in which the kernel lets others run does not count.
    """
    try:
        return time.thread_time()
    except OSError:
        return 0.0


def chance() -> float:
    """Return a random number from 0 to 1; 0 if the kernel gives none."""
    try:
        return os.urandom(1)[0] / 255
    except (OSError, NotImplementedError):  # neither getrandom(2) nor /dev/urandom
        return 0.0
