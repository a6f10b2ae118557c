"""Sockets that listen: makes them, and says where one listens."""

from __future__ import annotations

import _socket
import errno
import os

from rebound.kernel import linux, socketfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rebound.core.address import Address

BACKLOG = 4096
"""How many connections may wait; net.core.somaxconn may allow less (listen(2))."""


def listen(address: Address) -> int:
    """Return a socket that is bound there, close-on-exec, and listens if it has connections.

    A path gets the mode 777 without the umask.  Raises `OSError`: EADDRINUSE, EACCES,
    EADDRNOTAVAIL, ENOENT, EMFILE.
    """
    if address.family == "all":
        try:
            return _open(address, _socket.AF_INET6, ("::", address.port))
        except OSError as error:
            if error.errno != errno.EAFNOSUPPORT:  # the kernel has no IPv6
                raise
        return _open(address, _socket.AF_INET, ("0.0.0.0", address.port))  # noqa: S104  as asked
    if address.family in ("ipv4", "ipv6"):
        family = _socket.AF_INET if address.family == "ipv4" else _socket.AF_INET6
        return _open(address, family, (address.where, address.port))
    path = os.fsencode(address.where)
    if address.family == "abstract":
        return _open(address, _socket.AF_UNIX, b"\0" + path)
    try:
        return _open(address, _socket.AF_UNIX, path)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
    socketfile.remove_if_stale(address.where)
    return _open(address, _socket.AF_UNIX, path)


def _open(address: Address, family: int, where: tuple[str, int] | bytes) -> int:
    kind = _socket.SOCK_DGRAM if address.is_datagram else _socket.SOCK_STREAM
    socket = _socket.socket(family, kind | _socket.SOCK_CLOEXEC)
    has_file = False
    try:
        if family == _socket.AF_INET6:
            only = address.family == "ipv6"
            socket.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, only)
        if family != _socket.AF_UNIX and not address.is_datagram:
            # Connections of an earlier process may still be in TIME_WAIT (tcp(7)).
            socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        socket.bind(where)
        has_file = address.family == "path"
        if not address.is_datagram:
            socket.listen(BACKLOG)
        return socket.detach()
    finally:
        if socket.fileno() >= 0:  # it failed
            linux.close(socket.detach())
            if has_file:
                socketfile.remove(address.where)


def is_listener(fd: int) -> bool:
    """Return whether clients reach this socket, and it is not the end of one connection."""
    try:
        socket = _socket.socket(fileno=fd)
    except OSError:  # ENOTSOCK
        return False
    try:
        if socket.type != _socket.SOCK_DGRAM:
            return bool(socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN))
        socket.getpeername()
    except OSError as error:
        return error.errno == errno.ENOTCONN
    else:
        return False
    finally:
        socket.detach()


def describe(fd: int) -> str:
    """Return where a socket is bound, as `--listen` takes it; empty if that is no address.

    It may be the descriptor of anything.
    """
    try:
        socket = _socket.socket(fileno=fd)
    except OSError:  # ENOTSOCK
        return ""
    try:
        where = socket.getsockname()
        kind = "" if socket.type == _socket.SOCK_STREAM else "udp:"
        if socket.family in (_socket.AF_INET, _socket.AF_INET6):
            host = f"[{where[0]}]" if socket.family == _socket.AF_INET6 else where[0]
            return f"{kind}{host}:{where[1]}"
        if socket.family != _socket.AF_UNIX or not where:
            return ""
    except OSError:  # EOPNOTSUPP
        return ""
    finally:
        socket.detach()
    # An abstract name comes as bytes.
    return kind + (f"@{os.fsdecode(where[1:])}" if isinstance(where, bytes) else where)
