"""One epoll over the signalfd and the watched descriptors; it knows no processes."""

from __future__ import annotations

import time

from rebound.core import signals
from rebound.core.record import Record
from rebound.kernel import linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    from collections.abc import Callable, Sequence
    from typing import Protocol

    class Signal(Protocol):
        """A signal as the loop hands it over, see sigaction(2) and signalfd(2)."""

        # Read-only, so that both a Record and a ctypes structure fit.
        @property
        def signo(self) -> int: ...  # noqa: D102
        @property
        def code(self) -> int: ...  # noqa: D102
        @property
        def pid(self) -> int: ...  # noqa: D102
        @property
        def value(self) -> int | None: ...  # noqa: D102


_LONGEST_WAIT = 86400.0
"""Seconds.  epoll_wait(2) counts milliseconds in an int, and overflows after 24 days."""

_RETRY = 1.0
"""Seconds between attempts to get the descriptors that the loop needs."""

_MAX_READY = 8

# epoll_ctl(2); `select` is loaded only once the command has started.
READABLE, WRITABLE = 1, 4
HUNG_UP = 0
"""What a descriptor is watched for.  HUNG_UP, EPOLLHUP and EPOLLERR, is always among it."""

_SIGNALS = range(1, signals.LAST + 1)
"""All signals, even those that were ignored when rebound started: the kernel keeps a blocked
signal although it is ignored (kernel/signal.c, sig_ignored)."""


class PlainSignal(Record):
    """A signal from sigtimedwait(2); Python does not return its value."""

    signo: int
    code: int
    pid: int
    value: int | None = None


class Loop:
    """Waits for signals and descriptors.

    Its own descriptors are made at the first wait, which is after the command's first
    start.  If it can make none (EMFILE, ENFILE, ENOMEM), it takes the signals with
    sigtimedwait(2), which needs none, and tries again every second.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._watched: dict[int, tuple[Callable[[], None], int]] = {}
        self._repeated: dict[Callable[[], None], tuple[float, float]] = {}  # (when due, how often)
        self._epoll: select.epoll | None = None
        self._signalfd = -1
        self._complained = False

    def watch(self, fd: int, handler: Callable[[], None], events: int = READABLE) -> None:
        """Have `wait` return `handler` when `fd` is readable, WRITABLE or HUNG_UP.

        Raises `OSError`: ENOMEM, ENOSPC; EPERM for a file that cannot be polled, if the loop
        has an epoll already.
        """
        if self._epoll is not None:
            self._epoll.register(fd, events)
        self._watched[fd] = (handler, events)

    def ignore(self, fd: int) -> None:
        """Undo `watch`."""
        if self._watched.pop(fd, None) and self._epoll is not None:
            try:
                self._epoll.unregister(fd)
            except OSError:  # ENOMEM: this epoll would go on reporting that descriptor
                self.close()  # the next wait makes another one

    def forget(self, fd: int) -> None:
        """Undo `watch` of a descriptor that is closed next.

        Closing takes it out of the epoll (epoll(7)), because no other descriptor refers to its
        file: it is close-on-exec, and a spawn returns only after the exec.
        """
        self._watched.pop(fd, None)

    def close_watched(self, fd: int) -> None:
        """Undo `watch`, and close `fd`."""
        self.forget(fd)
        linux.close(fd)

    def repeat(self, handler: Callable[[], None], seconds: float) -> None:
        """Have `wait` return `handler` again and again, after so many seconds each.

        If the loop has not turned for longer, it is due once.
        """
        self._repeated[handler] = (time.monotonic() + seconds, seconds)

    def cease(self, handler: Callable[[], None]) -> None:
        """Undo `repeat`."""
        self._repeated.pop(handler, None)

    def wait(self, timeout: float | None) -> tuple[Sequence[Signal], Sequence[Callable[[], None]]]:
        """Wait until something happens; return (signals in their order, handlers to call).

        Both are empty only on timeout.  `timeout` is in seconds, None = no limit.  A handler
        may find nothing to do: an earlier one may have closed its descriptor; and without an
        epoll all handlers are returned.
        """
        if not self._repeated:
            return self._wait(timeout)
        left = min(due for due, _interval in self._repeated.values()) - time.monotonic()
        received, ready = self._wait(left if timeout is None else min(timeout, left))
        now = time.monotonic()
        late = [handler for handler, (due, _interval) in self._repeated.items() if now >= due]
        for handler in late:
            interval = self._repeated[handler][1]
            self._repeated[handler] = (now + interval, interval)
        return received, [*ready, *late]

    def _wait(self, timeout: float | None) -> tuple[Sequence[Signal], Sequence[Callable[[], None]]]:
        if timeout is not None:
            timeout = min(max(timeout, 0.0), _LONGEST_WAIT)
        epoll = self._epoll or self._open()
        if epoll is None:
            return self._wait_without_descriptors(timeout)
        try:
            return self._wait_with(epoll, timeout)
        except OSError as error:
            self._go_on_without(error)
            return self._wait_without_descriptors(timeout)

    def _wait_with(
        self, epoll: select.epoll, timeout: float | None
    ) -> tuple[Sequence[Signal], Sequence[Callable[[], None]]]:
        received: Sequence[Signal] = ()
        ready = []
        for fd, _events in epoll.poll(timeout, _MAX_READY):
            if fd == self._signalfd:
                received = self._read_signals(fd)
            elif fd in self._watched:
                ready.append(self._watched[fd][0])
            else:  # its descriptor was not closed, and would keep the loop busy
                self.close()
        return received, ready

    def close(self) -> None:
        """Close the loop's own descriptors."""
        if self._epoll is not None:
            try:
                self._epoll.close()
            except OSError:  # as with linux.close
                pass
            self._epoll = None
        if self._signalfd >= 0:
            linux.close(self._signalfd)
            self._signalfd = -1

    def _open(self) -> select.epoll | None:
        try:
            import select

            from rebound.kernel import libc

            self._read_signals = libc.read_signals
            self._epoll = select.epoll(select.EPOLL_CLOEXEC)
            self._signalfd = libc.open_signalfd(_SIGNALS)
            self._epoll.register(self._signalfd, READABLE)
            for fd, (_handler, events) in list(self._watched.items()):
                try:
                    self._epoll.register(fd, events)
                except OSError:
                    if events != HUNG_UP:
                        raise
                    # EPERM, EBADF: it cannot be polled.  ENOSPC: we can do without it.
                    del self._watched[fd]
        except Exception as error:
            # OSError; ImportError, MemoryError: loading ctypes takes a descriptor and memory.
            self._go_on_without(error)
        return self._epoll

    def _go_on_without(self, error: Exception) -> None:
        """Close descriptors that do not work; the next wait tries to make new ones."""
        self.close()
        if not self._complained:
            self._say(f"no signalfd or epoll ({error}); going on without, trying again")
            self._complained = True

    def _wait_without_descriptors(
        self, timeout: float | None
    ) -> tuple[Sequence[Signal], Sequence[Callable[[], None]]]:
        taken = linux.wait_for_signal(_RETRY if timeout is None else min(timeout, _RETRY))
        received = [PlainSignal(*taken)] if taken else []
        return received, [handler for handler, _events in self._watched.values()]
