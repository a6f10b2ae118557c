"""Signal numbers and names, held against Python's own `signal` module."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebound.core import signals

ALL = range(1, 65)
NAMELESS = {32, 33}  # the C library keeps them for itself

WRONG = ["", "SIG", "0", "65", "-1", "1.5", " 15", "²", "TER", "SIGSIGTERM", "SIG_DFL", "BLOCK"]
WRONG += ["RTMIN+", "RTMIN-1", "RTMIN+x", "RTMIN+31", "RTMAX+1", "RTMAX-31", "RTMIN++1", "TERM+1"]


@pytest.mark.parametrize("known", signal.Signals, ids=lambda known: known.name)
def test_every_signal_of_the_system_is_read_by_name(known: signal.Signals) -> None:
    """With and without SIG, in any case, and by its number."""
    short = known.name.removeprefix("SIG")
    for text in (known.name, short, short.lower(), short.capitalize(), str(int(known))):
        assert signals.parse(text) == known


@pytest.mark.parametrize("signo", ALL)
def test_a_name_reads_back_as_its_signal(signo: int) -> None:
    """Each of the 64 has a name that parse() knows, or else its number for one."""
    name = signals.name(signo)
    assert signals.parse(name) == signo
    assert name.isdecimal() == (signo in NAMELESS)


def test_constants_are_those_of_the_system() -> None:
    """A wrong number would go to the wrong signal's handling."""
    constants = {name: value for name, value in vars(signals).items() if name.startswith("SIG")}
    assert len(constants) >= 16
    assert constants == {name: int(getattr(signal, name)) for name in constants}
    assert max(signal.valid_signals()) == signals.LAST


@pytest.mark.parametrize(
    ("alias", "name"),
    [("CLD", "SIGCHLD"), ("POLL", "SIGIO"), ("IOT", "SIGABRT"), ("RTMIN", "SIGRTMIN")],
)
def test_of_two_names_the_usual_one_is_shown(alias: str, name: str) -> None:
    """The other is still read."""
    assert signals.name(signals.parse(alias)) == name


@pytest.mark.parametrize(
    ("text", "signo"),
    [("RTMIN+0", 34), ("SIGRTMIN+3", 37), ("rtmin+30", 64), ("RTMAX-0", 64), ("SIGRTMAX-14", 50)],
)
def test_realtime_signals_count_from_either_end(text: str, signo: int) -> None:
    """As kill(1) and Docker's STOPSIGNAL have it: systemd in a container wants SIGRTMIN+3."""
    assert signals.parse(text) == signo


def test_descriptions() -> None:
    """Number and name, as the log shows them."""
    assert signals.describe(15) == "signal 15 (SIGTERM)"
    assert signals.describe(37) == "signal 37 (SIGRTMIN+3)"


@given(st.sets(st.sampled_from(ALL)))
def test_signals_of_a_bit_set(signos: set[int]) -> None:
    """As the kernel writes them in /proc; bits beyond the last signal are nobody's."""
    bits = sum(1 << signo - 1 for signo in signos)
    assert signals.from_bits(bits) == signals.from_bits(bits | 1 << signals.LAST) == signos


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_signal_is_refused(text: str) -> None:
    """With a sentence that repeats it and says what is allowed."""
    with pytest.raises(ValueError, match="a name such as TERM or SIGTERM, or 1 to 64") as raised:
        signals.parse(text)
    assert repr(text) in str(raised.value)


@given(st.text() | st.from_regex(r"\A(SIG)?[A-Z0-9]{1,6}[+-]?[0-9]{0,3}\Z"))
def test_any_text_is_a_signal_or_refused(text: str) -> None:
    """Nothing but 1 to 64 comes out, and nothing but ValueError."""
    try:
        assert signals.parse(text) in ALL
    except ValueError:
        pass
