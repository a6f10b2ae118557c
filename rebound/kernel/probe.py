"""A health check by HTTP or TCP, in a child process that executes nothing.

A fork needs no shell, no /proc and no path to rebound itself: the check works in any image.  The
child keeps all signals blocked, and rebound ends it by SIGKILL.
"""

from __future__ import annotations

import _socket
import os

from rebound.core.exitstatus import OWN_ERROR, ExitStatus
from rebound.kernel.linux import NoProcess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from rebound.core.target import Target

_LONGEST_HEAD = 16384
"""Bytes of an answer in which its status must come, after interim ones (RFC 9110, 15.2)."""

_MOST_DESCRIPTORS = 1 << 20
_PASSED, _FAILED = 0, 1


class Failed(Exception):
    """The check has not passed; the text says why."""


class CannotCheck(Exception):
    """The check found out nothing: there is no socket; the text says why."""


class Prober:
    """A check by HTTP or TCP.  `timeout` is in seconds: no step of it takes longer."""

    def __init__(self, target: Target, timeout: float, agent: str) -> None:
        self._target = target
        self._timeout = min(timeout, 86400.0)
        self._agent = agent

    def start(self, _environment: Mapping[bytes, bytes], output: int) -> int:
        """Start the check as a child, return its pid; its exit status is 0 if the check passes.

        Raises `NoProcess`.
        """
        try:
            pid = os.fork()
        except OSError as error:
            raise NoProcess(error.errno, f"fork: {error.strerror}") from None
        if not pid:
            # This must never return, whatever happens: it would be a second rebound.
            try:
                os._exit(self._check(output))
            finally:
                os._exit(OWN_ERROR)
        return pid

    def could_run(self, status: ExitStatus) -> bool:
        """Return whether the check has found out anything."""
        return status.code != OWN_ERROR

    def _check(self, output: int) -> int:
        # Copies of rebound's sockets would keep them open when it closes them, say at a stop.
        if output >= 0:
            os.dup2(output, 0)
        os.closerange(int(output >= 0), _highest_descriptor())
        try:
            check(self._target, self._timeout, self._agent)
        except (Failed, CannotCheck, OSError) as error:
            why = (isinstance(error, OSError) and error.strerror) or str(error)
            if output >= 0:
                os.write(0, f"{self._target.host}: {why}\n".encode())
            return OWN_ERROR if isinstance(error, CannotCheck) else _FAILED
        return _PASSED


def _highest_descriptor() -> int:
    limit = os.sysconf("SC_OPEN_MAX")
    return limit if 0 < limit < _MOST_DESCRIPTORS else _MOST_DESCRIPTORS


def check(target: Target, timeout: float, agent: str) -> None:
    """Connect, and with a path ask for it.  Raises `Failed`, `CannotCheck` and `OSError`."""
    socket = _connect(target, timeout)
    if not target.path:
        return
    lines = (
        f"GET {target.path} HTTP/1.1",
        f"Host: {target.host}",
        f"User-Agent: {agent}",
        "Accept: */*",
        "Connection: close",
    )
    socket.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode())
    status = _read_status(socket)
    if not 200 <= status < 400:
        raise Failed(f"HTTP status {status}")


def _connect(target: Target, timeout: float) -> _socket.socket:
    """Connect to the first of the addresses that answers; if none does, raise the first's error.

    Raises `CannotCheck` and `OSError`.
    """
    errors: list[Exception] = []
    for address in target.addresses:
        family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
        try:
            socket = _socket.socket(family, _socket.SOCK_STREAM)
        except OSError as error:  # EAFNOSUPPORT, EPERM, ENFILE, ENOBUFS, ENOMEM
            errors.append(CannotCheck(f"socket: {error.strerror}"))
            continue
        try:
            socket.settimeout(timeout)
            socket.connect((address, target.port))
        except OSError as error:
            errors.append(error)
        else:
            return socket
    raise errors[0]


def _read_status(socket: _socket.socket) -> int:
    """Return the status of the answer, after interim ones.  Raises `Failed` and `OSError`."""
    data = b""
    while len(data) < _LONGEST_HEAD:
        line, newline, after = data.partition(b"\n")
        if newline:
            status = _status_in(line)
            if status >= 200 or status == 101:
                return status
            end = _end_of_head(after)
            if end >= 0:
                data = after[end:]
                continue
        if not (more := socket.recv(_LONGEST_HEAD)):
            raise Failed("no answer" if not data else "the answer is no HTTP")
        data += more
    raise Failed("the answer is no HTTP")


def _status_in(line: bytes) -> int:
    version, _, rest = line.partition(b" ")
    code = rest[:3]
    if not version.startswith(b"HTTP/1.") or len(code) < 3 or not code.isdigit():
        raise Failed("the answer is no HTTP")
    return int(code)


def _end_of_head(data: bytes) -> int:
    """Return where the header fields end in what follows a status line; -1 if that is not there."""
    if data.startswith((b"\r\n", b"\n")):
        return data.index(b"\n") + 1
    ends = [at + len(end) for end in (b"\r\n\r\n", b"\n\n") if (at := data.find(end)) >= 0]
    return min(ends, default=-1)
