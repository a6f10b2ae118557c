"""The system calls, thin: each function names what can fail, why, and what then.

It decides nothing.  What Python's own modules lack is in `libc`, which needs ctypes and
is loaded only after the command has been started.
"""

from __future__ import annotations

import errno
import os
import time

import _prctl  # the C half of python-prctl; the Python half takes longer to load than to use

from rebound.core import signals
from rebound.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

SI_KERNEL = 0x80
"""`si_code` of a signal that the kernel sent of its own accord, e.g. for ^C (sigaction(2))."""


class Inherited(Record):
    """What rebound was started with, and every run of the command gets."""

    mask: frozenset[int]
    """The blocked signals, without those of the C library, which it lets nobody block."""
    ignored: frozenset[int]
    """The ignored signals."""


class NoProcess(OSError):
    """The system refuses a process, or to prepare it: it did not come to the exec."""


def valid_signals() -> frozenset[int]:
    """Give the signals that the C library lets us name: all but the few that it uses itself."""
    return frozenset(int(signo) for signo in _signal.valid_signals())


def block_signals() -> Inherited:
    """Block every signal that can be; say what was blocked and ignored before.

    From here on a signal waits in the kernel until it is read.  Python has ignored
    SIGPIPE and SIGXFSZ before any of our code ran, so those two count as not ignored.
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
    """Undo `block_signals`; what is pending is delivered now."""
    _signal.pthread_sigmask(_signal.SIG_SETMASK, inherited.mask)


def default_signals(inherited: Inherited) -> frozenset[int]:
    """Give the signals whose action in the command is the default one.

    Exec keeps ignored signals ignored, and Python ignores two that were not so before.
    """
    return valid_signals() - inherited.ignored


def reset_signals(inherited: Inherited) -> None:
    """Have all those take their default action."""
    for signo in default_signals(inherited) - {signals.SIGKILL, signals.SIGSTOP}:
        _signal.signal(signo, _signal.SIG_DFL)


def end_on_interrupt() -> None:
    """Let ^C end us as it does any other tool, without a word: Python would raise an error."""
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
    """Take one blocked signal without any descriptor: (signo, code, pid), None on timeout."""
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
    """Set what ps(1) and pgrep(1) show as our command name; no matter if it fails."""
    try:
        _prctl.prctl(_prctl.PR_SET_NAME, name)
    except OSError:
        pass


def set_parent_death_signal(signo: int) -> None:
    """Have the kernel send us `signo` when our parent dies (PR_SET_PDEATHSIG).

    A parent that died just before would go unnoticed: a new parent means that it did.
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
    ENFILE without a free descriptor.  SIGCHLD alone does then.
    """
    if not hasattr(os, "pidfd_open"):  # a Python built on headers older than Linux 5.3
        raise OSError(errno.ENOSYS, "not known to this Python")
    return os.pidfd_open(pid)


def yield_cpu() -> None:
    """Let others run first; a seccomp profile may refuse that, and it is no matter then."""
    try:
        os.sched_yield()
    except OSError:
        pass


def pause(seconds: float) -> None:
    """Do nothing for some time, at most 1 s; a seccomp profile may refuse that, too."""
    try:
        time.sleep(seconds)
    except OSError:
        pass


def close(fd: int) -> None:
    """Let go of a descriptor.

    It is gone then, whatever close(2) says: EINTR, EIO, ENOSPC.
    """
    try:
        os.close(fd)
    except OSError:
        pass


def send(pid: int, signo: int) -> OSError | None:
    """Send a signal to a child that we have not reaped; a negative pid means its group.

    Until a child is reaped its pid, and the group of that number, cannot be reused, so
    this cannot hit a stranger.  Returns the error: ESRCH for an empty group, EPERM for a
    process of another user.
    """
    try:
        os.kill(pid, signo)
    except OSError as error:
        return error
    return None


def send_to_all(signo: int) -> bool:
    """As PID 1, send a signal to all others in our PID namespace and below it (kill(2)).

    False if we are not PID 1, where that would hit strangers, or may signal none (EPERM).
    """
    if os.getpid() != 1:
        return False
    error = send(-1, signo)
    return error is None or error.errno == errno.ESRCH  # nobody is left


def queue(pid: int, signo: int, value: int) -> OSError | None:
    """Send a signal that carries a value, as sigqueue(3) does.

    Returns the error.  EAGAIN, a full queue (RLIMIT_SIGPENDING), is left to kill(2),
    which always leaves a mark: the value is lost, the signal is not.
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
    """Stop ourselves as the stop signal `signo` by default does; return once continued.

    The kernel's own rules hold: neither PID 1 nor a member of an orphaned process group,
    which no shell could continue, is stopped (setpgid(2)).  Then it returns at once.
    """
    _signal_ourselves(signo)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [signo])
    _signal.pthread_sigmask(_signal.SIG_BLOCK, [signo])


def _signal_ourselves(signo: int) -> None:
    try:
        # By tgkill(2).  Of a getpid(2) that is refused -1 comes, which to kill(2) means everybody.
        _signal.raise_signal(signo)
    except OSError:  # a seccomp profile refuses; then it is not sent
        pass


def shares_our_group(pid: int) -> bool:
    """Whether an unreaped child is in our process group, so that terminal keys reach it."""
    try:
        return os.getpgid(pid) == os.getpgrp()
    except OSError:
        return False


def is_session_leader() -> bool:
    """Whether we lead our session; the kernel sends a hang-up to the leader alone.

    Where a seccomp profile refuses to tell, we may: rather forward it twice than not at all.
    """
    try:
        return os.getsid(0) == os.getpid()
    except OSError:
        return True


def make_directory(path: str | bytes) -> None:
    """Make a directory, as the umask says; do nothing if it is there.

    Raises `OSError`: EACCES, EROFS, ENOENT without a parent.
    """
    try:
        os.mkdir(path)
    except FileExistsError:  # perhaps only since another rebound has just made it
        pass


def chance() -> float:
    """Return a number from 0 to 1; 0 where the kernel gives no random one."""
    try:
        return os.urandom(1)[0] / 255
    except (OSError, NotImplementedError):  # neither getrandom(2) nor /dev/urandom
        return 0.0
