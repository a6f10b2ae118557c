"""`--fd-store`: descriptors that a run gives away, and the next run gets back."""

from __future__ import annotations

import os

from rebound.core.notify import Message
from rebound.core.part import Part
from rebound.core.record import Record
from rebound.kernel import descriptors
from rebound.kernel.loop import HUNG_UP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from rebound.core.activation import Descriptor
    from rebound.kernel.closer import Closer
    from rebound.kernel.log import Log
    from rebound.kernel.loop import Loop
    from rebound.parts.manager import Manager


_SPARE = 512
"""As many descriptors stay free for the runs, and for those that come and are not stored; with
RLIMIT_NOFILE below twice that, half of them."""


_LONGEST_NAMES = 100_000
"""Bytes of all names together: an entry of the environment has 128 KiB at most (execve(2))."""


class Stored(Record):
    """One descriptor."""

    name: str
    fd: int
    identity: descriptors.Identity | None


class FdStore(Part):
    """Keeps at most `most` descriptors, in the order in which they came.

    It follows systemd's FILE_DESCRIPTOR_STORE: one that hangs up or fails is dropped, one that
    is there already is not stored twice.  If our own service manager (`manager`) has a store, it
    keeps them, too: then they outlive rebound.
    """

    def __init__(
        self, most: int, loop: Loop, closer: Closer, log: Log, manager: Manager | None = None
    ) -> None:
        self._most = most
        self._manager = manager
        self._loop = loop
        self._closer = closer
        self._log = log
        self._stored: list[Stored] = []

    def prepare(self, environment: dict[bytes, bytes]) -> None:
        """Tell the run how many it may store."""
        environment[b"FDSTORE"] = b"%d" % self._most

    def descriptors(self) -> Sequence[Descriptor]:
        """Return the descriptors that are stored."""
        return [(stored.name, stored.fd) for stored in self._stored]

    def describe(self) -> dict[str, object]:
        """Return how many there are."""
        return {"stored": len(self._stored)}

    def stopping(self) -> None:
        """Drop all: no further run gets them."""
        self._most = 0
        for stored in list(self._stored):
            self._drop(stored)

    def close(self) -> None:
        """Drop all."""
        self.stopping()

    def take_back(self, handed: Sequence[Descriptor]) -> None:
        """Store what our service manager has kept for us."""
        for name, fd in handed:
            if not self._store(Message(stored_name=name, is_polled=True), fd):
                self._closer.close([fd])

    def take(self, message: Message, fds: Sequence[int]) -> None:
        """Do what a message of the command asks for.  The descriptors are ours from now on."""
        if message.removed_name is not None:
            for stored in list(self._stored):
                if stored.name == message.removed_name:
                    self._remove(stored, "as asked")
            if self._manager:
                self._manager.store(f"FDSTOREREMOVE=1\nFDNAME={message.removed_name}")
        if not message.stores:
            self._closer.close(fds)
            return
        self._closer.close([fd for fd in fds if not self._keep(message, fd)])

    def _keep(self, message: Message, fd: int) -> bool:
        if not self._store(message, fd):
            return False
        if self._manager:
            poll = "" if message.is_polled else "\nFDPOLL=0"
            self._manager.store(f"FDSTORE=1\nFDNAME={message.stored_name}{poll}", fd)
        return True

    def _store(self, message: Message, fd: int) -> bool:
        """Store a descriptor; return False if it is not wanted."""
        name = message.stored_name
        length = sum(len(other.name) + 1 for other in self._stored) + len(name)
        if len(self._stored) >= self._most or length > _LONGEST_NAMES or not _is_room_after(fd):
            return False
        identity = descriptors.identify(fd)
        if any(
            other.identity == identity and descriptors.is_same(other.fd, fd, identity)
            for other in self._stored
        ):
            return False
        stored = Stored(name, fd, identity)
        self._stored.append(stored)
        if message.is_polled and descriptors.can_hang_up(fd, identity):
            try:
                self._loop.watch(fd, lambda: self._drop_if_hung_up(stored), HUNG_UP)
            except OSError:  # EBADF: opened with O_PATH; ENOMEM, ENOSPC
                pass
        text, fields = self._tell(f"stored descriptor {name}", stored)
        level = self._log.level_for_programs
        self._log.write(level, "fd_stored", text, fields)
        return True

    def _drop_if_hung_up(self, stored: Stored) -> None:
        # Without an epoll the loop calls each handler now and then.
        if stored not in self._stored:
            return
        try:
            has_hung_up = descriptors.is_hung_up(stored.fd)
        except (ImportError, OSError):
            self._loop.ignore(stored.fd)  # an epoll would report it again and again
            return
        if has_hung_up:
            self._remove(stored, "it has hung up")

    def _remove(self, stored: Stored, why: str) -> None:
        self._drop(stored)
        text, fields = self._tell(f"removed descriptor {stored.name}, {why}", stored)
        level = self._log.level_for_programs
        self._log.write(level, "fd_removed", text, fields)

    def _drop(self, stored: Stored) -> None:
        self._stored.remove(stored)
        # Others have the same open file, so closing alone would not take it out of the epoll.
        self._loop.ignore(stored.fd)
        if self._manager:
            self._manager.forget(stored.fd)
        self._closer.close([stored.fd])

    def _tell(self, text: str, stored: Stored) -> tuple[str, dict[str, object]]:
        count = len(self._stored)
        return f"{text} ({count} stored)", {"name": stored.name, "count": count}


def _is_room_after(fd: int) -> bool:
    """Return whether enough descriptors are free: the kernel gives the lowest number first."""
    limit = os.sysconf("SC_OPEN_MAX")
    return limit < 0 or fd < max(limit - _SPARE, limit // 2)
