"""The socket to which a run of the command sends its messages, see sd_notify(3)."""

from __future__ import annotations

import _socket
import sys

from rebound import events, linux, notify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rebound.loop import Loop

_LONGEST = 4096
"""Bytes; what systemd takes, too.  A longer message is dropped."""

_BATCH = 512
"""How many messages are taken before signals and the command are looked at again: as many
as wait in a socket by default (net.unix.max_dgram_qlen)."""

_UCRED_SIZE = 12  # struct ucred: pid, uid, gid (unix(7))


class NotifySocket:
    """A new socket for each run, so that no run is credited with another one's messages.

    It is in the abstract namespace, under a name that the kernel picks (unix(7)): no
    writable path is needed.  Whoever shares our network namespace can send to it, so the
    kernel has to vouch for each sender.
    """

    def __init__(self, loop: Loop, step: Callable[[events.Event], None]) -> None:
        self._loop = loop
        self._step = step
        self._socket: _socket.socket | None = None
        self._command = 0

    def open(self, environment: dict[bytes, bytes], watchdog: float) -> None:
        """Make the socket for the next run, and tell the environment of it.

        Raises `OSError`: EMFILE, ENFILE, ENOMEM.
        """
        self.close()
        kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        self._socket = _socket.socket(_socket.AF_UNIX, kind)
        # Before it has a name, so that no message comes without credentials.
        self._socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
        self._socket.bind("")
        self._loop.watch(self._socket.fileno(), self._take_messages)
        name: bytes = self._socket.getsockname()
        environment[b"NOTIFY_SOCKET"] = b"@" + name[1:]
        environment[b"WATCHDOG_USEC"] = b"%d" % round(watchdog * 1e6)
        environment.pop(b"WATCHDOG_PID", None)  # if there is one, it is meant for rebound

    def begin(self, command: int) -> None:
        """Take messages from now on; `command` is the pid of the run."""
        self._command = command

    def close(self) -> None:
        """End the run's: messages that still wait are gone."""
        self._command = 0
        if self._socket:
            self._loop.close_watched(self._socket.detach())
            self._socket = None

    def _take_messages(self) -> None:
        for _ in range(_BATCH):
            if not self._socket or not self._command:
                return
            try:
                # With room for the credentials only, the kernel does not install
                # descriptors that are sent along, but closes them (unix(7), SCM_RIGHTS).
                data, ancillary, flags, _sender = self._socket.recvmsg(
                    _LONGEST, _socket.CMSG_SPACE(_UCRED_SIZE)
                )
            except OSError:  # EAGAIN: none is left; ENOMEM
                return
            if not flags & _socket.MSG_TRUNC and self._is_vouched_for(ancillary):
                self._step(events.Notified(notify.parse(data)))

    def _is_vouched_for(self, ancillary: list[tuple[int, int, bytes]]) -> bool:
        """Whether the kernel says that the sender may speak for the command.

        A sender outside our PID namespace and those below it has pid 0 here
        (pid_namespaces(7)): it may be a container of the same pod.  It may have ended
        already, as systemd-notify(1) does at once.
        """
        for level, kind, value in ancillary:
            if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_CREDENTIALS):
                pid, uid = (int.from_bytes(value[at : at + 4], sys.byteorder) for at in (0, 4))
                ours = linux.is_root_or_us(uid) or pid == self._command
                return bool(pid) and (ours or linux.runs_as(self._command, uid))
        return False
