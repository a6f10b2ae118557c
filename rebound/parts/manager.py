"""The service manager that started rebound: tells it when the command is ready."""

from __future__ import annotations

import _socket
import os

from rebound.core.events import TellManager
from rebound.core.part import Part
from rebound.kernel.loop import WRITABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rebound.kernel.log import Log
    from rebound.kernel.loop import Loop


class Manager(Part):
    """Sends sd_notify(3) messages to `address`, the value of NOTIFY_SOCKET.

    If a message cannot be sent at once, the last one of each kind is kept: READY=1 must not
    get lost.  Raises `OSError` if the address cannot be reached.
    """

    def __init__(self, address: bytes, loop: Loop, log: Log) -> None:
        if not address.startswith((b"@", b"/")):
            raise OSError("neither a path nor @name")
        self.actions = {TellManager: self.tell}
        self._loop = loop
        self._log = log
        self._unsent: dict[str, str] = {}
        self._is_waiting = False
        kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        self._socket = _socket.socket(_socket.AF_UNIX, kind)
        try:
            self._socket.connect(b"\0" + address[1:] if address.startswith(b"@") else address)
        except OSError:
            self._socket.close()
            raise

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

    def close(self) -> None:
        """Close the socket."""
        self._loop.close_watched(self._socket.detach())

    def _send(self) -> None:
        lines = [f"{name}={value}" for name, value in self._unsent.items()]
        try:
            self._socket.send("\n".join(lines).encode(errors="replace"), _socket.MSG_NOSIGNAL)
        except BlockingIOError:
            self._wait_for_room()
            return
        except OSError as error:  # ECONNREFUSED: nobody reads any more
            text = f"cannot tell the service manager: {error.strerror}"
            self._log.write("debug", "manager_failed", text)
        self._unsent.clear()
        if self._is_waiting:
            self._loop.ignore(self._socket.fileno())
            self._is_waiting = False

    def _wait_for_room(self) -> None:
        if not self._is_waiting:
            try:
                self._loop.watch(self._socket.fileno(), self._send, WRITABLE)
                self._is_waiting = True
            except OSError:  # ENOMEM, ENOSPC: the next message tries again
                pass
