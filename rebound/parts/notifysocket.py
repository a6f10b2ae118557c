"""The socket to which a run sends its messages, see sd_notify(3)."""

from __future__ import annotations

import _socket
import errno
import os
import sys

from rebound.core import events, notify, watchevents
from rebound.core.part import Part
from rebound.core.record import Record
from rebound.kernel import linux, processes, socketfile
from rebound.kernel.closer import stop_lingering
from rebound.parts.notifyaddress import bind_abstract, bind_in, remove_leftovers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rebound.kernel.closer import Closer
    from rebound.kernel.log import Log
    from rebound.kernel.loop import Loop
    from rebound.parts.fdstore import FdStore

_LONGEST = 4096
"""Bytes, as in systemd.  A longer message is dropped."""

_BATCH = 512
"""The most messages that are taken before signals and the command come again: as many as a
socket holds by default (net.unix.max_dgram_qlen)."""

_UCRED_SIZE = 12  # struct ucred: pid, uid, gid (unix(7))
_FD_SIZE = 4
_MOST_FDS = 253
"""The most descriptors in a message (unix(7), SCM_RIGHTS)."""

_ROOM = _socket.CMSG_SPACE(_UCRED_SIZE) + _socket.CMSG_SPACE(_MOST_FDS * _FD_SIZE)


class Received(Record):
    """A message, and who sent it, as the kernel says."""

    data: bytes
    pid: int
    uid: int
    is_cut_off: bool
    """Whether it was longer than is allowed."""
    fds: int
    """How many descriptors came along."""


