"""Where a health check connects: an `http://` URL, or HOST:PORT."""

from __future__ import annotations

from rebound.core.address import HIGHEST_PORT, is_port, parse_host
from rebound.core.record import Record

_SCHEME = "http://"
_HTTP_PORT = 80

URL_ALLOWED = "http://127.0.0.1:8080/healthz, http://[::1]/, http://localhost:8080"
TCP_ALLOWED = "127.0.0.1:8080, [::1]:8080, localhost:8080"
"""What they may look like, in an error message."""


class Target(Record):
    """The addresses are tried one after the other."""

    host: str
    """The host and port as they were written: the `Host` of a request (RFC 9112, 3.2)."""
    addresses: tuple[str, ...]
    port: int
    path: str = ""
    """With the query; empty if a connection is enough."""


def parse_url(text: str) -> Target:
    """Read an http:// URL.  Raises `ValueError`; its text says what is wrong."""
    scheme, slashes, rest = text.partition("//")
    if scheme + slashes != _SCHEME:
        raise ValueError(f"{text!r} is not a plain HTTP URL ({URL_ALLOWED})")
    if not text.isascii() or not text.isprintable() or " " in text or "#" in text:
        raise ValueError(f"{text!r}: a URL has neither blanks, # nor other than ASCII characters")
    end = min(at for at in (rest.find("/"), rest.find("?"), len(rest)) if at >= 0)
    host, path = rest[:end], rest[end:]
    addresses, port = _parse(text, host, URL_ALLOWED, _HTTP_PORT)
    return Target(host, addresses, port, path if path.startswith("/") else f"/{path}")


def parse_host_port(text: str) -> Target:
    """Read HOST:PORT.  Raises `ValueError`; its text says what is wrong."""
    return Target(text, *_parse(text, text, TCP_ALLOWED, 0))


def _parse(text: str, where: str, allowed: str, default_port: int) -> tuple[tuple[str, ...], int]:
    """Read HOST[:PORT]; return the addresses, and the port."""
    host, colon, port = where.rpartition(":")
    if default_port and (not colon or where.endswith("]")):
        host, port = where, str(default_port)
    elif not colon:
        raise ValueError(f"{text!r} is not HOST:PORT ({allowed})")
    if not host:
        raise ValueError(f"{text!r} has no host ({allowed})")
    if not is_port(port) or not int(port):
        raise ValueError(f"{text!r}: {port!r} is not a port (1 to {HIGHEST_PORT})")
    if host == "localhost":
        return ("127.0.0.1", "::1"), int(port)
    try:
        _family, address = parse_host(host)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None
    return (address,), int(port)
