"""Watches descriptors whose handlers can wait: one a turn, and a small share of the time."""

from __future__ import annotations

import select
import time

from rebound.kernel import linux
from rebound.kernel.loop import READABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rebound.kernel.loop import Loop

_SHARE = 0.02
"""The share of one CPU that all handlers together may take in the long run: some 300 calls a
second.  With 0.05 the slowest hundredth of all signals takes twice as long."""

_CREDIT = 0.05
"""Seconds that they may take at once after a time without work: some 700 calls."""

_REST = 0.02
"""Seconds: the least time between two groups of calls once that is used up."""


class Aside:
    """An epoll of its own within the loop's (epoll(7)).

    However many of its descriptors are ready, the loop sees one: so between any two handlers
    the loop looks for signals.  Whoever keeps them busy takes no more than a share of the CPU.
    Raises `OSError`: EMFILE, ENFILE, ENOMEM.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._watched: dict[int, Callable[[], None]] = {}
        self._credit = _CREDIT
        self._paid_at = time.monotonic()
        self._is_resting = False
        self._epoll = select.epoll()
        try:
            loop.watch(self._epoll.fileno(), self._turn)
        except OSError:
            self._epoll.close()
            raise

    def watch(self, fd: int, handler: Callable[[], None], events: int = READABLE) -> None:
        """Have `handler` called when `fd` is readable or WRITABLE; it may be watched already.

        Raises `OSError`: ENOMEM, ENOSPC.
        """
        if fd in self._watched:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._watched[fd] = handler

    def close_watched(self, fd: int) -> None:
        """Close `fd`, which takes it out of the epoll: no other descriptor refers to its file."""
        self._watched.pop(fd, None)
        linux.close(fd)

    def rest(self, seconds: float) -> None:
        """Call no handler for that time."""
        if not self._is_resting:
            self._loop.ignore(self._epoll.fileno())
            self._is_resting = True
        self._loop.repeat(self._go_on, seconds)

    def close(self) -> None:
        """Close the epoll, but nothing that it watches."""
        if self._epoll.closed:
            return
        self._loop.cease(self._go_on)
        self._loop.ignore(self._epoll.fileno())
        self._watched.clear()
        try:
            self._epoll.close()
        except OSError:  # as with linux.close
            pass

    def _go_on(self) -> None:
        try:
            self._loop.watch(self._epoll.fileno(), self._turn)
        except OSError:  # ENOMEM, ENOSPC: once more after the same time
            return
        self._loop.cease(self._go_on)
        self._is_resting = False

    def _turn(self) -> None:
        if self._epoll.closed or self._is_resting:
            return  # since an earlier handler of this turn
        before = linux.cpu_time()
        try:
            self._call_one()
        finally:
            self._pay(linux.cpu_time() - before)

    def _call_one(self) -> None:
        try:
            ready = self._epoll.poll(0, 1)
        except OSError:  # the loop's own poll fails, too, and sees to it
            return
        for fd, _events in ready:
            handler = self._watched.get(fd)
            if handler:
                handler()

    def _pay(self, taken: float) -> None:
        now = time.monotonic()
        self._credit = min(self._credit + (now - self._paid_at) * _SHARE, _CREDIT) - taken
        self._paid_at = now
        if self._credit < 0 and not self._is_resting and not self._epoll.closed:
            self.rest(max(_REST, -self._credit / _SHARE))
