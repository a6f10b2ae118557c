"""A service whose runs have to show that they work: by keep-alives, or to a health command.

The keep-alives are those of sd_notify(3), the rules of the health command Docker's.
"""

from __future__ import annotations

from rebound.core import health, signals
from rebound.core.config import Config, format_duration
from rebound.core.events import (
    Action,
    CheckDue,
    CheckHealth,
    CheckTimeoutOver,
    Event,
    HealthChecked,
    HealthUnknown,
    KillCheck,
    Log,
    Notified,
    NotifiedByStrangers,
    TellManager,
    WatchdogExpired,
)
from rebound.core.health import Health
from rebound.core.restart import HUNG, UNHEALTHY, RestartPolicy
from rebound.core.service import (
    BACKOFF,
    CLEARING,
    DRAINING,
    ENDED,
    KILLING,
    RESTARTING,
    RUNNING,
    STOPPING,
    TERM_PATIENCE,
    Service,
)

ABORT_PATIENCE = 5.0
"""Seconds from SIGABRT, on which a hung command may dump its state, to SIGKILL."""


STOPPING_PATIENCE = 90.0
"""Seconds that a run has to end in that says it is stopping by itself (STOPPING=1); systemd's
default for the same (TimeoutStopSec)."""

FLOOD = 100.0
"""So many messages a second from strangers may cost keep-alives.  While the socket's queue is full
(net.unix.max_dgram_qlen, which may be as short as 10), a client that does not block loses its
message (EAGAIN).  One that blocks gets its turn."""

MOST_DOUBTS = 10
"""So often in a row a silence in a flood is forgiven.  Four senders at full speed left room for
every third keep-alive: a run that works is heard before that, and one that hangs does not stay
for ever."""


class WatchedService(Service):
    """A service that also restarts runs that hang, or are unhealthy."""

    def __init__(self, name: str, config: Config, policy: RestartPolicy) -> None:
        super().__init__(name, config, policy)
        self._health = Health(config)
        self._watchdog = 0.0  # seconds within which the run must give a sign of life
        self._extended_until = 0.0  # when the patience ends that it has asked for
        self._says_ready = False
        self._says_stopping = False
        self._strangers = 0  # how many messages of theirs came
        self._counting_since = 0.0
        self._doubts = 0  # silences forgiven since the last sign of life
        self._told_of_flood = False

    @property
    def is_ready(self) -> bool:
        """With a watchdog the run has said so (READY=1); if there are checks, one has passed."""
        if self._config.watchdog and not self._says_ready:
            return False
        if self._config.health_command and self._health.state == health.STARTING:
            return False
        return super().is_ready

    @property
    def health_state(self) -> str:
        """What the health command finds: `starting`, `healthy`, `unhealthy`."""
        return self._health.state if self._config.health_command else ""

    def _begin_watching(self, now: float) -> None:
        self._says_ready = self._says_stopping = False
        self._extended_until = now
        self._watchdog = self._config.watchdog or 0.0
        self._told_of_flood = False
        self._trust(now)
        if self._watchdog:
            self._set_timer(WatchdogExpired, now, self._watchdog)
        self._health.begin_run(now)
        if self._config.health_command:
            self._set_timer(CheckDue, now, self._config.health_interval)

    def _end_watching(self) -> list[Action]:
        return [KillCheck()] if self._health.is_checking else []

    # --- Watchdog -------------------------------------------------------------------

    def _hang(self, why: str, now: float) -> list[Action]:
        sending = f"sending {signals.describe(signals.SIGABRT)}"
        text = f"child (pid {self.run.pid}) hung: {why}, {sending}"
        log = Log("info", "hung", text, {"pid": self.run.pid, "reason": why})
        return self._end_run(HUNG, signals.SIGABRT, ABORT_PATIENCE, now, log)

    def _watchdog_expired(self, _event: WatchdogExpired, now: float) -> list[Action]:
        is_flood = self._strangers > FLOOD * (now - self._counting_since)
        if is_flood and not self._says_stopping and self._doubts < MOST_DOUBTS:
            return self._doubt(now)
        silence = format_duration(self._watchdog * (1 + self._doubts))
        return self._hang(f"no keep-alive for {silence}", now)

    def _doubt(self, now: float) -> list[Action]:
        """Forgive a silence that may be the work of strangers."""
        self._doubts += 1
        self._count_anew(now)
        self._set_timer(WatchdogExpired, now, self._watchdog)
        if self._told_of_flood:
            return []
        self._told_of_flood = True
        more = format_duration(self._watchdog * MOST_DOUBTS)
        text = "strangers flood the NOTIFY_SOCKET, keep-alives may be lost: "
        text += f"child (pid {self.run.pid}) gets up to {more} more"
        return [Log("error", "flooded", text, {"pid": self.run.pid})]

    def _trust(self, now: float) -> None:
        self._doubts = 0
        self._count_anew(now)

    def _count_anew(self, now: float) -> None:
        self._strangers = 0
        self._counting_since = now

    def _notified_by_strangers(self, event: NotifiedByStrangers, _now: float) -> list[Action]:
        self._strangers += event.count
        return []

    def _notified(self, event: Notified, now: float) -> list[Action]:
        actions = self._take_words(event)
        message = event.message
        if message.trigger:
            return [*actions, *self._hang("it says so (WATCHDOG=trigger)", now)]
        if message.watchdog:
            self._watchdog = message.watchdog
        if message.extend:
            self._extended_until = now + message.extend
        if self._says_stopping:
            # From here on it need not say that it is alive: a clean end may take its time.
            if message.stopping or message.extend:
                until = max(now + STOPPING_PATIENCE, self._extended_until)
                self._set_timer(WatchdogExpired, now, until - now)
        elif message.ready or message.alive or message.watchdog or message.extend:
            self._trust(now)
            until = max(now + self._watchdog, self._extended_until)
            self._set_timer(WatchdogExpired, now, until - now)
        if message.ready and not self._says_ready:
            self._says_ready = True
            text = f"child (pid {self.run.pid}) is ready"
            actions.append(Log("debug", "ready", text, {"pid": self.run.pid}))
            actions += self._tell_if_ready()
        return actions

    def _notified_late(self, event: Notified, _now: float) -> list[Action]:
        """Take a message from a run that was told to end: it gets no more time than others."""
        return self._take_words(event)

    def _take_words(self, event: Notified) -> list[Action]:
        run, message = self.run, event.message
        actions: list[Action] = []
        if message.stopping and not self._says_stopping:
            self._says_stopping = True
            text = f"child (pid {run.pid}) says that it is stopping"
            actions.append(Log("debug", "stopping", text, {"pid": run.pid}))
        if message.status is not None and message.status != run.status_text:
            run.status_text = message.status
            text = f"child (pid {run.pid}) says: {message.status}"
            fields = {"pid": run.pid, "status": message.status}
            actions.append(Log("debug", "status", text, fields))
            if self._config.notify:
                actions.append(TellManager(f"STATUS={message.status}"))
        return actions

    # --- Health ---------------------------------------------------------------------

    def _check_health(self, _event: CheckDue, now: float) -> list[Action]:
        if not self._health.begin_check(now):
            self._set_timer(CheckDue, now, self._config.health_interval)
            error = "the last check was killed and is still there"
            text = f"cannot run the health command: {error}"
            return [Log("error", "health_unknown", text, {"error": error})]
        self._set_timer(CheckTimeoutOver, now, self._config.health_timeout)
        return [CheckHealth()]

    def _check_timed_out(self, _event: CheckTimeoutOver, _now: float) -> list[Action]:
        after = format_duration(self._config.health_timeout)
        return [Log("info", "health_timeout", f"health check killed after {after}"), KillCheck()]

    def _health_unknown(self, event: HealthUnknown, now: float) -> list[Action]:
        # That the check cannot be run says nothing of the command.
        self._end_check(None, now)
        text = f"cannot run the health command: {event.error}"
        return [Log("error", "health_unknown", text, {"error": event.error})]

    def _health_checked(self, event: HealthChecked, now: float) -> list[Action]:
        before = self._health.state
        if not self._end_check(event.status.is_zero, now):
            return []
        if event.status.is_zero:
            if before == health.HEALTHY:
                return []
            return [Log("info", "healthy", "health check passed"), *self._tell_if_ready()]
        failures, retries = self._health.failures, self._config.health_retries
        text = f"health check failed ({failures} of {retries}): {event.status}"
        fields = {"failures": failures, "retries": retries}
        failed = Log("info", "health_failed", text, fields)
        if self._health.state != health.UNHEALTHY:
            return [failed]
        sending = f"sending {signals.describe(signals.SIGTERM)}"
        text = f"child (pid {self.run.pid}) is unhealthy, {sending}"
        log = Log("info", "unhealthy", text, {"pid": self.run.pid})
        return [failed, *self._end_run(UNHEALTHY, signals.SIGTERM, TERM_PATIENCE, now, log)]

    def _end_check(self, passed: bool | None, now: float) -> bool:
        if not self._health.end_check(passed):
            return False
        self._cancel_timer(CheckTimeoutOver)
        self._set_timer(CheckDue, now, self._config.health_interval)
        return True

    def _stale_check(self, _event: Event, _now: float) -> list[Action]:
        self._health.end_check(None)
        return []


