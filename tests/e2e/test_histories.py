"""Random histories of the real program; the clock is the real one."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.helpers import PID1
from tests.histories import CRASHES, ENDS, KINDS, RUBBISH, SIGNALS, History


class Histories(RuleBasedStateMachine):
    """One rebound, from its start to its end."""

    wrapper: ClassVar[list[str]] = []

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self.history = History(Path(self._directory.name), self.wrapper)
        self.signo: int = ENDS[0]

    @rule(order=st.sampled_from(CRASHES))
    def crash(self, order: str) -> None:
        self.history.crash(order)

    @rule()
    def be_killed(self) -> None:
        self.history.be_killed()

    @rule()
    def restart(self) -> None:
        self.history.restart()

    @rule(kind=st.sampled_from(KINDS))
    def leave_orphan(self, kind: str) -> None:
        self.history.leave_orphan(kind)

    @rule(signo=st.sampled_from(SIGNALS))
    def be_signalled(self, signo: int) -> None:
        self.history.be_signalled(signo)

    @rule(count=st.integers(1, 50))
    def be_sent_values(self, count: int) -> None:
        self.history.be_sent_values(count)

    @rule(count=st.integers(1, 20))
    def notify(self, count: int) -> None:
        self.history.notify(count)

    @rule(count=st.integers(1, 20), order=st.sampled_from(["", *CRASHES]))
    def be_connected(self, count: int, order: str) -> None:
        self.history.be_connected(count, order)

    @rule(count=st.integers(1, 30), rubbish=st.sampled_from(RUBBISH))
    def be_scraped(self, count: int, rubbish: bytes) -> None:
        self.history.be_scraped(count)
        self.history.be_annoyed(rubbish)

    @rule(kind=st.sampled_from(["store", "pipe"]))
    def store(self, kind: str) -> None:
        self.history.store(kind)

    @rule()
    def hang_up(self) -> None:
        self.history.hang_up()

    @rule()
    def forget(self) -> None:
        self.history.forget()

    @rule(signo=st.sampled_from(ENDS))
    def ask(self, signo: int) -> None:
        self.history.ask()
        self.signo = signo

    def teardown(self) -> None:
        try:
            self.history.check()
            self.history.end(self.signo)
        finally:
            self.history.close()
            self._directory.cleanup()


class HistoriesAsPid1(Histories):
    """The same in a PID namespace of its own."""

    wrapper = PID1


SETTINGS = settings(
    max_examples=8,
    stateful_step_count=15,
    suppress_health_check=[HealthCheck.too_slow],
)
TestHistories = Histories.TestCase
TestHistories.settings = SETTINGS
TestHistoriesAsPid1 = HistoriesAsPid1.TestCase
TestHistoriesAsPid1.settings = SETTINGS
