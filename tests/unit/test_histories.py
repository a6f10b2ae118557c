"""Random histories of the state machine, in a world that does what a kernel may do.

The world holds a command, adopted processes and a health check, and carries out what the
service wants done.  Whatever happens in whatever order, the rules below hold.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rebound.core import events, states, watchevents
from rebound.core.config import Config
from rebound.core.dispatch import dispatch
from rebound.core.exitstatus import REQUESTED, ExitStatus
from rebound.core.notify import Message
from rebound.core.restart import RestartPolicy
from rebound.core.service import Service
from rebound.core.signals import SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGTERM
from tests.unit.stories import watches_of

CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "restart": st.sampled_from(["on-failure", "always", "never"]),
        "max_restarts": st.integers(0, 2),
        "restart_delay": st.sampled_from([0.0, 0.5]),
        "burst": st.integers(0, 3),
        "max_delay": st.sampled_from([0.0, 2.0, 60.0]),
        "reset_after": st.sampled_from([0.0, 5.0]),
        "stop_timeout": st.sampled_from([0.0, 3.0]),
        "watchdog": st.sampled_from([2.0]),
        "fd_store": st.just(5),
        "health_command": st.just("check"),
        "max_memory": st.just("1000"),
        "health_retries": st.integers(1, 2),
        "notify": st.booleans(),
        "fresh": st.booleans(),
    },
)
CRASHES = [ExitStatus(code=1), ExitStatus(signal=11), ExitStatus(signal=SIGKILL)]
STATUSES = st.sampled_from([*CRASHES, *CRASHES, ExitStatus(), ExitStatus(signal=SIGTERM)])
SELDOM = st.integers(0, 7).map(lambda number: number == 3)
"""True so seldom that histories are not all over before they have become interesting."""
MESSAGES = st.builds(
    Message,
    ready=st.booleans(),
    stopping=st.booleans(),
    alive=st.booleans(),
    trigger=st.booleans(),
    status=st.none() | st.just("busy"),
    extend=st.none() | st.just(4.0),
    watchdog=st.none() | st.just(1.0),
)
STARTS = st.sampled_from(["started", "started", "started", "no fork", "no exec"])
ENOUGH = 200
"""Steps in which a world without resistance comes to its end."""


class World(RuleBasedStateMachine):
    """A service, and all that it knows of."""

    @initialize(config=CONFIGS, chance=st.floats(0, 1), start=STARTS)
    def begin(self, config: dict[str, Any], chance: float, start: str) -> None:
        """Start the command for the first time."""
        self.config = Config(**{"health_interval": 1.0, "health_timeout": 1.0, **config})
        policy = RestartPolicy(self.config, lambda: chance)
        self.service = Service("cmd", self.config, policy, watches_of(self.config))
        self.now = 0.0
        self.command = False
        self.adopted = 0
        self.checking = False
        self.requested = 0  # restarts that somebody asked for
        self.stop_requested = False
        self.awaits_restart = False
        self.refuses = False  # to be signalled, as processes of another user do
        self.filters = False  # whether those adopted are of the command's session
        self.may_be_left = False  # the command, since it could not be signalled or killed
        self.start = start
        self.service.holds_descriptors = bool(self.config.fd_store)
        self.released = False  # what is held for further runs
        self.memory: tuple[int | None, int] | None = (0, 1000)
        self.step(events.Begin())

    # --- What the service wants done --------------------------------------------------

    def step(self, event: events.Event) -> None:
        """Hand over an event, and do what is to be done."""
        dispatch(event, lambda event: self.service.step(event, self.now), self.act, self.fail)

    def fail(self, error: Exception) -> None:
        """A real rebound would go on; here nothing may be wrong."""
        raise error

    def act(self, action: events.Action) -> events.Event | None:
        """Carry out an action, as far as that has an effect."""
        if isinstance(action, events.Start):
            assert not self.command, "one command at most"
            assert not self.stop_requested, "no start after a stop"
            assert not self.released, "each run gets what is held"
            return self.started()
        if isinstance(action, events.SignalCommand):
            assert self.command, "signals go to a command that runs"
            if self.refuses and action.signo != SIGCONT:
                self.may_be_left = True
                return events.SignalRefused()
        elif isinstance(action, events.AskAdopted):
            return self.ask_adopted(action)
        elif isinstance(action, events.KillChildren):
            self.may_be_left |= self.refuses
            return events.NoneKillable() if self.refuses else None
        elif isinstance(action, watchevents.CheckHealth):
            assert not self.checking, "one check at most"
            self.checking = True
        elif isinstance(action, watchevents.ReadMemory):
            assert self.command, "a command that runs has memory"
            return self.memory and watchevents.MemoryRead(*self.memory)
        elif isinstance(action, events.ReleaseDescriptors):
            assert not self.released, "once"
            self.released = True
        elif isinstance(action, events.RestartAnswered):
            assert self.awaits_restart, "an answer has its question"
            self.awaits_restart = False
        return None

    def ask_adopted(self, action: events.AskAdopted) -> events.Event | None:
        if not (self.command or self.adopted or self.checking):
            return events.NoChildren()
        if not self.adopted:
            return events.NoneAdopted()
        return events.FiltersSpared() if self.filters and action.spare_filters else None

    def started(self) -> events.Event:
        if self.start == "no fork":
            return events.ForkFailed("no memory")
        if self.start == "no exec":
            return events.ExecFailed("not found", ExitStatus(code=127))
        self.command = True
        return events.Started(7)

    # --- What happens -----------------------------------------------------------------

    def ended(self) -> bool:
        return self.service.state == states.ENDED

    def lives(self) -> bool:
        return not self.ended()

    @rule(start=STARTS)
    def the_next_start_will(self, start: str) -> None:
        """Succeed or fail."""
        self.start = start

    @precondition(lambda self: self.command)
    @rule(status=STATUSES, oom=st.booleans())
    def command_ends(self, status: ExitStatus, *, oom: bool) -> None:
        """By itself or not."""
        self.command = False
        is_requested = self.awaits_restart or self.service.run.cause == REQUESTED
        self.requested += is_requested and not self.stop_requested
        self.step(events.Exited(7, status, 1000, oom and status.signal == SIGKILL))

    @precondition(lambda self: self.lives() and self.command)
    @rule(crashes=st.integers(1, 6), status=st.sampled_from(CRASHES), pause=st.sampled_from([0, 6]))
    def command_keeps_crashing(self, crashes: int, status: ExitStatus, pause: int) -> None:
        """Several times in a row, each run being as long."""
        for _ in range(crashes):
            if self.command:
                self.now += pause
                self.command_ends(status, oom=False)
            if self.service.state == states.BACKOFF:
                self.time_passes(0.0)

    # Also once it has ended: signals, clients and children of the same turn.
    @rule(signo=st.sampled_from([SIGTERM, SIGINT, SIGHUP]), delivered=st.booleans(), really=SELDOM)
    def stop(self, signo: int, *, delivered: bool, really: bool) -> None:
        """Request the end."""
        if really:
            self.stop_requested = True
            self.step(events.StopRequested(signo, delivered and self.command))

    @rule()
    def other_signal(self) -> None:
        """Be sent another one."""
        self.step(events.SignalReceived(SIGHUP, None))

    @rule()
    def request_restart(self) -> None:
        """Ask for a restart."""
        self.awaits_restart = True
        self.step(events.RestartRequested())

    @rule(refuses=SELDOM)
    def users_change(self, *, refuses: bool) -> None:
        """Processes may be signalled, or not."""
        self.refuses = refuses

    @rule(memory=st.sampled_from([(0, 1000), (1001, 1000), (1001, 1000), (None, 1000), None]))
    def memory_changes(self, memory: tuple[int | None, int] | None) -> None:
        """What the command has; nobody may know, or the kernel may see to it."""
        self.memory = memory

    @rule(filters=st.booleans())
    def orphan(self, *, filters: bool) -> None:
        """Adopt a process."""
        self.adopted += 1
        self.filters = filters

    @precondition(lambda self: self.adopted)
    @rule()
    def orphan_ends(self) -> None:
        """Reap one."""
        self.adopted -= 1
        self.step(events.ChildrenReaped())

    @precondition(lambda self: self.command and (self.config.watchdog or self.config.fd_store))
    @rule(message=MESSAGES)
    def notified(self, message: Message) -> None:
        """Hear from the command."""
        self.step(watchevents.Notified(message))

    @precondition(lambda self: self.command and (self.config.watchdog or self.config.fd_store))
    @rule(count=st.sampled_from([1, 100_000]))
    def notified_by_strangers(self, count: int) -> None:
        """Hear from those who have nothing to say."""
        self.step(watchevents.NotifiedByStrangers(count))

    @precondition(lambda self: self.checking)
    @rule(status=STATUSES)
    def check_ends(self, status: ExitStatus) -> None:
        """Hear of its health."""
        self.checking = False
        self.step(watchevents.HealthChecked(status))
        self.step(events.ChildrenReaped())

    @rule()
    def look_for_children(self) -> None:
        """Ask whether any are left."""
        if not (self.command or self.adopted or self.checking):
            self.step(events.NoChildren())

    @precondition(lambda self: self.lives())
    @rule(late=st.sampled_from([0.0, 0.1, 500.0]))
    def time_passes(self, late: float) -> None:
        """Until something is due, or is overdue since the machine was paused."""
        if self.service.deadline is None:
            self.now += 1
        else:
            self.now = max(self.now, self.service.deadline) + late
            if self.service.timers.time_of(events.KillOverdue) is not None:
                self.may_be_left = True
            self.step(events.DeadlinePassed())

    # --- What holds ---------------------------------------------------------------------

    @invariant()
    def states_fit_the_world(self) -> None:
        """RUNNING, RESTARTING and STOPPING have a command; the others none, but KILLING.

        Unless it was left, as it could not be signalled or killed.
        """
        if not hasattr(self, "service"):
            return
        state = self.service.state
        with_command = {states.RUNNING, states.RESTARTING, states.STOPPING}
        assert self.command or state not in with_command
        left = self.may_be_left and state in {states.DRAINING, states.ENDED}
        assert not self.command or state in {*with_command, states.KILLING} or left

    @invariant()
    def descriptors_are_held_until_the_end_begins(self) -> None:
        """No client is refused before, and none waits for nobody afterwards."""
        if not hasattr(self, "service"):
            return
        state = self.service.state
        has_begun = state in {states.STOPPING, states.DRAINING, states.KILLING, states.ENDED}
        assert self.released == (has_begun and bool(self.config.fd_store))

    @invariant()
    def delays_have_bounds(self) -> None:
        """A back-off ends, neither before its least time nor after its longest."""
        if not hasattr(self, "service") or self.service.state != states.BACKOFF:
            return
        due = self.service.timers.time_of(events.BackoffOver)
        assert due is not None
        longest = max(self.config.max_delay, self.config.restart_delay, 0.01)
        assert due - self.service.since <= longest + 1e-9
        assert self.service.deadline == due

    @invariant()
    def a_restart_within_reach(self) -> None:
        """Not more failures than allowed."""
        if hasattr(self, "service") and self.config.max_restarts:
            failures = self.service.restarts - self.requested
            assert failures <= self.config.max_restarts

    def teardown(self) -> None:
        """A stop always leads to the end, once nobody resists any more."""
        if not hasattr(self, "service"):
            return
        self.refuses = False
        if not self.ended():
            self.stop(SIGTERM, delivered=False, really=True)
        for _ in range(ENOUGH):
            if self.ended():
                break
            if self.command:
                self.command_ends(ExitStatus(signal=SIGTERM), oom=False)
            elif self.checking:
                self.check_ends(ExitStatus(signal=SIGKILL))
            elif self.adopted:
                self.orphan_ends()
            else:
                self.look_for_children()
        assert self.ended()
        assert not self.awaits_restart, "whoever asks gets an answer"


TestHistories = World.TestCase
TestHistories.settings = settings(max_examples=300, stateful_step_count=40)
