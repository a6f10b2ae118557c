"""`--http`: a server for probes and metrics, which reads and never changes anything."""

from __future__ import annotations

import _socket
import os
import time

from rebound.core import address, http, openmetrics
from rebound.core.jsontext import to_json
from rebound.core.part import Part
from rebound.kernel import linux, logtext, socketfile, sockets
from rebound.kernel.acceptor import Acceptor
from rebound.kernel.aside import Aside
from rebound.kernel.loop import READABLE, WRITABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rebound.kernel.log import Log
    from rebound.kernel.loop import Loop

    Body = tuple[int, str, bytes]
    """Status, media type, body."""

_MOST_CLIENTS = 16
"""The most connections at a time."""

_PATIENCE = 5.0
"""Seconds for a whole connection."""

_TICK = 1.0
"""Seconds between two looks at what has taken too long, while there is a connection."""

_PAUSE = 1.0
"""Seconds between two attempts to accept where no descriptor is left."""

_PIECE = 65536
"""Bytes that are sent or thrown away at once: it takes some microseconds."""

_MOST_THROWN_AWAY = 4 * _PIECE
"""Bytes that a client may send behind its request before it is cut off."""

_FRESH = 0.25
"""Seconds for which a description of the status serves all who ask."""

_RARELY = 200
"""A description serves for so many times the CPU time that it took: to read a thousand processes
in /proc takes 10 ms, in which no signal is seen."""

_METRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Client:
    """One connection."""

    __slots__ = ("answer", "is_answered", "is_whole", "request", "socket", "thrown_away", "until")

    def __init__(self, socket: _socket.socket, until: float) -> None:
        self.socket = socket
        self.until = until
        self.request = b""
        self.answer = memoryview(b"")
        """What of it is not sent yet."""
        self.is_answered = False
        self.is_whole = False
        """Whether it sends nothing behind its request."""
        self.thrown_away = 0


