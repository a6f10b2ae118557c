"""A loop that turns when a test says so, and waits for nothing."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from rebound.kernel.loop import READABLE

if TYPE_CHECKING:
    from rebound.kernel.loop import Loop

Handler = Callable[[], None]


class Turns:
    """What the parts ask of `Loop`, with real descriptors."""

    def __init__(self) -> None:
        self.watched: dict[int, Handler] = {}
        self.is_full = False
        """Whether nothing more can be watched."""
        self.repeated: list[tuple[Handler, float]] = []
        """What is to be called again and again, and after how many seconds."""
        self._poll = select.poll()

    @property
    def as_loop(self) -> Loop:
        """The same, for type checkers."""
        return cast("Loop", self)

    def watch(self, fd: int, handler: Handler, events: int = READABLE) -> None:
        """As of the real one; a descriptor may be watched but once."""
        assert fd not in self.watched
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.watched[fd] = handler
        self._poll.register(fd, events)  # POLLIN and POLLOUT have the numbers of epoll's

    def repeat(self, handler: Handler, seconds: float) -> None:
        """As of the real one; a test calls it."""
        self.cease(handler)
        self.repeated.append((handler, seconds))

    def cease(self, handler: Handler) -> None:
        """As of the real one."""
        self.repeated = [(other, seconds) for other, seconds in self.repeated if other != handler]

    def ignore(self, fd: int) -> None:
        """As of the real one."""
        if self.watched.pop(fd, None):
            self._poll.unregister(fd)

    def close_watched(self, fd: int) -> None:
        """As of the real one."""
        self.ignore(fd)
        os.close(fd)

    def ready(self) -> list[Handler]:
        """The handlers that are to be called now."""
        return [self.watched[fd] for fd, _events in self._poll.poll(0)]

    def turn(self) -> None:
        """Call them; an earlier one may have closed the descriptor of a later one."""
        for handler in self.ready():
            handler()
