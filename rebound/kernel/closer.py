"""Closes descriptors that somebody else has sent, without waiting for it."""

from __future__ import annotations

import _thread
import os

from rebound.kernel import linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rebound.kernel.loop import Loop

_MANY = 128
"""As many waiting descriptors are many: whoever gets more should wait."""

_MOST_THREADS = 8
"""As many descriptors may block in close(2), for ever, and the others are closed all the same."""

_STACK_SIZE = 262_144

_ALL = 2**64 - 1
"""All signals, one a bit."""


class Closer:
    """Closes in threads: close(2) may take any time.

    A socket with SO_LINGER waits until its peer has all data, a file of FUSE for its daemon.
    A thread ends when nothing is left to close, so mostly there is none.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._lock = _thread.allocate_lock()
        self._waiting: list[int] = []
        self._threads = 0
        self._wake_up = -1  # an eventfd(2) while somebody waits
        self._resume: Callable[[], None] = lambda: None

    @property
    def is_behind(self) -> bool:
        """Whether many descriptors wait to be closed."""
        return len(self._waiting) >= _MANY

    def close(self, fds: Iterable[int]) -> None:
        """Close these descriptors, now or soon."""
        with self._lock:
            self._waiting += fds
            # Those that run already may be blocked.
            wanted = min(len(self._waiting), _MOST_THREADS - self._threads)
        for _ in range(wanted):
            if not self._start_thread():
                return

    def _start_thread(self) -> bool:
        with self._lock:
            self._threads += 1
        # The first time, the C library lets its own two signals through, even if that fails
        # (pthread_create of glibc).  Sent to us, one would not wait for the signalfd, but end us.
        mask = _signal_mask()
        is_started = True
        try:
            _thread.stack_size(_STACK_SIZE)
            _thread.start_new_thread(self._work, ())
        except (RuntimeError, MemoryError):  # EAGAIN: pids.max of cgroups; a seccomp profile
            is_started = False
        _set_signal_mask(mask)
        if not is_started and self._threads == 1:
            self._work(may_wait=False)
        elif not is_started:
            with self._lock:
                self._threads -= 1
        return is_started

    def wait(self, resume: Callable[[], None]) -> bool:
        """Have the loop call `resume` when few are left; return False if that cannot be had."""
        self._resume = resume
        if self._wake_up >= 0:
            return True
        try:
            fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        except OSError:  # EMFILE, ENFILE, ENOMEM
            return False
        try:
            self._loop.watch(fd, self._catch_up)
        except OSError:  # ENOMEM, ENOSPC
            linux.close(fd)
            return False
        with self._lock:
            self._wake_up = fd
            self._wake()
        return True

    def _catch_up(self) -> None:
        with self._lock:
            fd, self._wake_up = self._wake_up, -1
        if fd >= 0:
            self._loop.close_watched(fd)
            self._resume()

    def _wake(self) -> None:
        if self._wake_up >= 0 and len(self._waiting) < _MANY:
            try:
                os.eventfd_write(self._wake_up, 1)
            except OSError:  # EAGAIN: it is readable already
                pass

    # --- In the threads -------------------------------------------------------------------

    def _work(self, *, may_wait: bool = True) -> None:
        if may_wait:
            _set_signal_mask(_ALL)
        while True:
            with self._lock:
                self._wake()
                if not self._waiting:
                    self._threads -= 1
                    return
                fd = self._waiting.pop()
            if not may_wait:
                stop_lingering([fd])
            linux.close(fd)


def _signal_mask() -> int | None:
    try:
        from rebound.kernel import libc

        return libc.signal_mask()
    except (ImportError, OSError):  # a seccomp profile
        return None


def _set_signal_mask(bits: int | None) -> None:
    if bits is None:
        return
    try:
        from rebound.kernel import libc

        libc.set_signal_mask(bits)
    except OSError:  # a seccomp profile
        pass


def stop_lingering(fds: Iterable[int]) -> None:
    """Have close(2) not wait for the peers of these sockets (SO_LINGER of socket(7)).

    They still get all data.  One that is to be reset by its close stays so.
    """
    import _socket

    for fd in fds:
        try:
            socket = _socket.socket(fileno=fd)
        except OSError:  # ENOTSOCK
            continue
        try:
            # struct linger: whether it is on, and for how many seconds.
            linger = socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, 8)
            if any(linger[:4]) and any(linger[4:]):
                socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, bytes(8))
        except OSError:  # a seccomp profile
            pass
        finally:
            socket.detach()
