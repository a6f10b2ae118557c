"""Timers: events that are due at a time, on the caller's monotonic clock."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rebound.core.events import Event

PAUSE = 1.0
"""Seconds.  If a timer is noticed this late, rebound itself did not run (docker pause, a frozen
cgroup, a stopped virtual machine); nor did the processes whose time the timer measures."""


class Timers:
    """At most one timer of each kind."""

    def __init__(self) -> None:
        self.deadline: float | None = None
        """When the first timer is due; None = never."""
        self._timers: dict[type[Event], tuple[float, float]] = {}  # (when due, after how long)

    def set(self, timer: type[Event], now: float, seconds: float) -> None:
        """Set a timer; if it is set, set it anew."""
        self._timers[timer] = (now + seconds, seconds)
        self._update()

    def cancel(self, timer: type[Event]) -> None:
        """Unset a timer, if it is set."""
        self._timers.pop(timer, None)
        self._update()

    def keep(self, *kept: type[Event]) -> None:
        """Unset all timers but these."""
        if self._timers:
            self._timers = {timer: self._timers[timer] for timer in kept if timer in self._timers}
            self._update()

    def time_of(self, timer: type[Event]) -> float | None:
        """Return when a timer is due; None if it is not set."""
        return self._timers[timer][0] if timer in self._timers else None

    def length_of(self, timer: type[Event]) -> float:
        """Return after how many seconds a timer was set to be due; 0 if it is not set."""
        return self._timers[timer][1] if timer in self._timers else 0.0

    def take(self, now: float) -> Event | None:
        """Unset the first timer and return its event; None if there is none, or it begins anew."""
        if not self._timers:
            return None
        timer = min(self._timers, key=lambda timer: self._timers[timer][0])
        due, seconds = self._timers.pop(timer)
        if now - due > PAUSE and timer.waits_for_others:
            self.set(timer, now, seconds)
            return None
        self._update()
        return timer()

    def __contains__(self, timer: type[Event]) -> bool:
        """Return whether a timer is set."""
        return timer in self._timers

    def _update(self) -> None:
        self.deadline = min(due for due, _ in self._timers.values()) if self._timers else None
