"""Whether to restart, when, and why: the policy, free of system calls and clocks."""

from __future__ import annotations

from rebound.core import signals
from rebound.core.config import Config
from rebound.core.exitstatus import ON_PURPOSE, ExitStatus
from rebound.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    Verdict = Literal["restart", "meant", "refused", "gave up"]

FIRST_BACKOFF = 1.0
"""Seconds of the first back-off; it doubles from there."""

LEAST_AFTER_FAILED_START = 0.01
"""Seconds.  Even with `--max-delay 0` starts that fail must not become a busy loop, which
would run nothing and read no signal."""

JITTER = 0.1
"""The share of a back-off that chance may take off.  Many containers that fail for one cause
then do not all come back at the same instant."""


STOP_SIGNALS = frozenset((signals.SIGTERM, signals.SIGINT))
"""The signals that begin the shutdown; --stop-signal adds to them."""


RESTART: Verdict = "restart"
MEANT: Verdict = "meant"  # the command succeeded, or was asked to stop: no restart
REFUSED: Verdict = "refused"  # --restart never, or --no-restart
GAVE_UP: Verdict = "gave up"  # --max-restarts


class Decision(Record):
    """What to do after a run: the verdict, and after RESTART the delay in seconds.

    `backoff` is the nominal back-off (without jitter); 0 if there is none.
    """

    verdict: Verdict = RESTART
    delay: float = 0.0
    backoff: float = 0.0


class RestartPolicy:
    """Counts runs and decides about the next one.

    `chance` returns a number from 0 to 1; each back-off calls it once.
    """

    def __init__(self, config: Config, chance: Callable[[], float] = lambda: 0.0) -> None:
        self.restarts = 0
        """How many restarts there were so far, including those that were no failures."""
        self._failures = 0  # restarts after failures
        self._config = config
        self._chance = chance
        self._stop_signals = STOP_SIGNALS | config.stop_signals
        self._rapid_failures = 0
        self._failed_forks = 0
        self._restart_times: list[float] = []  # only with a window; never more than max_restarts

    def is_success(self, status: ExitStatus) -> bool:
        """Return whether this status counts as exit status 0."""
        return status.is_zero or status in self._config.success

    def verdict(self, status: ExitStatus, now: float, cause: str = "") -> Verdict:
        """Return RESTART, or why there is no restart after `status`.

        `cause` is why rebound itself ended the run, see `End`.  Changes nothing: it may be
        called before the process has been reaped.
        """
        config = self._config
        if cause in ON_PURPOSE:
            return RESTART
        if not cause and self._is_forced(status):
            pass
        elif config.restart == "never":
            return REFUSED
        elif not cause and (verdict := self._verdict_on(status)) != RESTART:
            return verdict
        if 0 < config.max_restarts <= self._recent_restarts(now):
            return GAVE_UP
        return RESTART

    def _is_forced(self, status: ExitStatus) -> bool:
        """Return whether --force-restart decides: no other list names the status more specially."""
        config = self._config
        others = max(config.no_restart.rank(status), config.success.rank(status))
        return config.force_restart.rank(status) > others

    def _verdict_on(self, status: ExitStatus) -> Verdict:
        if status in self._config.no_restart:
            return REFUSED
        if self.is_success(status):
            return RESTART if self._config.restart == "always" else MEANT
        # If somebody asked the command itself to stop, this is no crash.
        return MEANT if status.signal in self._stop_signals else RESTART

    def after_run(
        self, status: ExitStatus, run_time: float, now: float, cause: str = ""
    ) -> Decision:
        """Decide after a run of `run_time` seconds, and count it."""
        verdict = self.verdict(status, now, cause)
        if verdict != RESTART:
            return Decision(verdict)
        if cause in ON_PURPOSE:
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

        It counts like a rapid failure, but the very first is delayed already, even with
        `-b 0`: nothing ran, so nothing else would slow down such a loop.
        """
        decision = self.after_run(status, 0.0, now)
        if decision.verdict != RESTART:
            return decision
        return _held_back(decision if decision.backoff else self._delayed(0))

    def after_failed_fork(self) -> Decision:
        """Decide after a start that the system had no means for.  It does not count as a run."""
        self._failed_forks += 1
        return _held_back(self._delayed(self._failed_forks - 1))

    def _delayed(self, doublings: int) -> Decision:
        """Return a restart after a back-off with `doublings`; negative = no back-off."""
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
    """Return the same decision with at least the least delay of a failed start."""
    least = LEAST_AFTER_FAILED_START
    return Decision(RESTART, max(decision.delay, least), max(decision.backoff, least))
