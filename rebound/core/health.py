"""The health command: when it runs, and when a run is unhealthy, as in Docker."""

from __future__ import annotations

from rebound.core import narrate, signals
from rebound.core.events import Action, Event, say
from rebound.core.exitstatus import EXEC_FAILED, NOT_FOUND, UNHEALTHY, ExitStatus
from rebound.core.runs import TERM_PATIENCE, EndRun, Run
from rebound.core.states import (
    BACKOFF,
    CLEARING,
    DRAINING,
    ENDED,
    KILLING,
    RESTARTING,
    RUNNING,
    STOPPING,
)
from rebound.core.watch import Watch
from rebound.core.watchevents import (
    CheckDue,
    CheckHealth,
    CheckTimeoutOver,
    HealthChecked,
    HealthUnknown,
    KillCheck,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rebound.core.config import Config
    from rebound.core.states import State
    from rebound.core.timers import Timers
    from rebound.core.watch import Taken

STARTING = "starting"
HEALTHY = "healthy"
SICK = "unhealthy"
"""The result of a run's checks so far."""


class Health:
    """Counts the failed checks, run after run."""

    def __init__(self, config: Config) -> None:
        self.state = STARTING
        self.failures = 0
        """How many of the checks that count have failed in a row."""
        self.is_checking = False
        """Whether a check runs.  A killed one still counts until it is gone: there is only one."""
        self._config = config
        self._run_began = self._check_began = 0.0
        self._is_current = False  # the check that runs belongs to this run

    def begin_run(self, now: float) -> None:
        """Forget all results.  A check that still runs does not belong to the new run."""
        self.state = STARTING
        self.failures = 0
        self._run_began = now
        self._is_current = False

    def begin_check(self, now: float) -> bool:
        """Begin a check if none runs; return whether it may begin."""
        if self.is_checking:
            return False
        self.is_checking = self._is_current = True
        self._check_began = now
        return True

    def end_check(self, passed: bool | None) -> bool:
        """Take the result (None: no result); return whether it belongs to the present run."""
        is_current, self.is_checking, self._is_current = self._is_current, False, False
        if not is_current or passed is None:
            return is_current
        if passed:
            self.state = HEALTHY
            self.failures = 0
        elif self.state != STARTING or not self._in_start_period():
            self.failures += 1
            if self.failures >= self._config.health_retries:
                self.state = SICK
        return True

    def _in_start_period(self) -> bool:
        return self._check_began - self._run_began < self._config.health_start_period


class HealthChecks(Watch):
    """Ends a run for which the health command keeps failing."""

    pairs = (
        *((RUNNING, event) for event in (CheckDue, CheckTimeoutOver, HealthChecked, HealthUnknown)),
        # A check that was killed with its run is reaped later.
        (RESTARTING, HealthChecked),
        (CLEARING, HealthChecked),
        (BACKOFF, HealthChecked),
        (STOPPING, HealthChecked),
        (DRAINING, HealthChecked),
        (KILLING, HealthChecked),
        (ENDED, HealthChecked),
    )

    def __init__(self, config: Config, timers: Timers) -> None:
        super().__init__(config, timers)
        self._health = Health(config)
        self._pid = 0
        self._is_first = False  # no check of this run has ended yet

    @property
    def is_ready(self) -> bool:
        """Whether a check of this run has passed."""
        return self._health.state != STARTING

    @property
    def health_state(self) -> str:
        """The result of the checks so far: `starting`, `healthy`, `unhealthy`."""
        return self._health.state

    def begin(self, run: Run, now: float) -> None:
        """Check from now on; the first check comes after the interval."""
        self._pid = run.pid
        self._is_first = True
        self._health.begin_run(now)
        self._timers.set(CheckDue, now, self._config.health_interval)

    def end(self) -> list[Action]:
        """Kill the check that runs."""
        return [KillCheck()] if self._health.is_checking else []

    def take(self, event: Event, state: State, now: float) -> Taken:
        """Run a check, or take its result."""
        if state != RUNNING:
            self._health.end_check(None)
            return [], None
        if isinstance(event, HealthChecked):
            return self._checked(event, now)
        if isinstance(event, CheckDue):
            return self._check(now), None
        if isinstance(event, CheckTimeoutOver):
            told = say(narrate.health_timeout, self._config.health_timeout)
            return [told, KillCheck()], None
        return self._unknown(event.error if isinstance(event, HealthUnknown) else "", now)

    def _check(self, now: float) -> list[Action]:
        if not self._health.begin_check(now):
            self._timers.set(CheckDue, now, self._config.health_interval)
            return [say(narrate.health_unknown, f"the last check {narrate.NOT_GONE}")]
        self._timers.set(CheckTimeoutOver, now, self._config.health_timeout)
        return [CheckHealth(self._is_first or not self._config.health_command)]

    def _checked(self, event: HealthChecked, now: float) -> Taken:
        if not event.could_run:
            return self._unknown(event.output, now)
        status, before = event.status, self._health.state
        if not self._end_check(status.is_zero, now):
            return [], None
        is_first, self._is_first = self._is_first, False
        if status.is_zero:
            return ([] if before == HEALTHY else [say(narrate.healthy)]), None
        failures, retries = self._health.failures, self._config.health_retries
        how = (not self._config.health_command and event.output) or status
        failed: list[Action] = [say(narrate.health_failed, failures, retries, how)]
        if is_first and self._is_missing(status):
            failed.insert(0, say(narrate.health_missing, status, event.output))
        if self._health.state != SICK:
            return failed, None
        failed.append(say(narrate.unhealthy, self._pid))
        return failed, EndRun(UNHEALTHY, signals.SIGTERM, TERM_PATIENCE)

    def _unknown(self, error: str, now: float) -> Taken:
        """Take note of a check that could not run: it says nothing about the command."""
        if not self._end_check(None, now):
            return [], None
        return [say(narrate.health_unknown, error)], None

    def _is_missing(self, status: ExitStatus) -> bool:
        """Return whether the shell says that it cannot execute the health command."""
        return bool(self._config.health_command) and status.code in (EXEC_FAILED, NOT_FOUND)

    def _end_check(self, passed: bool | None, now: float) -> bool:
        if not self._health.end_check(passed):
            return False
        self._timers.cancel(CheckTimeoutOver)
        self._timers.set(CheckDue, now, self._config.health_interval)
        return True
