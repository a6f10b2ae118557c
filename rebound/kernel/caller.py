"""The process that calls `supervise`: what it must be, and how it gets its signals back."""

from __future__ import annotations

import _thread
import os

from rebound.core import signals
from rebound.kernel import linux, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from types import FrameType

    Handler = Callable[[int, FrameType | None], object] | int | None
else:
    import _signal

_LOOKS, _BETWEEN = 100, 0.01
"""How often to look for other threads until none is left, and the seconds between two looks:
`Thread.join` returns a little before the kernel's thread is gone."""

_MOST_NAMED = 5


def require_alone() -> None:
    """Make sure that this is the main thread of a process with no other thread and no child.

    Raises `RuntimeError`; its text says which thread or child there is.
    """
    if _thread.get_native_id() != os.getpid():
        raise RuntimeError("supervise works in the main thread only, and this is another one")
    threads = _other_threads()
    for _ in range(_LOOKS):
        if not threads:
            break
        linux.pause(_BETWEEN)
        threads = _other_threads()
    if threads:
        raise RuntimeError(
            "supervise needs a process without other threads, since a signal that one of them "
            f"takes is lost or ends the process; there are: {_list(threads)}"
        )
    if processes.has_children():
        children = [processes.process_name(pid) for pid in processes.children()]
        raise RuntimeError(
            "supervise needs a process without children, since it would stop and reap them; "
            f"there are: {_list(children)}"
        )


def _list(names: list[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")


def _other_threads() -> list[str]:
    # A thread with all signals blocked would do no harm, but a thread that is just being made
    # looks the same: the C library unblocks its signals as soon as it runs.
    try:
        # /proc may belong to an outer PID namespace: `self` leads to our number there, too.
        own = os.readlink("/proc/self")
        return [_thread_name(tid) for tid in os.listdir("/proc/self/task") if tid != own]
    except OSError:
        # Without /proc we can count Python's threads, but not those of a C library.
        return ["a thread"] * _thread._count()


def _thread_name(tid: str) -> str:
    try:
        with open(f"/proc/self/task/{tid}/comm", "rb") as comm:
            return f"{comm.read().decode(errors='replace').strip()} (thread {tid})"
    except OSError:  # ENOENT, ESRCH: it has just ended
        return f"thread {tid}"


class Signals:
    """The caller's signal mask, and its handler of SIGCHLD."""

    def __init__(self) -> None:
        self._mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
        self._on_child: Handler = _signal.getsignal(signals.SIGCHLD)

    def restore(self) -> None:
        """Undo `linux.block_signals` and `linux.stop_ignoring_children`."""
        try:
            linux.stop_ignoring_children()  # this drops pending SIGCHLDs of our children
            if self._on_child is not None:  # None: a handler in C, which Python cannot restore
                _signal.signal(signals.SIGCHLD, self._on_child)
        finally:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, self._mask)
