"""Where a health check connects."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebound.core.target import Target, parse_host_port, parse_url

BOTH = ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://127.0.0.1", Target("127.0.0.1", ("127.0.0.1",), 80, "/")),
        ("http://[::1]:8080/healthz", Target("[::1]:8080", ("::1",), 8080, "/healthz")),
        ("http://[::1]", Target("[::1]", ("::1",), 80, "/")),
        ("http://localhost:81/a?b=c/d", Target("localhost:81", BOTH, 81, "/a?b=c/d")),
        ("http://localhost?x", Target("localhost", BOTH, 80, "/?x")),
    ],
)
def test_urls(url: str, target: Target) -> None:
    """The port is 80 where there is none; localhost has two addresses."""
    assert parse_url(url) == target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("127.0.0.1:80", Target("127.0.0.1:80", ("127.0.0.1",), 80)),
        ("[::1]:5432", Target("[::1]:5432", ("::1",), 5432)),
        ("localhost:5432", Target("localhost:5432", BOTH, 5432)),
    ],
)
def test_hosts_and_ports(text: str, target: Target) -> None:
    """A connection is enough."""
    assert parse_host_port(text) == target


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        *((url, "is not a plain HTTP URL") for url in ("", "x", "127.0.0.1:80", "https://[::1]/")),
        ("HTTP://[::1]/", "is not a plain HTTP URL"),
        ("http://", "has no host"),
        ("http:///x", "has no host"),
        ("http://:80/", "has no host"),
        ("http://example.com/", "neither a numeric address nor localhost"),
        ("http://user@127.0.0.1/", "neither a numeric address nor localhost"),
        ("http://::1/", "neither a numeric address nor localhost"),
        ("http://127.0.0.1:/", "is not a port"),
        ("http://127.0.0.1:0/", "is not a port"),
        ("http://127.0.0.1:65536/", "is not a port"),
        ("http://127.0.0.1/a b", "neither blanks"),
        ("http://127.0.0.1/a\r\nX: y", "neither blanks"),
        ("http://127.0.0.1/ä", "neither blanks"),
        ("http://127.0.0.1/#x", "neither blanks"),
    ],
)
def test_wrong_urls(url: str, wrong: str) -> None:
    """The error has the text, and what is wrong."""
    with pytest.raises(ValueError, match=f"^{re.escape(repr(url))}.*{wrong}"):
        parse_url(url)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "is not HOST:PORT"),
        ("127.0.0.1", "is not HOST:PORT"),
        ("[::1]", "is not a port|neither"),
        (":80", "has no host"),
        ("[::1]:http", "is not a port"),
        ("example.com:80", "neither a numeric address nor localhost"),
        ("/run/x:80", "neither a numeric address nor localhost"),
    ],
)
def test_wrong_hosts_and_ports(text: str, wrong: str) -> None:
    """The same."""
    with pytest.raises(ValueError, match=wrong):
        parse_host_port(text)


@given(st.text(max_size=20).map(lambda rest: f"http://{rest}"))
def test_any_text(url: str) -> None:
    """What is taken has no line's end in it, and is a URL for others, too."""
    try:
        target = parse_url(url)
    except ValueError:
        return
    assert urlsplit(url).netloc == target.host
    assert not {"\r", "\n", " "} & {*target.path, *target.host}
