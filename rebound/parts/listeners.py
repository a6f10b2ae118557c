"""`--listen`: sockets that outlive the runs, and those that rebound itself was handed."""

from __future__ import annotations

import os

from rebound.core import activation, address
from rebound.core.part import Part
from rebound.core.record import Record
from rebound.kernel import descriptors, linux, processes, queues, socketfile, sockets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from rebound.core.activation import Descriptor
    from rebound.kernel.log import Log


class Listener(Record):
    """One descriptor, and how each run gets it."""

    name: str
    fd: int
    address: str
    """Empty if it is no socket, or is bound to nothing."""
    is_blocking: bool = True


class Listeners(Part):
    """Holds the sockets; each run gets the same ones, so no client notices a restart.

    `handed` are those that rebound itself was handed.  Raises `OSError` if a socket cannot be
    made; then none is left.
    """

    def __init__(self, addresses: Sequence[str], handed: Sequence[Descriptor], log: Log) -> None:
        self._listeners = [
            Listener(name, fd, sockets.describe(fd), os.get_blocking(fd)) for name, fd in handed
        ]
        self._files: dict[str, socketfile.Identity] = {}
        try:
            for text in addresses:
                self._listen(text)
        except OSError:
            self.close()
            raise
        for listener in self._listeners:
            where = listener.address or "no address"
            fields = {"name": listener.name, "address": listener.address or None}
            level = log.level_for_programs
            log.write(level, "listening", f"listening: {listener.name} ({where})", fields)

    def descriptors(self) -> Sequence[Descriptor]:
        """Return the sockets, those that rebound was handed first."""
        return [(listener.name, listener.fd) for listener in self._listeners]

    def prepare(self, environment: dict[bytes, bytes]) -> None:
        """Remove what was meant for rebound, and O_NONBLOCK, which a run sets for all runs."""
        for name in activation.VARIABLES:
            environment.pop(name, None)
        if processes.has_children():
            return  # perhaps one that has it: its next accept(2) would wait, and nothing end that
        for listener in self._listeners:
            linux.set_blocking(listener.fd, listener.is_blocking)

    def describe(self) -> dict[str, object]:
        """Return the sockets, with how many connections wait at each."""
        return {
            "sockets": [
                {
                    "name": listener.name,
                    "address": listener.address or None,
                    "waiting": queues.waiting(listener.fd),
                }
                for listener in self._listeners
            ]
        }

    def stopping(self) -> None:
        """Close our own copies: clients must not wait for a run that never comes."""
        for listener in self._listeners:
            linux.close(listener.fd)
        self._listeners.clear()

    def close(self) -> None:
        """Remove the socket files that are still ours."""
        self.stopping()
        for path, identity in self._files.items():
            socketfile.remove_if_same(path, identity)
        self._files.clear()

    def _listen(self, text: str) -> None:
        where = address.parse(text)
        try:
            fd = sockets.listen(where)
        except OSError as error:
            raise OSError(error.errno, f"cannot listen at {text}: {error.strerror}") from None
        self._listeners.append(Listener(where.name, fd, sockets.describe(fd)))
        if where.family == "path":
            self._files[where.where] = socketfile.identify(where.where)


def take_over(names: Sequence[str], log: Log) -> list[Descriptor]:
    """Return the descriptors that rebound itself was handed; the command does not inherit them."""
    handed = []
    for fd, name in enumerate(names, activation.FIRST):
        # Whoever handed it over has left it open for us; our own are close-on-exec.
        if descriptors.is_inherited(fd):
            os.set_inheritable(fd, False)
            handed.append((name, fd))
        else:
            text = f"LISTEN_FDS counts descriptor {fd}, which is not open"
            log.write("error", "error", text)
    return handed
