"""What `supervise` asks of the process that calls it, and leaves as it was."""

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
"""How often, and with how many seconds between, other threads are looked for until there are
none: `Thread.join` returns a little before the kernel's thread is gone."""

_MOST_NAMED = 5


def require_alone() -> None:
    """Make sure that this is the main thread of a process with no other thread and no child.

    Raises `RuntimeError`, which says what there is.
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
    # One that has blocked all signals would be no matter, but cannot be told from one that is
    # being made: the C library unblocks them as soon as that runs.
    try:
        # With the number that we have there, also where /proc is that of an outer namespace.
        own = os.readlink("/proc/self")
        return [_thread_name(tid) for tid in os.listdir("/proc/self/task") if tid != own]
    except OSError:
        # Without /proc those of Python can be counted, but not those of a library in C.
        return ["a thread"] * _thread._count()


def _thread_name(tid: str) -> str:
    try:
        with open(f"/proc/self/task/{tid}/comm", "rb") as comm:
            return f"{comm.read().decode(errors='replace').strip()} (thread {tid})"
    except OSError:  # ENOENT, ESRCH: it has just ended
        return f"thread {tid}"


class Signals:
    """The caller's signal mask, and what it does about SIGCHLD."""

    def __init__(self) -> None:
        self._mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
        self._on_child: Handler = _signal.getsignal(signals.SIGCHLD)

    def restore(self) -> None:
        """Undo `linux.block_signals` and `linux.stop_ignoring_children`."""
        try:
            linux.stop_ignoring_children()  # by which waiting SIGCHLDs, of our children, are lost
            if self._on_child is not None:  # None: a handler in C, which cannot be had back
                _signal.signal(signals.SIGCHLD, self._on_child)
        finally:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, self._mask)
