"""Watches descriptors whose handlers can wait: a turn of the loop calls one of them at most."""

from __future__ import annotations

import select

from rebound.kernel import linux
from rebound.kernel.loop import READABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rebound.kernel.loop import Loop


class Aside:
    """An epoll of its own within the loop's (epoll(7)).

    However many of its descriptors are ready, the loop sees one.  So between any two handlers
    the loop looks for signals.  Raises `OSError`: EMFILE, ENFILE, ENOMEM.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._watched: dict[int, Callable[[], None]] = {}
        self._epoll = select.epoll()
        self._is_paused = True
        try:
            self.resume()
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

    def pause(self) -> None:
        """Call no handler until `resume`."""
        if not self._is_paused:
            self._loop.ignore(self._epoll.fileno())
            self._is_paused = True

    def resume(self) -> None:
        """Go on after `pause`.  Raises `OSError`: ENOMEM, ENOSPC."""
        if self._is_paused:
            self._loop.watch(self._epoll.fileno(), self._turn)
            self._is_paused = False

    def close(self) -> None:
        """Close the epoll, but nothing that it watches."""
        self.pause()
        self._watched.clear()
        try:
            self._epoll.close()
        except OSError:  # as with linux.close
            pass

    def _turn(self) -> None:
        if self._epoll.closed:
            return  # by an earlier handler of this turn
        try:
            ready = self._epoll.poll(0, 1)
        except OSError:  # the loop's own poll fails, too, and sees to it
            return
        for fd, _events in ready:
            handler = self._watched.get(fd)
            if handler:
                handler()
