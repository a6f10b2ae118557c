"""Whether the command is healthy, by the rules of Docker's HEALTHCHECK."""

from __future__ import annotations

from rebound.core.config import Config

STARTING = "starting"
HEALTHY = "healthy"
UNHEALTHY = "unhealthy"


class Health:
    """Counts what the checks of one run after the other have found."""

    def __init__(self, config: Config) -> None:
        self.state = STARTING
        self.failures = 0
        """How many checks have failed in a row, of those that count."""
        self.is_checking = False
        """Whether a check runs; one only, also while a killed one is not gone yet."""
        self._config = config
        self._run_began = self._check_began = 0.0
        self._is_current = False  # the check that runs is one of this run

    def begin_run(self, now: float) -> None:
        """Forget what was; a check that still runs is none of the new run's."""
        self.state = STARTING
        self.failures = 0
        self._run_began = now
        self._is_current = False

    def begin_check(self, now: float) -> bool:
        """Whether a check may begin now."""
        if self.is_checking:
            return False
        self.is_checking = self._is_current = True
        self._check_began = now
        return True

    def end_check(self, passed: bool | None) -> bool:
        """Take the result, None for none; whether it is one of the present run."""
        is_current, self.is_checking, self._is_current = self._is_current, False, False
        if not is_current or passed is None:
            return is_current
        if passed:
            self.state = HEALTHY
            self.failures = 0
        elif self.state != STARTING or not self._in_start_period():
            self.failures += 1
            if self.failures >= self._config.health_retries:
                self.state = UNHEALTHY
        return True

    def _in_start_period(self) -> bool:
        return self._check_began - self._run_began < self._config.health_start_period
