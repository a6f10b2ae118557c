"""Serves the socket for status and control, one request a connection.

A client sends a line, `status` or `restart`, and gets one JSON object in a line: the status
(after `restart`, that of the new run), or `{"error": "…"}`.  A client that is slow, silent,
one too many or a stranger loses its own connection, and disturbs nothing else.
"""

from __future__ import annotations

import _socket
import sys

from rebound.core import events
from rebound.core.jsontext import to_json
from rebound.kernel import linux, processes
from rebound.kernel.acceptor import Acceptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rebound.kernel.loop import Loop

_LONGEST_REQUEST = 64
_MOST_CLIENTS = 8
"""The most connections without a request at a time, and the most that wait for a restart."""

_BATCH = 16
"""The most connections that are accepted before other events get their turn."""

_UCRED_SIZE = 12  # struct ucred: pid, uid, gid (unix(7))


class Client:
    """One connection."""

    __slots__ = ("awaits_restart", "request", "socket")

    def __init__(self, socket: _socket.socket) -> None:
        self.socket = socket
        self.request = b""
        self.awaits_restart = False


class Control:
    """Serves the clients of the listening socket `listener`, in rebound's one loop.

    `status` returns the fields of an answer.  If it does not serve all PID namespaces, it serves
    ours and those below it.  Raises `OSError` without a free descriptor.
    """

    def __init__(
        self,
        listener: int,
        loop: Loop,
        status: Callable[[], dict[str, object]],
        step: Callable[[events.Event], None],
        *,
        serves_all_namespaces: bool = True,
    ) -> None:
        self._serves_all_namespaces = serves_all_namespaces
        self._loop = loop
        self._status = status
        self._step = step
        self._clients: dict[int, Client] = {}
        self._acceptor = Acceptor(listener, self._take, _BATCH)

    def close(self) -> None:
        """Close all connections; the listening socket stays."""
        for client in list(self._clients.values()):
            self._drop(client)
        self._acceptor.close()

    def answer_restart(self, action: events.RestartAnswered) -> None:
        """Tell the clients that requested a restart that it was made, or why not."""
        for client in list(self._clients.values()):
            if client.awaits_restart:
                error = action.error
                self._answer(client, {"error": error} if error else self._status())

    # --- Connections ----------------------------------------------------------------

    def accept(self) -> bool:
        """Accept the connections that wait; return False if that can never work again."""
        return self._acceptor.accept()

    def _take(self, socket: _socket.socket) -> None:
        client = Client(socket)
        try:
            socket.setblocking(False)
            pid, uid = peer(socket)
            if not processes.is_root_or_us(uid):
                raise ConnectionRefusedError
            # Root of another container in the pod is not our root, but has its uid.
            if not (pid or self._serves_all_namespaces):
                raise ConnectionRefusedError
            self._make_room()
            self._loop.watch(socket.fileno(), lambda: self._read(client))
        except OSError:  # ENOMEM, ENOSPC, too
            linux.close(socket.detach())
            return
        self._clients[socket.fileno()] = client
        self._read(client)  # mostly the request is there already

    def _make_room(self) -> None:
        """If too many connections have no request, drop the oldest one."""
        silent = [client for client in self._clients.values() if not client.awaits_restart]
        if len(silent) >= _MOST_CLIENTS:
            self._drop(silent[0])

    def _drop(self, client: Client) -> None:
        fd = client.socket.fileno()
        if fd >= 0:
            del self._clients[fd]
            self._loop.close_watched(client.socket.detach())

    def _read(self, client: Client) -> None:
        if client.socket.fileno() < 0:
            return  # dropped by another handler of this turn
        try:
            received = client.socket.recv(_LONGEST_REQUEST)
        except BlockingIOError:
            return
        except OSError:  # ECONNRESET
            received = b""
        client.request += received
        request, newline, _ = client.request.partition(b"\n")
        if client.awaits_restart and not received:
            # It sends no more, but may still wait for the answer (shutdown(2)).
            self._loop.ignore(client.socket.fileno())
        elif not received or client.awaits_restart or len(client.request) > _LONGEST_REQUEST:
            self._drop(client)  # it has gone, or has sent more than a request
        elif newline:
            self._handle(client, request)

    def _handle(self, client: Client, request: bytes) -> None:
        if request == b"status":
            self._answer(client, self._status())
        elif request == b"restart":
            if sum(other.awaits_restart for other in self._clients.values()) >= _MOST_CLIENTS:
                self._answer(client, {"error": "too many wait for a restart"})
                return
            client.awaits_restart = True
            self._step(events.RestartRequested())
        else:
            self._answer(client, {"error": "unknown request"})

    def _answer(self, client: Client, fields: dict[str, object]) -> None:
        try:
            # Shorter than any socket's buffer; a client that has filled that gets only a part.
            client.socket.send(to_json(fields).encode() + b"\n", _socket.MSG_NOSIGNAL)
        except OSError:
            pass
        self._drop(client)


def peer(socket: _socket.socket) -> tuple[int, int]:
    """Return pid and effective uid of the peer when it connected, or began to listen.

    The pid is 0 if the peer is neither in our PID namespace nor below it (pid_namespaces(7)).
    """
    credentials = socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _UCRED_SIZE)
    pid, uid = (int.from_bytes(credentials[at : at + 4], sys.byteorder) for at in (0, 4))
    return pid, uid
