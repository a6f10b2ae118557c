"""Closes descriptors that somebody else has sent, without waiting for it."""

from __future__ import annotations

import _thread
import os

from rebound.kernel import linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rebound.kernel.loop import Loop

_MANY = 256
"""As many waiting descriptors are many: whoever gets more should wait."""

_STACK_SIZE = 262_144


class Closer:
    """Closes in a thread: close(2) may take any time.

    A socket with SO_LINGER waits until its peer has all data, a file of FUSE for its daemon.
    The thread ends when nothing is left to close, so mostly there is none.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._lock = _thread.allocate_lock()
        self._waiting: list[int] = []
        self._is_running = False
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
            if self._is_running or not self._waiting:
                return
            self._is_running = True
        try:
            _thread.stack_size(_STACK_SIZE)
            _thread.start_new_thread(self._work, ())
        except (RuntimeError, MemoryError):  # EAGAIN: pids.max of cgroups; a seccomp profile
            self._work()

    def wait(self, resume: Callable[[], None]) -> bool:
        """Have the loop call `resume` when all are closed; return False if that cannot be had."""
        self._resume = resume
        if self._wake_up >= 0:
            return True
        try:
            fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        except OSError:  # EMFILE, ENFILE, ENOMEM
            return False
        try:
            self._loop.watch(fd, self._caught_up)
        except OSError:  # ENOMEM, ENOSPC
            linux.close(fd)
            return False
        with self._lock:
            self._wake_up = fd
            if not self._is_running:
                os.eventfd_write(fd, 1)
        return True

    def _caught_up(self) -> None:
        with self._lock:
            if self._is_running or self._wake_up < 0:
                return
            fd, self._wake_up = self._wake_up, -1
        self._loop.close_watched(fd)
        self._resume()

    # --- In the thread --------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._is_running = False
                    if self._wake_up >= 0:
                        os.eventfd_write(self._wake_up, 1)
                    return
                fd = self._waiting.pop()
            linux.close(fd)
