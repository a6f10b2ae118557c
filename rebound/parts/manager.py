"""The service manager that started rebound: tells it when the command is ready."""

from __future__ import annotations

import _socket
import os
import sys

from rebound.core.events import TellManager
from rebound.core.part import Part
from rebound.kernel.loop import WRITABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from rebound.kernel.log import Log
    from rebound.kernel.loop import Loop

_LARGEST = 2**64
"""Microseconds: systemd's "infinity" is one less."""


class Manager(Part):
    """Sends sd_notify(3) messages to `address`, the value of NOTIFY_SOCKET.

    With `keep_alive` it sends a keep-alive so often, in seconds, as long as the loop turns; 0 is
    never.  If a message cannot be sent at once, the last one of each kind is kept: READY=1 must not
    get lost.  So is what its descriptor store is to keep.  Raises `OSError` if the address cannot
    be reached.
    """

    def __init__(self, address: bytes, loop: Loop, log: Log, keep_alive: float = 0.0) -> None:
        if not address.startswith((b"@", b"/")):
            raise OSError("neither a path nor @name")
        self.actions = {TellManager: self.tell}
        self._loop = loop
        self._log = log
        self._unsent: dict[str, str] = {}
        self._for_store: list[tuple[str, int]] = []
        self._is_waiting = False
        kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        self._socket = _socket.socket(_socket.AF_UNIX, kind)
        try:
            self._socket.connect(b"\0" + address[1:] if address.startswith(b"@") else address)
        except OSError:
            self._socket.close()
            raise
        if keep_alive:
            loop.repeat(lambda: self.tell(TellManager("WATCHDOG=1")), keep_alive)

    def tell(self, action: TellManager) -> None:
        """Send assignments, one a line."""
        for line in action.text.split("\n"):
            name, _, value = line.partition("=")
            self._unsent[name] = value
        pid = os.getpid()
        if "READY" in self._unsent and pid != 1:
            # The manager has to watch rebound, not a run of its command.  As PID 1 we do
            # not know our pid in the manager's PID namespace.
            self._unsent["MAINPID"] = str(pid)
        if not self._is_waiting:
            self._send()

    def store(self, text: str, fd: int = -1) -> None:
        """Send a message to its descriptor store; the descriptor stays open until `forget`."""
        self._for_store.append((text, fd))
        if not self._is_waiting:
            self._send()

    def forget(self, fd: int) -> None:
        """Take note that a descriptor is closed next: it cannot be sent any more."""
        self._for_store = [(text, other) for text, other in self._for_store if other != fd]

    def close(self) -> None:
        """Close the socket."""
        self._loop.close_watched(self._socket.detach())

    def _send(self) -> None:
        try:
            self._send_all()
        except BlockingIOError:
            self._wait_for_room()
            return
        except OSError as error:  # ECONNREFUSED: nobody reads any more; ETOOMANYREFS
            text = f"cannot tell the service manager: {error.strerror}"
            self._log.write("debug", "manager_failed", text)
            self._unsent.clear()
            self._for_store.clear()
        if self._is_waiting:
            self._loop.ignore(self._socket.fileno())
            self._is_waiting = False

    def _send_all(self) -> None:
        if self._unsent:
            lines = [f"{name}={value}" for name, value in self._unsent.items()]
            self._socket.send("\n".join(lines).encode(errors="replace"), _socket.MSG_NOSIGNAL)
            self._unsent.clear()
        while self._for_store:
            text, fd = self._for_store[0]
            number = fd.to_bytes(4, sys.byteorder, signed=True)
            rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, number)] if fd >= 0 else []
            self._socket.sendmsg([text.encode()], rights, _socket.MSG_NOSIGNAL)
            del self._for_store[0]

    def _wait_for_room(self) -> None:
        if not self._is_waiting:
            try:
                self._loop.watch(self._socket.fileno(), self._send, WRITABLE)
                self._is_waiting = True
            except OSError:  # ENOMEM, ENOSPC: the next message tries again
                pass


def keep_alive_interval(environment: Mapping[bytes, bytes], pid: int) -> float:
    """Return how often process `pid` has to send keep-alives, in seconds; 0 if it has not.

    Half of the time that the manager waits, as sd_watchdog_enabled(3) recommends.
    """
    text = environment.get(b"WATCHDOG_USEC", b"")
    if environment.get(b"WATCHDOG_PID", b"%d" % pid) != b"%d" % pid:
        return 0.0
    if not text.isdigit() or len(text) > len(str(_LARGEST)) or int(text) >= _LARGEST - 1:
        return 0.0
    return int(text) / 2e6