class NotifySocket(Part):
    """A new socket for each run, so that a message never counts for another run.

    It has a path in the run directory, because not all clients know abstract names.  Each run
    has another path: what an earlier run left behind still sends to the old one.  If no path
    can be made, the kernel picks a name in the abstract namespace (unix(7)), to which every
    process in our network namespace can send.  The command may be any user, so any user may
    send; the kernel names the process that did (SCM_CREDENTIALS).

    Anybody may send descriptors along.  They are all received: the kernel would close the others
    on our behalf, and might wait for that.  `Closer` waits elsewhere.
    """

    def __init__(  # noqa: PLR0913, PLR0917  what it is, and what it needs of others
        self,
        directory: str,
        watchdog: float | None,
        store: FdStore | None,
        closer: Closer,
        loop: Loop,
        log: Log,
        step: Callable[[events.Event], None],
    ) -> None:
        self._watchdog = watchdog
        self._store = store
        self._closer = closer
        self._directory = directory
        self._loop = loop
        self._log = log
        self._step = step
        self._socket: _socket.socket | None = None
        self._path = b""  # empty if the name is abstract
        self._command = 0
        self._told_why_abstract = False

    def prepare(self, environment: dict[bytes, bytes]) -> None:
        """Make the socket for the next run, and put it into the environment.

        Raises `NoProcess`.
        """
        try:
            self._open(environment)
        except Exception as error:
            # EMFILE, ENFILE, ENOMEM; a seccomp profile's EACCES; MemoryError.
            why = getattr(error, "strerror", None) or repr(error)
            number = getattr(error, "errno", None) or errno.ENOMEM
            raise linux.NoProcess(number, f"no NOTIFY_SOCKET: {why}") from None

    def began(self, pid: int) -> None:
        """Take messages of this run from now on."""
        self._command = pid

    def started(self) -> None:
        """Remove the sockets of rebounds that were killed."""
        if self._path:
            remove_leftovers(os.path.dirname(self._path))

    def gone(self) -> None:
        """Close the run's socket.

        Of the messages that still wait in it only the descriptors to store are taken.
        """
        self.close()

    def close(self) -> None:
        """Close the socket, and remove its path."""
        if self._socket:
            is_empty = self._take_last_descriptors(self._socket)
            fd = self._socket.detach()
            self._socket = None
            self._loop.ignore(fd)
            if is_empty:
                linux.close(fd)
            else:
                self._closer.close([fd])  # with the descriptors that wait in it
        self._command = 0
        if self._path:
            socketfile.remove(self._path)
            self._path = b""

    def _open(self, environment: dict[bytes, bytes]) -> None:
        self.close()
        kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        self._socket = _socket.socket(_socket.AF_UNIX, kind)
        # Set it before the socket has a name, so that no message comes without credentials.
        self._socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
        try:
            address = self._path = bind_in(self._directory, self._socket)
        except (OSError, ValueError) as error:  # ValueError: the path cannot be encoded
            self._say_why_abstract(error)
            address = bind_abstract(self._socket)
        self._loop.watch(self._socket.fileno(), self._take_messages)
        environment[b"NOTIFY_SOCKET"] = address
        # What is set already is our own service manager's.
        for name in (b"WATCHDOG_PID", b"WATCHDOG_USEC", b"FDSTORE"):
            environment.pop(name, None)
        if self._watchdog is not None:
            environment[b"WATCHDOG_USEC"] = b"%d" % round(self._watchdog * 1e6)

    def _say_why_abstract(self, error: Exception) -> None:
        if self._told_why_abstract:
            return
        self._told_why_abstract = True
        text = f"NOTIFY_SOCKET has no path: {getattr(error, 'strerror', None) or error}"
        self._log.write("debug", "no_notify_path", text)

    def _take_messages(self) -> None:
        strangers = fds = 0
        for _ in range(_BATCH):
            if not self._socket or not self._command:
                return
            if self._closer.is_behind and self._wait_for_closer(self._socket):
                break
            message = self._receive(self._socket)
            if message is None:
                break
            fds += message.fds
            if not self._is_vouched_for(message):
                strangers += 1
            elif not message.is_cut_off:
                self._step(watchevents.Notified(notify.parse(message.data)))
            if fds >= _MOST_FDS:  # each is compared with all that are stored
                break
        if strangers and self._command:
            self._step(watchevents.NotifiedByStrangers(strangers))

    def _receive(self, socket: _socket.socket) -> Received | None:
        """Take a message, and see to its descriptors; return None if there is none."""
        try:
            data, ancillary, flags, _ = socket.recvmsg(_LONGEST, _ROOM, _socket.MSG_CMSG_CLOEXEC)
        except OSError:  # EAGAIN; ENOMEM
            return None
        if not ancillary:  # the end: each message has credentials
            return None
        fds: list[int] = []
        pid = uid = 0
        for level, kind, value in ancillary:
            numbers = [
                int.from_bytes(value[at : at + 4], sys.byteorder)
                for at in range(0, len(value) - 3, 4)
            ]
            if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
                fds += numbers
            elif (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_CREDENTIALS):
                pid, uid = numbers[:2]
        is_cut_off = bool(flags & _socket.MSG_TRUNC)
        is_from_command = pid != 0 and pid == self._command and not is_cut_off
        if self._store and is_from_command and (fds or b"FDSTORE" in data):
            self._store.take(notify.parse(data), fds)
        elif fds:
            if pid != self._command:
                # They would take the threads that close what the command has sent.
                stop_lingering(fds)
            self._closer.close(fds)
        return Received(data, pid, uid, is_cut_off, len(fds))

    def _wait_for_closer(self, socket: _socket.socket) -> bool:
        """Take no messages until what came with the last ones is closed."""

        def go_on() -> None:
            if self._socket is socket:
                self._loop.watch(socket.fileno(), self._take_messages)

        if not self._closer.wait(go_on):
            return False
        self._loop.ignore(socket.fileno())
        return True

    def _take_last_descriptors(self, socket: _socket.socket) -> bool:
        """Take the messages that wait, and no new ones; return whether none is left."""
        try:
            socket.shutdown(_socket.SHUT_RD)
        except OSError:  # a seccomp profile
            return False
        for _ in range(_BATCH):
            if self._closer.is_behind:
                return False
            if self._receive(socket) is None:
                return True
        return False

    def _is_vouched_for(self, message: Received) -> bool:
        """Return whether the sender, as the kernel names it, may speak for the command.

        A sender outside our PID namespace and those below it has pid 0 here
        (pid_namespaces(7)): it may be in another container of the same pod.  A sender may have
        ended already, as systemd-notify(1) does at once.
        """
        pid, uid = message.pid, message.uid
        ours = processes.is_root_or_us(uid) or pid == self._command
        return bool(pid) and (ours or processes.runs_as(self._command, uid))