WatchedService.TRANSITIONS = {
    **Service.TRANSITIONS,
    (RUNNING, Notified): WatchedService._notified,
    (RUNNING, NotifiedByStrangers): WatchedService._notified_by_strangers,
    (RUNNING, WatchdogExpired): WatchedService._watchdog_expired,
    (RUNNING, CheckDue): WatchedService._check_health,
    (RUNNING, CheckTimeoutOver): WatchedService._check_timed_out,
    (RUNNING, HealthChecked): WatchedService._health_checked,
    (RUNNING, HealthUnknown): WatchedService._health_unknown,
    (RESTARTING, Notified): WatchedService._notified_late,
    (STOPPING, Notified): WatchedService._notified_late,
    (DRAINING, Notified): WatchedService._notified_late,
    (KILLING, Notified): WatchedService._notified_late,
    (RESTARTING, NotifiedByStrangers): WatchedService._nothing,
    (STOPPING, NotifiedByStrangers): WatchedService._nothing,
    (DRAINING, NotifiedByStrangers): WatchedService._nothing,
    (KILLING, NotifiedByStrangers): WatchedService._nothing,
    (ENDED, NotifiedByStrangers): WatchedService._nothing,
    (RESTARTING, HealthChecked): WatchedService._stale_check,
    (CLEARING, HealthChecked): WatchedService._stale_check,
    (BACKOFF, HealthChecked): WatchedService._stale_check,
    (STOPPING, HealthChecked): WatchedService._stale_check,
    (DRAINING, HealthChecked): WatchedService._stale_check,
    (KILLING, HealthChecked): WatchedService._stale_check,
    (ENDED, Notified): WatchedService._nothing,
    (ENDED, HealthChecked): WatchedService._stale_check,
}
