"""What a run says of itself, and the watchdog: it has to send keep-alives (sd_notify(3))."""

from __future__ import annotations

from rebound.core import narrate, signals
from rebound.core.events import Action, Event, TellManager, say
from rebound.core.exitstatus import HUNG
from rebound.core.runs import EndRun, Run
from rebound.core.states import DRAINING, ENDED, KILLING, RESTARTING, RUNNING, STOPPING
from rebound.core.watch import Watch
from rebound.core.watchevents import Notified, NotifiedByStrangers, WatchdogExpired

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rebound.core.config import Config
    from rebound.core.notify import Message
    from rebound.core.states import State
    from rebound.core.timers import Timers
    from rebound.core.watch import Taken

ABORT_PATIENCE = 5.0
"""Seconds from SIGABRT to SIGKILL, for a hung command to dump its state."""

STOPPING_PATIENCE = 90.0
"""Seconds that a run has to end after it said that it is stopping (STOPPING=1).  It is systemd's
default for the same (TimeoutStopSec)."""

FLOOD = 100.0
"""Messages a second from strangers.  More than that may cost keep-alives: while the socket's
queue is full (net.unix.max_dgram_qlen, which may be as short as 10), a client that does not block
loses its message (EAGAIN).  One that blocks gets its turn."""

MOST_DOUBTS = 10
"""How many silences in a row a flood excuses.  Four senders at full speed left room for every
third keep-alive: a run that works is heard before that, and one that hangs does not stay for
ever."""

_END = EndRun(HUNG, signals.SIGABRT, ABORT_PATIENCE)


class Watchdog(Watch):
    """Ends a run that is silent for too long, or reports itself as hung.

    Without --watchdog it listens only, until the run itself asks for a time (WATCHDOG_USEC).
    """

    pairs = (
        (RUNNING, Notified),
        (RUNNING, NotifiedByStrangers),
        (RUNNING, WatchdogExpired),
        # A run that ends gets no extra time, but its messages are read.
        *((state, Notified) for state in (RESTARTING, STOPPING, DRAINING, KILLING, ENDED)),
        *(
            (state, NotifiedByStrangers)
            for state in (RESTARTING, STOPPING, DRAINING, KILLING, ENDED)
        ),
    )

    def __init__(self, config: Config, timers: Timers) -> None:
        super().__init__(config, timers)
        self._run = Run(0, 0.0)
        self._time = 0.0  # seconds within which the run must give a sign of life; 0: none is due
        self._extended_until = 0.0  # when the extra time ends that it asked for
        self._says_ready = False
        self._says_stopping = False
        self._strangers = 0  # how many messages came from strangers
        self._counting_since = 0.0
        self._doubts = 0  # silences excused since the last sign of life
        self._told_of_flood = False

    @property
    def is_ready(self) -> bool:
        """Whether the run has said so (READY=1); with a watchdog, it has to."""
        return self._says_ready or self._config.watchdog is None

    def begin(self, run: Run, now: float) -> None:
        """Expect a sign of life from now on."""
        self._run = run
        self._says_ready = self._says_stopping = self._told_of_flood = False
        self._extended_until = now
        self._time = self._config.watchdog or 0.0
        self._trust(now)
        if self._time:
            self._timers.set(WatchdogExpired, now, self._time)

    def take(self, event: Event, state: State, now: float) -> Taken:
        """Take a message from the run, a count of others' messages, or the end of the time."""
        if isinstance(event, Notified):
            actions = self._hear(event.message)
            if state != RUNNING:
                return actions, None
            if event.message.trigger:
                return [*actions, say(narrate.triggered, self._run.pid)], _END
            return [*actions, *self._heed(event.message, now)], None
        if isinstance(event, NotifiedByStrangers):
            self._strangers += event.count
            return [], None
        return self._expire(now)

    # --- Silence ------------------------------------------------------------------------

    def _expire(self, now: float) -> Taken:
        is_flood = self._strangers > FLOOD * (now - self._counting_since)
        if is_flood and not self._says_stopping and self._doubts < MOST_DOUBTS:
            return self._doubt(now), None
        silence = self._time * (1 + self._doubts)
        return [say(narrate.silent, self._run.pid, silence)], _END

    def _doubt(self, now: float) -> list[Action]:
        """Excuse a silence that strangers may have caused."""
        self._doubts += 1
        self._count_anew(now)
        self._timers.set(WatchdogExpired, now, self._time)
        if self._told_of_flood:
            return []
        self._told_of_flood = True
        return [say(narrate.flooded, self._run.pid, self._time * MOST_DOUBTS)]

    def _trust(self, now: float) -> None:
        self._doubts = 0
        self._count_anew(now)

    def _count_anew(self, now: float) -> None:
        self._strangers = 0
        self._counting_since = now

    # --- Messages -----------------------------------------------------------------------

    def _hear(self, message: Message) -> list[Action]:
        """Take what a message says about the run itself, in any state."""
        run = self._run
        actions: list[Action] = []
        if message.stopping and not self._says_stopping:
            self._says_stopping = True
            actions.append(say(narrate.stopping, run.pid))
        if message.status is not None and message.status != run.status_text:
            run.status_text = message.status
            actions.append(say(narrate.status, run.pid, message.status))
            if self._config.notify:
                actions.append(TellManager(f"STATUS={message.status}"))
        return actions

    def _heed(self, message: Message, now: float) -> list[Action]:
        """Take what a message says about the run's time."""
        if message.watchdog:
            self._time = message.watchdog
        if message.extend:
            self._extended_until = now + message.extend
        if not self._time:
            pass  # there is no watchdog
        elif self._says_stopping:
            # From here on it needs no keep-alives: a clean end may take its time.
            if message.stopping or message.extend:
                self._expect_within(STOPPING_PATIENCE, now)
        elif message.ready or message.alive or message.watchdog or message.extend:
            self._trust(now)
            self._expect_within(self._time, now)
        if message.ready and not self._says_ready:
            self._says_ready = True
            return [say(narrate.ready, self._run.pid)]
        return []

    def _expect_within(self, seconds: float, now: float) -> None:
        until = max(now + seconds, self._extended_until)
        self._timers.set(WatchdogExpired, now, until - now)
