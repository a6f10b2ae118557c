"""Which signals are stops: by name, by what was ignored at the start, by the terminal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebound.core.events import SignalReceived, StopRequested
from rebound.core.incoming import Incoming
from rebound.core.signals import (
    LAST,
    SIGCONT,
    SIGHUP,
    SIGINT,
    SIGKILL,
    SIGQUIT,
    SIGTERM,
    SIGTSTP,
    SIGWINCH,
)

SIGUSR1 = 10
NOTHING: frozenset[int] = frozenset()


def event_of(signo: int, named: Any = NOTHING, ignored: Any = NOTHING, **how: Any) -> Any:
    """What a signal is that was sent by kill(2), if nothing else is said."""
    how = {"by_terminal": False, "hung_up": False, "delivered": False, **how}
    return Incoming(frozenset(named), frozenset(ignored)).event_of(signo, None, **how)


@pytest.mark.parametrize("signo", [SIGTERM, SIGINT])
def test_term_and_int_are_stops(signo: int) -> None:
    """Unless they were ignored at the start; then only if they are named."""
    assert event_of(signo) == StopRequested(signo)
    assert event_of(signo, ignored={signo}) == SignalReceived(signo)
    assert event_of(signo, named={signo}, ignored={signo}) == StopRequested(signo)


@pytest.mark.parametrize("signo", [SIGQUIT, SIGUSR1, SIGWINCH, SIGHUP, 37])
def test_others_are_stops_if_they_are_named(signo: int) -> None:
    """--stop-signal; naming adds."""
    assert event_of(signo) == SignalReceived(signo)
    assert event_of(signo, named={signo}) == StopRequested(signo)
    assert event_of(signo, named={signo}, ignored={signo}) == StopRequested(signo)
    assert event_of(SIGTERM, named={signo}) == StopRequested(SIGTERM)


def test_a_terminal_that_hangs_up_means_a_stop() -> None:
    """With nohup it does not, nor does a plain SIGHUP."""
    assert event_of(SIGHUP, hung_up=True) == StopRequested(SIGHUP)
    assert event_of(SIGHUP, ignored={SIGHUP}, hung_up=True) == SignalReceived(SIGHUP)
    assert event_of(SIGHUP) == SignalReceived(SIGHUP)


def test_a_window_that_is_resized_is_no_stop() -> None:
    """httpd's stop signal is SIGWINCH: only if somebody has sent it."""
    named = {SIGWINCH}
    assert event_of(SIGWINCH, named, by_terminal=True) == SignalReceived(SIGWINCH)
    assert event_of(SIGWINCH, named, by_terminal=True, delivered=True) is None
    assert event_of(SIGWINCH, named) == StopRequested(SIGWINCH)


@pytest.mark.parametrize("signo", [SIGINT, SIGQUIT])
def test_a_key_that_the_command_has_too_is_not_sent_twice(signo: int) -> None:
    """A stop is one all the same."""
    event = event_of(signo, by_terminal=True, delivered=True)
    assert event == (StopRequested(SIGINT, delivered=True) if signo == SIGINT else None)


@given(st.integers(1, LAST), st.integers(), st.sets(st.integers(1, LAST)))
def test_each_signal_is_passed_on_with_its_value(signo: int, value: int, ignored: set[int]) -> None:
    """If it is no stop, whatever was ignored."""
    how = {"by_terminal": False, "hung_up": False, "delivered": False}
    event = Incoming(NOTHING, frozenset(ignored)).event_of(signo, value, **how)
    if signo in {SIGTERM, SIGINT} - ignored:
        assert event == StopRequested(signo)
    else:
        assert event == SignalReceived(signo, value)


def test_which_signals_may_come_from_a_terminal() -> None:
    """Keys, a hang-up, a new size, and the job control of the kernel."""
    of_terminals = {s for s in range(1, LAST + 1) if Incoming.may_be_of_terminal(s)}
    assert {SIGINT, SIGQUIT, SIGTSTP, SIGHUP, SIGCONT, SIGWINCH} < of_terminals
    assert not {SIGTERM, SIGKILL, SIGUSR1} & of_terminals
