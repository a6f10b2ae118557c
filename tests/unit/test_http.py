"""HTTP as a reader of probes needs it: which bytes are a request, and what an answer looks like."""

from __future__ import annotations

import io
from email.parser import BytesParser
from http.client import HTTPResponse
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebound.core import http
from rebound.core.http import Request, parse

if TYPE_CHECKING:
    import socket

PROMETHEUS = (
    b"GET /metrics HTTP/1.1\r\nHost: 10.0.0.7:9090\r\nUser-Agent: Prometheus/2.42.0\r\n"
    b"Accept: application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
    b"version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n"
    b"Accept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n"
)
KUBELET = (
    b"GET /readyz HTTP/1.1\r\nHost: 10.0.0.7:9090\r\nUser-Agent: kube-probe/1.31\r\n"
    b"Accept: */*\r\nConnection: close\r\n\r\n"
)
H = b"Host: a\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (PROMETHEUS, Request(path="/metrics", is_whole=True)),
        (KUBELET, Request(path="/readyz", is_whole=True)),
        (b"HEAD /livez HTTP/1.1\r\n" + H, Request(path="/livez", is_head=True, is_whole=True)),
        (b"GET / HTTP/1.0\r\n\r\n", Request(path="/", is_whole=True)),
        (b"\r\nGET /a HTTP/1.1\r\n" + H, Request(path="/a", is_whole=True)),
        (b"GET /a?b=/c&d HTTP/1.1\r\n" + H, Request(path="/a", is_whole=True)),
        (b"GET HTTP://a:1/b?c HTTP/1.1\r\n" + H, Request(path="/b", is_whole=True)),
        (b"GET /\xff HTTP/1.1\r\nX: \xff\t\r\n" + H, Request(path="/\xff", is_whole=True)),
        # More may come, or has: the answer must not be lost to it.
        (b"GET /a HTTP/1.1\r\n" + H + b"GET /b", Request(path="/a")),
        (b"GET /a HTTP/1.1\r\nContent-Length: 5\r\n" + H, Request(path="/a")),
        (b"GET /a HTTP/1.1\r\ntransfer-encoding:chunked\r\n" + H, Request(path="/a")),
        (b"GET /a HTTP/1.1\r\nContent-Length: 0\r\n" + H, Request(path="/a", is_whole=True)),
        (b"POST /a HTTP/1.1\r\n" + H, Request(405, "/a", is_whole=True)),
        (b"get /a HTTP/1.1\r\n" + H, Request(405, "/a", is_whole=True)),
    ],
)
def test_what_is_a_request(data: bytes, expected: Request) -> None:
    """Each of its beginnings is not one yet."""
    assert parse(data) == expected
    for length in range(data.index(b"\r\n\r\n", 1) + 3):
        assert parse(data[:length]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01",  # a TLS client
        b"GET /\0",
        b"GET / HTTP/1.1\n",
        b"GET / HTTP/1.1\rHost",
        b"GET / HTTP/1.1\r\nHost: a\nX",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET  / HTTP/1.1\r\n" + H,
        b"GET / HTTP/1.1 \r\n" + H,
        b"GET / x HTTP/1.1\r\n" + H,
        b"G(T / HTTP/1.1\r\n" + H,
        b" / HTTP/1.1\r\n" + H,
        b"GET / HTTP/1.2\r\n" + H,
        b"GET / http/1.1\r\n" + H,
        b"GET * HTTP/1.1\r\n" + H,
        b"GET a HTTP/1.1\r\n" + H,
        b"GET http://a HTTP/1.1\r\n" + H,
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + H,
        b"GET / HTTP/1.0\r\nHost: a\r\n" + H,
        b"GET / HTTP/1.1\r\nX: a\r\n b\r\n" + H,
        b"GET / HTTP/1.1\r\nX : a\r\n" + H,
        b"GET / HTTP/1.1\r\nX\r\n" + H,
        b"GET / HTTP/1.1\r\n: a\r\n" + H,
    ],
)
def test_what_is_none(data: bytes) -> None:
    """And it is said so as soon as that is certain."""
    assert parse(data) == Request(400)


def test_a_request_may_have_4096_bytes() -> None:
    """With its headers; the same if its end is still to come."""
    head, tail = b"GET /a HTTP/1.1\r\nX: ", b"\r\n" + H
    room = http.LONGEST - len(head + tail)
    assert parse(head + b"x" * room + tail) == Request(path="/a", is_whole=True)
    assert parse(head + b"x" * (room + 1) + tail) == Request(431)
    assert parse(b"x" * http.LONGEST) is None
    assert parse(b"x" * (http.LONGEST + 1)) == Request(431)


@given(st.binary() | st.text("GET /HTP1.:\r\n\t").map(str.encode), st.binary())
def test_any_bytes_are_read(data: bytes, more: bytes) -> None:
    """What is a request, or none, stays so whatever comes after it."""
    request = parse(data)
    if request is None:
        return
    assert request.status in http.REASONS
    longer = parse(data + more)
    assert longer
    assert (longer.status, longer.path) in ((request.status, request.path), (431, ""))


class Stream:
    """What a client of the standard library wants of a connection."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def read(data: bytes, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Read an answer as a client does."""
    response = HTTPResponse(cast("socket.socket", Stream(data)), method=method)
    response.begin()
    return response.status, dict(response.headers), response.read()


@pytest.mark.parametrize("status", http.REASONS)
def test_an_answer(status: int) -> None:
    date = "Wed, 25 Nov 2026 15:46:05 GMT"
    data = http.answer(status, http.TEXT, b"body\n", date)
    headers = {
        "Date": date,
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": "5",
        "Cache-Control": "no-store",
        "Connection": "close",
    }
    if status == 405:
        headers["Allow"] = "GET, HEAD"
    assert read(data) == (status, headers, b"body\n")


def test_the_answer_to_head_is_the_same_without_the_body() -> None:
    whole = http.answer(200, http.TEXT, b"body\n", "now")
    head = http.answer(200, http.TEXT, b"body\n", "now", is_head=True)
    assert head + b"body\n" == whole
    assert BytesParser().parsebytes(head.partition(b"\r\n")[2])["Content-Length"] == "5"
