"""Messages of sd_notify(3): what is understood, and that nothing else does harm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebound.core.notify import Message, parse


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"READY=1", Message(ready=True)),
        (b"STOPPING=1\n", Message(stopping=True)),
        (b"WATCHDOG=1", Message(alive=True)),
        (b"WATCHDOG=trigger", Message(trigger=True)),
        (b"STATUS=half way\nREADY=1", Message(ready=True, status="half way")),
        (b"STATUS=", Message(status="")),
        (b"STATUS=a=b", Message(status="a=b")),
        (b"STATUS=one\nSTATUS=two", Message(status="two")),
        (b"EXTEND_TIMEOUT_USEC=1500000", Message(extend=1.5)),
        (b"WATCHDOG_USEC=20000000\nWATCHDOG=1", Message(watchdog=20.0, alive=True)),
        (b"FDSTORE=1", Message(stores=True)),
        (b"FDSTORE=1\nFDNAME=db", Message(stores=True, stored_name="db")),
        (b"FDSTORE=1\nFDNAME=", Message(stores=True, stored_name="")),
        (b"FDSTORE=1\nFDNAME=a\nFDNAME=b", Message(stores=True, stored_name="a")),
        (b"FDSTORE=1\nFDNAME=a:b", Message(stores=True)),
        (b"FDSTORE=1\nFDNAME=\xc3\xa4", Message(stores=True)),
        (b"FDNAME=" + b"n" * 256, Message()),
        (b"FDSTORE=1\nFDPOLL=0", Message(stores=True, is_polled=False)),
        (b"FDSTORE=1\nFDPOLL=1", Message(stores=True)),
        (b"FDSTOREREMOVE=1\nFDNAME=db", Message(stored_name="db", removed_name="db")),
        (b"FDNAME=db\nFDSTOREREMOVE=1", Message(stored_name="db", removed_name="db")),
        (b"FDSTOREREMOVE=1", Message()),
        (b"BARRIER=1", Message()),
        (b"MAINPID=4711\nX_OURS=1\nERRNO=2", Message()),
    ],
)
def test_what_is_understood(data: bytes, message: Message) -> None:
    """Several assignments a message; unknown ones are for others."""
    assert parse(data) == message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"READY",
        b"READY=0",
        b"READY=10",
        b" READY=1",
        b"ready=1",
        b"WATCHDOG=2",
        b"EXTEND_TIMEOUT_USEC=",
        b"EXTEND_TIMEOUT_USEC=-5",
        b"EXTEND_TIMEOUT_USEC=1e9",
        b"EXTEND_TIMEOUT_USEC=0",
        b"WATCHDOG_USEC=" + b"9" * 400,
        b"WATCHDOG_USEC=\xd9\xa1",
        b"\0READY=1",
    ],
)
def test_what_is_not(data: bytes) -> None:
    """As if it had not been sent."""
    assert parse(data) == Message()


@given(st.binary(max_size=200))
def test_garbage_is_harmless(data: bytes) -> None:
    """Whatever the bytes."""
    message = parse(data)
    assert message.extend is None or message.extend > 0
