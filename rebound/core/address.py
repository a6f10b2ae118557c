"""Where a socket listens: `[NAME=]ADDRESS`, as `--listen` takes it."""

from __future__ import annotations

from rebound.core.activation import UNNAMED, is_name
from rebound.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Family = Literal["all", "ipv4", "ipv6", "path", "abstract"]

ALLOWED = (
    "127.0.0.1:8080, [::1]:8080, localhost:8080, :8080 (all addresses), /run/api.sock, "
    "@abstract, each with udp: before it for datagrams"
)
"""What an address may look like, in an error message."""

_DATAGRAMS = "udp:"
_LONGEST_PATH = 107  # sun_path of unix(7), with a NUL at the end or at the beginning
HIGHEST_PORT = 65535


class Address(Record):
    """Where a socket listens, and what the descriptor is called."""

    name: str
    family: Family
    where: str
    """The number of a host, empty for `all`; the path; or the abstract name without its @."""
    port: int = 0
    """0: the kernel picks one."""
    is_datagram: bool = False


def parse(text: str) -> Address:
    """Read `[NAME=]ADDRESS`.  Raises `ValueError`; its text says what is wrong."""
    name, address = _split_name(text)
    is_datagram = address.startswith(_DATAGRAMS)
    address = address.removeprefix(_DATAGRAMS)
    if address.startswith(("/", "@")):
        return _parse_unix(name, address, is_datagram=is_datagram)
    host, colon, port = address.rpartition(":")
    if not colon:
        raise ValueError(f"{text!r} is not an address ({ALLOWED})")
    if not is_port(port):
        raise ValueError(f"{text!r}: {port!r} is not a port (0 to {HIGHEST_PORT})")
    family, host = parse_host(host)
    return Address(name, family, host, int(port), is_datagram)


def _split_name(text: str) -> tuple[str, str]:
    name, equals, address = text.partition("=")
    if not equals or name.removeprefix(_DATAGRAMS).startswith(("/", "@")):
        return UNNAMED, text  # a path may have a =, too
    if not name or not is_name(name):
        raise ValueError(f"{name!r} is not a name (ASCII without control characters and :)")
    return name, address


def _parse_unix(name: str, address: str, *, is_datagram: bool) -> Address:
    if "\0" in address:
        raise ValueError(f"{address!r} has a NUL character")
    family: Family = "path" if address.startswith("/") else "abstract"
    where = address if family == "path" else address[1:]
    length = len(where.encode(errors="surrogateescape"))
    if not 1 <= length <= _LONGEST_PATH:
        raise ValueError(f"{address!r}: a socket's name has 1 to {_LONGEST_PATH} bytes")
    return Address(name, family, where, 0, is_datagram)


def is_port(text: str) -> bool:
    """Return whether it is the number of a port; 0 is one."""
    return text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= HIGHEST_PORT


def parse_host(host: str) -> tuple[Family, str]:
    """Return the family of a numeric address, and the address without brackets.

    Raises `ValueError`.
    """
    if not host:
        return "all", ""
    if host == "localhost":
        return "ipv4", "127.0.0.1"
    if _is_ipv4(host):
        return "ipv4", host
    if host.startswith("[") and host.endswith("]") and _is_ipv6(host[1:-1]):
        return "ipv6", host[1:-1]
    if _is_ipv6(host):
        raise ValueError(f"{host!r}: an IPv6 address stands in brackets, [{host}]")
    raise ValueError(f"{host!r} is neither a numeric address nor localhost: no name is resolved")


def _is_ipv4(text: str) -> bool:
    """Return whether these are four numbers, as inet_pton(3) reads them."""
    parts = text.split(".")
    return len(parts) == 4 and all(map(_is_octet, parts))


def _is_octet(text: str) -> bool:
    is_number = text.isascii() and text.isdecimal() and len(text) <= 3
    return is_number and str(int(text)) == text and int(text) <= 255


def _is_ipv6(text: str) -> bool:
    """Return whether this is an IPv6 address without a zone, as inet_pton(3) reads it."""
    before, gap, after = text.partition("::")
    groups = [group for part in (before, after) if part for group in part.split(":")]
    length = len(groups)
    if groups and _is_ipv4(groups[-1]) and not (gap and not after):
        groups.pop()
        length += 1  # it stands for two
    is_hex = all(
        1 <= len(group) <= 4 and all(char in "0123456789abcdefABCDEF" for char in group)
        for group in groups
    )
    return is_hex and (length <= 7 if gap else length == 8)
