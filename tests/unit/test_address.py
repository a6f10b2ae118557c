"""Where `--listen` has a socket listen: what is understood, and what is wrong with the rest."""

from __future__ import annotations

import contextlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebound.core import address
from rebound.core.address import Address, parse, parse_unnamed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8080", Address("unknown", "ipv4", "127.0.0.1", 8080)),
        ("localhost:80", Address("unknown", "ipv4", "127.0.0.1", 80)),
        ("[::1]:8080", Address("unknown", "ipv6", "::1", 8080)),
        ("[::ffff:1.2.3.4]:0", Address("unknown", "ipv6", "::ffff:1.2.3.4", 0)),
        (":8080", Address("unknown", "all", "", 8080)),
        ("udp::8080", Address("unknown", "all", "", 8080, True)),
        ("udp:127.0.0.1:53", Address("unknown", "ipv4", "127.0.0.1", 53, True)),
        ("/run/api.sock", Address("unknown", "path", "/run/api.sock")),
        ("/run/a=b:c", Address("unknown", "path", "/run/a=b:c")),
        ("udp:/run/a=b", Address("unknown", "path", "/run/a=b", 0, True)),
        ("@api", Address("unknown", "abstract", "api")),
        ("udp:@a=b", Address("unknown", "abstract", "a=b", 0, True)),
        ("api=:8080", Address("api", "all", "", 8080)),
        ("my api=/run/a=b", Address("my api", "path", "/run/a=b")),
        ("a/b=udp:@x", Address("a/b", "abstract", "x", 0, True)),
        ("n" * 255 + "=@x", Address("n" * 255, "abstract", "x")),
        ("/" + "p" * 106, Address("unknown", "path", "/" + "p" * 106)),
    ],
)
def test_what_is_understood(text: str, expected: Address) -> None:
    """A name may come first; a path may have what else divides."""
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "is not an address"),
        ("8080", "is not an address"),
        ("api.sock", "is not an address"),
        ("api=", "is not an address"),
        ("example.com:80", "neither a numeric address nor localhost: no name is resolved"),
        ("1.2.3:80", "no name is resolved"),
        ("1.2.3.04:80", "no name is resolved"),
        ("[fe80::1%eth0]:80", "no name is resolved"),
        ("[1.2.3.4]:80", "no name is resolved"),
        ("::1:80", r"in brackets, \[::1\]"),
        (":65536", "'65536' is not a port"),
        (":http", "'http' is not a port"),
        (":-1", "'-1' is not a port"),
        (":\u0661", "is not a port"),
        (":", "'' is not a port"),
        ("=:80", "'' is not a name"),
        ("a:b=:80", "'a:b' is not a name"),
        ("ä=:80", "'ä' is not a name"),
        ("a\tb=:80", "is not a name"),
        ("n" * 256 + "=:80", "is not a name"),
        ("@", "has 1 to 107 bytes"),
        ("@" + "n" * 108, "has 1 to 107 bytes"),
        ("/" + "ä" * 54, "has 1 to 107 bytes"),
        ("/a\0b", "NUL"),
    ],
)
def test_what_is_wrong_is_said(text: str, error: str) -> None:
    """In one line, which says what is allowed."""
    with pytest.raises(ValueError, match=error) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


pieces = st.sampled_from(["1", "ab", ":", "::", ".", "1.2.3.4", "0", "ffff", "12345", "256", "g"])
texts = st.lists(pieces, max_size=12).map("".join)


@given(texts)
def test_addresses_are_those_of_the_c_library(text: str) -> None:
    """We have no inet_pton(3) where no system call may be made."""
    for family, is_address in (
        (socket.AF_INET, address._is_ipv4),
        (socket.AF_INET6, address._is_ipv6),
    ):
        try:
            socket.inet_pton(family, text)
            assert is_address(text)
        except OSError:
            assert not is_address(text)


@given(st.text(max_size=30))
def test_any_other_text_is_wrong(text: str) -> None:
    """Never another error than the one that says so."""
    with contextlib.suppress(ValueError):
        assert parse(text).port <= 65535


@pytest.mark.parametrize("text", ["127.0.0.1:0", "[::1]:80", ":80", "/run/a=b", "@a=b"])
def test_without_a_name_it_is_the_same(text: str) -> None:
    assert parse_unnamed(text) == parse(text)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "'' is not an address .*@abstract\\)"),
        ("80", "'80' is not an address .*@abstract\\)"),
        ("udp::80", "is not an address without NAME= and udp:"),
        ("a=:80", "is not an address without NAME= and udp:"),
        ("a=udp::80", "is not an address without NAME= and udp:"),
        ("=:80", "is not a name"),
        (":65536", "'65536' is not a port"),
        ("example.com:80", "no name is resolved"),
    ],
)
def test_what_is_wrong_without_a_name(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        parse_unnamed(text)
