"""Our own socket, from the first start to the end; it loads its server on demand."""

from __future__ import annotations

from rebound.control.runsocket import RunSocket
from rebound.core.part import Part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rebound.control.server import Control
    from rebound.core.events import Event, RestartAnswered
    from rebound.kernel.log import Log
    from rebound.kernel.loop import Loop


class Endpoint(Part):
    """Accepts clients.  `describe` returns the fields of an answer.

    Raises `OSError` if the socket cannot be made: no descriptor left, a seccomp profile.
    """

    def __init__(
        self,
        directory: str,
        loop: Loop,
        log: Log,
        describe: Callable[[], dict[str, object]],
        step: Callable[[Event], None],
    ) -> None:
        self._loop = loop
        self._log = log
        self._describe = describe
        self._step = step
        self._control: Control | None = None
        self._socket: RunSocket | None = RunSocket(directory)
        try:
            loop.watch(self._socket.fd, self._serve)
        except OSError:
            self._socket.close()
            raise
        if self._socket.abstract_name:
            name, why = self._socket.abstract_name[1:], self._socket.no_path
            text = f"the socket for --status is abstract, @{name}, not in {directory}: {why}"
            log.write("debug", "no_control_path", text)
        from rebound.core.events import RestartAnswered

        self.actions = {RestartAnswered: self._answer_restart}

    def close(self) -> None:
        """Close all connections, and remove the socket."""
        if self._control:
            self._control.close()
            self._control = None
        if self._socket:
            # The spare descriptor of the `Acceptor` belongs to the same socket.
            self._loop.ignore(self._socket.fd)
            self._socket.close()
            self._socket = None

    def _serve(self) -> None:
        """Accept the clients that wait, or close the socket: the loop must not spin."""
        if not self._socket:
            return
        try:
            served = self._server(self._socket).accept()
        except (ImportError, OSError):  # no descriptor even for loading it
            served = False
        if not served:
            self._log.write("error", "no_control", "no descriptor left, --status ends here")
            self.close()

    def _server(self, socket: RunSocket) -> Control:
        if self._control is None:
            from rebound.control import status  # noqa: F401  while there is a descriptor for it
            from rebound.control.server import Control
            from rebound.kernel import memory  # noqa: F401

            self._control = Control(
                socket.fd,
                self._loop,
                self._describe,
                self._step,
                serves_all_namespaces=not socket.abstract_name,
            )
        return self._control

    def _answer_restart(self, action: RestartAnswered) -> None:
        if self._control:
            self._control.answer_restart(action)
