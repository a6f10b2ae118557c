"""HTTP/1.1 (RFC 9110, 9112) as far as a reader of probes and metrics needs it."""

from __future__ import annotations

from rebound.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST = 4096
"""Bytes of a request, its headers included."""

OK = 200
BAD_REQUEST = 400
NOT_FOUND = 404
METHOD_NOT_ALLOWED = 405
TOO_LARGE = 431
UNAVAILABLE = 503

REASONS = {
    OK: "OK",
    BAD_REQUEST: "Bad Request",
    NOT_FOUND: "Not Found",
    METHOD_NOT_ALLOWED: "Method Not Allowed",
    TOO_LARGE: "Request Header Fields Too Large",
    UNAVAILABLE: "Service Unavailable",
}

TEXT = "text/plain; charset=utf-8"

_METHODS = ("GET", "HEAD")
_VERSIONS = (b"HTTP/1.1", b"HTTP/1.0")
_ALLOWED = bytes({*range(0x20, 0x7F), *range(0x80, 0x100)}) + b"\t\r\n"
_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Request(Record):
    """A request that was read, with the status that its form alone asks for."""

    status: int = OK
    path: str = ""
    is_head: bool = False
    is_whole: bool = False
    """Whether the client sends no more: then the connection can be closed at once."""


def parse(data: bytes) -> Request | None:
    """Read a request from the beginning of what a client has sent; None if more has to come."""
    data = data.removeprefix(b"\r\n")  # RFC 9112, 2.2
    head, end, rest = data.partition(b"\r\n\r\n")
    if len(head) + len(end) > LONGEST:
        return Request(TOO_LARGE)
    if not _is_text(head if end else head.removesuffix(b"\r")):
        return Request(BAD_REQUEST)  # at once: no TLS client waits until its time is over
    if not end:
        return None
    return _parse_head(head, has_more=bool(rest))


def _parse_head(head: bytes, *, has_more: bool) -> Request:
    first, *fields = head.split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or words[2] not in _VERSIONS or not _is_token(words[0]):
        return Request(BAD_REQUEST)
    hosts = 0
    for field in fields:
        name, colon, value = field.partition(b":")
        if not (colon and _is_token(name)):  # a folded line, too, begins with a blank
            return Request(BAD_REQUEST)
        name = name.lower()
        hosts += name == b"host"
        has_more |= name == b"transfer-encoding"
        has_more |= name == b"content-length" and value.strip() != b"0"
    if hosts > 1 or (not hosts and words[2] == b"HTTP/1.1"):
        return Request(BAD_REQUEST)
    return _request(words[0].decode(), words[1].decode("latin-1"), is_whole=not has_more)


def _request(method: str, target: str, *, is_whole: bool) -> Request:
    if target.lower().startswith("http://"):  # as to a proxy (RFC 9112, 3.2.2)
        _authority, slash, path = target[len("http://") :].partition("/")
        target = slash + path
    if not target.startswith("/"):
        return Request(BAD_REQUEST)
    status = OK if method in _METHODS else METHOD_NOT_ALLOWED
    return Request(status, target.partition("?")[0], method == "HEAD", is_whole)


def _is_text(head: bytes) -> bool:
    """Return whether there is no control character, and no line end but CR LF."""
    rest = head.replace(b"\r\n", b"")
    return not (rest.translate(None, _ALLOWED) or b"\r" in rest or b"\n" in rest)


def _is_token(word: bytes) -> bool:
    return bool(word) and not word.translate(None, _TOKEN)


def answer(status: int, kind: str, body: bytes, date: str, *, is_head: bool = False) -> bytes:
    """Return a whole answer, after which the connection is closed.

    `kind` is the media type.  The answer to HEAD has no body.
    """
    lines = [
        f"HTTP/1.1 {status} {REASONS[status]}",
        f"Date: {date}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if status == METHOD_NOT_ALLOWED:
        lines.append(f"Allow: {', '.join(_METHODS)}")
    return _joined(lines) + (b"" if is_head else body)


def _joined(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"