class Http(Part):
    """Serves HTTP at an address from before the first start until rebound ends.

    `describe` returns the fields of the status, and `is_ready` whether all is well.  A client
    that is slow, silent or sends rubbish loses its own connection, and disturbs nothing else.
    Raises `OSError` if the address cannot be had.
    """

    def __init__(
        self,
        text: str,
        loop: Loop,
        log: Log,
        describe: Callable[[], dict[str, object]],
        is_ready: Callable[[], bool],
    ) -> None:
        self._loop = loop
        self._log = log
        self._describe = describe
        self._is_ready = is_ready
        self._clients: dict[int, Client] = {}
        self._fields: dict[str, object] = {}
        self._bodies: dict[Callable[[], Body], Body] = {}
        self._good_until = 0.0
        self._is_ticking = self._has_complained = False
        self._pages: dict[str, Callable[[], Body]] = {
            "/livez": lambda: (http.OK, http.TEXT, b"ok\n"),
            "/readyz": self._readiness,
            "/metrics": lambda: self._kept(self._metrics),
            "/status": lambda: self._kept(self._status),
        }
        try:
            self._aside = Aside(loop)
            try:
                self._listener = _Listener(text, self._aside, self._take, self._look_away)
            except OSError:
                self._aside.close()
                raise
        except OSError as error:
            raise OSError(error.errno, f"cannot serve at {text}: {error.strerror}") from None
        where, level = self._listener.address, log.level_for_programs
        log.write(level, "serving", f"serving at {where}", {"address": where})

    def describe(self) -> dict[str, object]:
        """Return where it listens: with port 0 the kernel has picked one."""
        return {"http": self._listener.address}

    def close(self) -> None:
        """Close all connections, and the socket; remove its file."""
        for client in list(self._clients.values()):
            self._drop(client)
        self._listener.close()
        self._aside.close()
        self._loop.cease(self._tick)

    # --- Connections ----------------------------------------------------------------------

    def _take(self, socket: _socket.socket) -> None:
        client = Client(socket, time.monotonic() + _PATIENCE)
        try:
            socket.setblocking(False)
        except OSError:  # a seccomp profile
            linux.close(socket.detach())
            return
        if len(self._clients) >= _MOST_CLIENTS:
            self._drop(next(iter(self._clients.values())))  # the oldest
        self._clients[socket.fileno()] = client
        self._handle(client)  # mostly the request is there already

    def _handle(self, client: Client) -> None:
        """Do the next thing for a client; whatever fails, only its connection is lost."""
        if client.socket.fileno() < 0:
            return  # dropped meanwhile
        try:
            self._go_on(client)
        except BlockingIOError:
            pass
        except OSError:  # ECONNRESET, EPIPE; ENOMEM, ENOSPC of epoll_ctl(2)
            self._drop(client)
        except BaseException:
            self._drop(client)
            raise

    def _go_on(self, client: Client) -> None:
        if client.answer:
            self._send(client)
        elif client.is_answered:
            self._throw_away(client)
        else:
            self._read(client)

    def _read(self, client: Client) -> None:
        try:
            received = client.socket.recv(http.LONGEST + 1)
        except BlockingIOError:
            self._watch(client, READABLE)
            return
        if not received:
            self._drop(client)
            return
        client.request += received
        request = http.parse(client.request)
        if request is None:
            self._watch(client, READABLE)
            return
        status, kind, body = self._body_for(request)
        text = http.answer(status, kind, body, _now(), is_head=request.is_head)
        client.answer = memoryview(text)
        client.is_whole = request.is_whole
        self._send(client)

    def _send(self, client: Client) -> None:
        try:
            sent = client.socket.send(client.answer[:_PIECE], _socket.MSG_NOSIGNAL)
        except BlockingIOError:
            sent = 0
        client.answer = client.answer[sent:]
        if client.answer:
            self._watch(client, WRITABLE)
            return
        client.is_answered = True
        if client.is_whole:
            self._drop(client)
            return
        # Closing with something unread makes the kernel send a reset, which may overtake the
        # answer (RFC 9112, 9.6).
        client.socket.shutdown(_socket.SHUT_WR)
        self._watch(client, READABLE)

    def _throw_away(self, client: Client) -> None:
        received = client.socket.recv(_PIECE)
        client.thrown_away += len(received)
        if not received or client.thrown_away > _MOST_THROWN_AWAY:
            self._drop(client)

    def _watch(self, client: Client, events: int) -> None:
        self._aside.watch(client.socket.fileno(), lambda: self._handle(client), events)
        self._start_ticking()

    def _drop(self, client: Client) -> None:
        fd = client.socket.fileno()
        if fd >= 0:
            del self._clients[fd]
            self._aside.close_watched(client.socket.detach())

    # --- Time -----------------------------------------------------------------------------

    def _start_ticking(self) -> None:
        if not self._is_ticking:
            self._loop.repeat(self._tick, _TICK)
            self._is_ticking = True

    def _tick(self) -> None:
        """Drop who has taken too long."""
        now = time.monotonic()
        for client in list(self._clients.values()):
            if client.until <= now:
                self._drop(client)
        if not self._clients:
            self._loop.cease(self._tick)
            self._is_ticking = False

    def _look_away(self) -> None:
        """Wait for a descriptor: not even the spare one helps, and the loop must not spin."""
        if not self._has_complained:
            self._has_complained = True
            text = "no descriptor left for --http; trying again"
            self._log.write("error", "error", text)
        self._aside.rest(_PAUSE)

    # --- Pages ----------------------------------------------------------------------------

    def _body_for(self, request: http.Request) -> Body:
        if request.path and request.path not in self._pages:
            return _error(http.NOT_FOUND)
        if request.status != http.OK:
            return _error(request.status)
        return self._pages[request.path]()

    def _readiness(self) -> Body:
        if self._is_ready():
            return http.OK, http.TEXT, b"ok\n"
        return http.UNAVAILABLE, http.TEXT, b"not ready\n"

    def _metrics(self) -> Body:
        shown = {name: logtext.shown(value) for name, value in self._fields.items()}
        return http.OK, _METRICS_TYPE, openmetrics.render([shown]).encode()

    def _status(self) -> Body:
        return http.OK, "application/json", to_json(self._fields).encode() + b"\n"

    def _kept(self, make: Callable[[], Body]) -> Body:
        """Return a page that describes the status; it serves all who ask within a moment."""
        now = time.monotonic()
        if now >= self._good_until:
            self._bodies.clear()
            before = linux.cpu_time()
            self._fields = self._describe()
            taken = linux.cpu_time() - before
            self._good_until = now + max(_FRESH, _RARELY * taken)
        if make not in self._bodies:
            self._bodies[make] = make()
        return self._bodies[make]


class _Listener:
    """The socket that listens, and its file if it has one.  Raises `OSError`."""

    def __init__(
        self,
        text: str,
        aside: Aside,
        take: Callable[[_socket.socket], None],
        complain: Callable[[], None],
    ) -> None:
        where = address.parse_unnamed(text)
        self._aside = aside
        self._complain = complain
        self._fd = sockets.listen(where)
        self._path = where.where if where.family == "path" else ""
        self._identity = socketfile.identify(self._path) if self._path else None
        self._acceptor: Acceptor | None = None
        try:
            os.set_blocking(self._fd, False)
            self._acceptor = Acceptor(self._fd, take)
            aside.watch(self._fd, self._accept)
        except OSError:
            self.close()
            raise
        self.address = sockets.describe(self._fd) or text

    def close(self) -> None:
        if self._acceptor:
            self._acceptor.close()
        self._aside.close_watched(self._fd)
        if self._path:
            socketfile.remove_if_same(self._path, self._identity)

    def _accept(self) -> None:
        if self._acceptor and not self._acceptor.accept():
            self._complain()


def _error(status: int) -> Body:
    return status, http.TEXT, f"{status} {http.REASONS[status]}\n".encode()


def _now() -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
