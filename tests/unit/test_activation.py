"""The protocol of sd_listen_fds(3), in both directions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebound.core.activation import environment_of, is_name, names_for_us

OURS = {b"LISTEN_PID": b"7", b"LISTEN_FDS": b"2"}


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, ["unknown", "unknown"]),
        ({b"LISTEN_FDNAMES": b"api:db"}, ["api", "db"]),
        ({b"LISTEN_FDNAMES": b":db"}, ["", "db"]),
        ({b"LISTEN_FDNAMES": b"api"}, ["unknown", "unknown"]),
        ({b"LISTEN_FDNAMES": b"a:b:c"}, ["unknown", "unknown"]),
        ({b"LISTEN_FDNAMES": b"a\tb:\xe4"}, ["unknown", "unknown"]),
        ({b"LISTEN_FDS": b"0"}, []),
        ({b"LISTEN_FDS": b""}, []),
        ({b"LISTEN_FDS": b"-1"}, []),
        ({b"LISTEN_FDS": b"two"}, []),
        ({b"LISTEN_FDS": b"9" * 30}, []),
        ({b"LISTEN_PID": b"8"}, []),
        ({b"LISTEN_PID": b""}, []),
        ({b"LISTEN_PID": b"07"}, []),
    ],
)
def test_what_was_handed_to_us(changes: dict[bytes, bytes], names: list[str]) -> None:
    """What is meant for another process is not ours; a wrong list of names is none."""
    assert names_for_us(OURS | changes, 7) == names


def test_nothing_was_handed_to_us() -> None:
    """The variables are missing."""
    assert names_for_us({}, 7) == []
    assert names_for_us({b"LISTEN_PID": b"7"}, 7) == []


def test_what_a_run_is_told() -> None:
    """As many names as descriptors; nothing of what was meant for us."""
    before = {b"A": b"b", b"LISTEN_PIDFDID": b"1", b"LISTEN_PID": b"1", b"LISTEN_FDS": b"9"}
    assert environment_of(before, [("api", 5), ("", 9)]) == {
        b"A": b"b",
        b"LISTEN_FDS": b"2",
        b"LISTEN_FDNAMES": b"api:",
    }
    assert b"LISTEN_PIDFDID" in before


@given(st.lists(st.text(st.characters(codec="ascii"), max_size=5).filter(is_name), min_size=1))
def test_what_a_run_is_told_is_what_it_reads(names: list[str]) -> None:
    """Each name that is allowed."""
    told = environment_of({}, [(name, 3) for name in names]) | {b"LISTEN_PID": b"7"}
    assert names_for_us(told, 7) == names
