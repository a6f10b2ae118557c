"""Whether to restart, when, and why: the policy, free of system calls and clocks."""

from __future__ import annotations

from rebound.core import signals
from rebound.core.config import Config
from rebound.core.exitstatus import REQUESTED, ExitStatus
from rebound.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    Verdict = Literal["restart", "meant", "refused", "gave up"]

FIRST_BACKOFF = 1.0
"""Seconds of the first back-off; it doubles from there."""

LEAST_AFTER_FAILED_START = 0.01
"""Seconds; also with `--max-delay 0` a start that fails must not become a busy loop, in
which nothing runs and no signal is looked at."""

JITTER = 0.1
"""The part of a back-off that chance may take off it, so that many containers that fail
on one cause do not all come back at the same instant."""


STOP_SIGNALS = frozenset((signals.SIGTERM, signals.SIGINT))
"""What begins the shutdown; --stop-signal adds to it."""


RESTART: Verdict = "restart"
MEANT: Verdict = "meant"  # the command has ended well, or was asked to stop: no restart
REFUSED: Verdict = "refused"  # --restart never, or --no-restart
GAVE_UP: Verdict = "gave up"  # --max-restarts


class Decision(Record):
    """What to do after a run: the verdict, and after RESTART the delay in seconds.

    `backoff` is the nominal back-off (without jitter), 0 when the failure was not rapid
    enough to be held back.
    """

    verdict: Verdict = RESTART
    delay: float = 0.0
    backoff: float = 0.0


class RestartPolicy:
    """Counts runs and decides about the next one.

    `chance` gives a number from 0 to 1 and is asked once for each back-off.
    """

    def __init__(self, config: Config, chance: Callable[[], float] = lambda: 0.0) -> None:
        self.restarts = 0
        """How many restarts there were so far, with those that were requested."""
        self._failures = 0  # those without
        self._config = config
        self._chance = chance
        self._stop_signals = STOP_SIGNALS | config.stop_signals
        self._rapid_failures = 0
        self._failed_forks = 0
        self._restart_times: list[float] = []  # only with a window; never more than max_restarts

    def is_success(self, status: ExitStatus) -> bool:
        """Whether a run that ended so counts as exit status 0."""
        return status.is_zero or status in self._config.success

    def verdict(self, status: ExitStatus, now: float, cause: str = "") -> Verdict:
        """Say whether there is a restart after `status`, or why there is none.

        `cause` is why rebound itself ended the run, see `End`.  Changes nothing: it may be
        asked before the process has been reaped.
        """
        config = self._config
        if cause == REQUESTED:
            return RESTART
        if config.restart == "never":
            return REFUSED
        if not cause and (verdict := self._verdict_on(status)) != RESTART:
            return verdict
        if 0 < config.max_restarts <= self._recent_restarts(now):
            return GAVE_UP
        return RESTART

    def _verdict_on(self, status: ExitStatus) -> Verdict:
        if status in self._config.no_restart:
            return REFUSED
        if self.is_success(status):
            return RESTART if self._config.restart == "always" else MEANT
        # When somebody has asked the command itself to stop, that is no crash.
        return MEANT if status.signal in self._stop_signals else RESTART

    def after_run(
        self, status: ExitStatus, run_time: float, now: float, cause: str = ""
    ) -> Decision:
        """Decide after a run of `run_time` seconds, and count it."""
        verdict = self.verdict(status, now, cause)
        if verdict != RESTART:
            return Decision(verdict)
        if cause == REQUESTED:
            self.restarts += 1
            return Decision()
        self._failed_forks = 0
        self._count_restart(now)
        if run_time < self._config.reset_after:
            self._rapid_failures += 1
        else:
            self._rapid_failures = 0
        held_back = self._config.burst and self._rapid_failures >= self._config.burst
        return self._delayed(self._rapid_failures - self._config.burst if held_back else -1)

    def after_failed_exec(self, status: ExitStatus, now: float) -> Decision:
        """Decide after a restart whose exec failed, e.g. while the binary is being replaced.

        It counts like a rapid failure but is delayed from the first one on, also with
        `-b 0`: nothing ran, so nothing else would bound the speed of such a loop.
        """
        decision = self.after_run(status, 0.0, now)
        if decision.verdict != RESTART:
            return decision
        return _held_back(decision if decision.backoff else self._delayed(0))

    def after_failed_fork(self) -> Decision:
        """Decide after a start for which the system had no means; it is no run, so not counted."""
        self._failed_forks += 1
        return _held_back(self._delayed(self._failed_forks - 1))

    def _delayed(self, doublings: int) -> Decision:
        """Give a restart after the back-off that was doubled so often; negative = none."""
        if doublings < 0:
            return Decision(RESTART, self._config.restart_delay)
        # 2.0 ** 1024 overflows; 2 ** 32 s is above any bound that makes sense.
        backoff = min(FIRST_BACKOFF * 2.0 ** min(doublings, 32), self._config.max_delay)
        jittered = backoff * (1 - JITTER * self._chance())
        delay = max(jittered, self._config.restart_delay)
        return Decision(RESTART, delay, max(backoff, self._config.restart_delay))

    def _count_restart(self, now: float) -> None:
        self.restarts += 1
        self._failures += 1
        if self._config.max_restarts and self._config.max_restarts_window is not None:
            self._restart_times.append(now)

    def _recent_restarts(self, now: float) -> int:
        window = self._config.max_restarts_window
        if window is None:
            return self._failures
        self._restart_times = [time for time in self._restart_times if now - time < window]
        return len(self._restart_times)


def _held_back(decision: Decision) -> Decision:
    """Give the same, but with at least the delay that any failed start has."""
    least = LEAST_AFTER_FAILED_START
    return Decision(RESTART, max(decision.delay, least), max(decision.backoff, least))
