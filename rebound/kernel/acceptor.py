"""Accepts the connections of a listening socket, also where no descriptor is left."""

from __future__ import annotations

import _socket
import os

from rebound.kernel import linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Acceptor:
    """Hands each connection to `take`, at most `batch` at a time.

    Raises `OSError` without a free descriptor.
    """

    def __init__(
        self, listener: int, take: Callable[[_socket.socket], None], batch: int = 1
    ) -> None:
        self._take = take
        self._batch = batch
        self._spare = os.dup(listener)
        self._listener = _socket_of(listener)

    def close(self) -> None:
        """Close what was opened here; the listening socket stays."""
        self._listener.detach()
        self._close_spare()

    def accept(self) -> bool:
        """Accept the connections that wait; return False if that is impossible now."""
        for _ in range(self._batch):
            try:
                socket = _accept(self._listener)
            except BlockingIOError:
                break
            except OSError:
                # EMFILE, ENFILE: the connection would wait, and the loop spin.  The spare
                # descriptor lets us accept it, and close it.
                return self._refuse()
            self._take(socket)
        return True

    def _refuse(self) -> bool:
        self._close_spare()
        try:
            linux.close(_accept(self._listener).detach())
        except BlockingIOError:  # the client has gone meanwhile (ECONNABORTED)
            pass
        except OSError:
            return False
        try:
            self._spare = os.dup(self._listener.fileno())
        except OSError:
            return False
        return True

    def _close_spare(self) -> None:
        if self._spare >= 0:
            linux.close(self._spare)
            self._spare = -1


def _accept(listener: _socket.socket) -> _socket.socket:
    # This is `socket.accept` without the module `socket`, whose half is in Python.
    fd, _address = listener._accept()  # type: ignore[attr-defined]
    return _socket_of(fd)


def _socket_of(fd: int) -> _socket.socket:
    # We say what kind it is, so that it need not ask the kernel, which may fail.  Another family
    # does no harm: it tells how long an address may be, and this one has the longest.
    return _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, fd)
