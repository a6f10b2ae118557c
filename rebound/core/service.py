"""The supervised service: its data, and its table of states and events.

`Service.step` is the whole of rebound's behaviour: it takes an event and the time, changes
the state, and returns the actions to carry out, in order.  It calls nothing of the
system, so a test can try each transition, legal or not, with a clock moved by hand.

    STARTING ──> RUNNING ───────────> STOPPING ──> DRAINING ──> ENDED
     ^    ^       │    │                ^   │       ^   │        ^
     │    │       v    v                │   │       │   v        │
     │    └─ RESTARTING│────────────────┘   └───────│> KILLING ──┘
     │            │    │                            │
     │            v    v                            │
     └──────────  BACKOFF ──────────────────────────┘

DRAINING may also follow RUNNING, when the command has ended for good; and RUNNING may follow
RESTARTING, when rebound may not signal the command.  With --fresh, CLEARING comes between the
end of a run and the next state.
"""

from __future__ import annotations

from rebound.core import narrate, runs, shutdown, signals
from rebound.core.config import Config
from rebound.core.events import (
    Action,
    AskAdopted,
    BackoffOver,
    Begin,
    ChildrenReaped,
    DeadlinePassed,
    Event,
    ExecFailed,
    Exited,
    FiltersDue,
    FiltersSpared,
    ForkFailed,
    KillDue,
    KillOverdue,
    NoChildren,
    NoneAdopted,
    NoneKillable,
    RestartAnswered,
    RestartRequested,
    SignalCommand,
    SignalReceived,
    SignalRefused,
    Start,
    Started,
    StopRequested,
    StopTimeoutOver,
    TellManager,
    say,
)
from rebound.core.exitstatus import REQUESTED, End, ExitStatus
from rebound.core.restart import GAVE_UP, RESTART, RestartPolicy
from rebound.core.states import (
    BACKOFF,
    CLEARING,
    DRAINING,
    ENDED,
    KILLING,
    RESTARTING,
    RUNNING,
    STARTING,
    STOPPING,
)
from rebound.core.timers import Timers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from rebound.core.restart import Verdict
    from rebound.core.runs import EndRun
    from rebound.core.states import State
    from rebound.core.watch import MakeWatch, Watch

    Handler = Callable[["Service", Any, float], list[Action]]  # (service, event, now)
    Table = dict[tuple[State, type[Event]], Handler]

RETRY = 1.0
"""Seconds from a mistake of ours in handling a timer to the next attempt."""


class IllegalTransition(RuntimeError):
    """An event that cannot happen in the present state: a mistake in rebound itself."""


class Service:
    """One command under supervision.  `name` is what the log calls it."""

    def __init__(
        self,
        name: str,
        config: Config,
        policy: RestartPolicy,
        watches: Sequence[MakeWatch] = (),
    ) -> None:
        self.name = name
        self.config = config
        self.policy = policy
        self.state: State = STARTING
        self.since = 0.0
        """When the state began."""
        self.began_at = 0.0
        """When the first start was tried."""
        self.timers = Timers()
        self.watches = [make(config, self.timers) for make in watches]
        self.exit_status = 0
        """Rebound's own exit status; final in ENDED."""
        self.run = runs.Run(0, 0.0)
        """The present run, or the last one; its pid is 0 before the first."""
        self.last_end: End | None = None
        """How the last run, or the last attempt to start one, ended."""
        self.next_start = (0.0, 0.0)
        """When the start after CLEARING is due, and the nominal back-off."""
        self.rewrite = dict(config.rewrite)
        self.drain_signal = config.drain_signal or signals.SIGTERM
        self.spares_filters = False
        """Whether the drain still leaves out the processes in the command's session."""
        self.holds_descriptors = False
        """Whether rebound holds sockets or other descriptors for the runs."""
        self.is_command_left = False
        """Whether the command still runs, and the shutdown does not wait for it."""
        self.is_restart_requested = False
        self.is_manager_told = False
        """Whether our service manager was sent READY=1."""
        self.stopped_by = 0
        """The signal that began the shutdown; 0 if none did."""
        self.verdict: Verdict = RESTART
        """The decision after the last run."""
        self._table = TABLE
        if self.watches:
            handlers = ((pair, _handler(watch)) for watch in self.watches for pair in watch.pairs)
            self._table = {**TABLE, **dict(handlers)}

    # --- What others ask --------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """When DeadlinePassed is due, on the caller's monotonic clock; None = never."""
        return self.timers.deadline

    @property
    def restarts(self) -> int:
        """How many restarts there were so far."""
        return self.policy.restarts

    @property
    def last_exit(self) -> str:
        """How the last run ended, in one word (`End.label`); empty before the first end."""
        return self.last_end.label if self.last_end else ""

    @property
    def is_ready(self) -> bool:
        """Whether the command runs and, as far as the watches can tell, does its work."""
        return self.state == RUNNING and all(watch.is_ready for watch in self.watches)

    @property
    def is_draining(self) -> bool:
        """Whether rebound waits for the processes that runs left behind to end."""
        return self.state in (CLEARING, DRAINING, KILLING)

    @property
    def health_state(self) -> str:
        """Its result: `starting`, `healthy` or `unhealthy`; empty without a health command."""
        return "".join(watch.health_state for watch in self.watches)

    def explain_end(self, now: float) -> str:
        """Return in one line why rebound ends."""
        why = narrate.stopped_by(self.stopped_by) if self.stopped_by else ""
        if not why:
            why = narrate.why_no_restart(self.verdict, self.config.max_restarts)
        seconds = now - self.began_at
        return narrate.termination(self.name, self.last_end, self.restarts, seconds, why)

    def would_restart(self, status: ExitStatus, now: float) -> bool:
        """Return whether the command would be restarted if it ended with `status` now."""
        if self.state not in (RUNNING, RESTARTING):
            return False
        return self.policy.verdict(status, now, self.cause) == RESTART

    # --- Events -------------------------------------------------------------------------

    def step(self, event: Event, now: float) -> list[Action]:
        """Take an event; return the actions to carry out.  Raises `IllegalTransition`."""
        if type(event) is not DeadlinePassed:
            return self._handle(event, now)
        if self.timers.deadline is None:
            raise IllegalTransition(f"{DeadlinePassed.__name__} in state {self.state}")
        timer = self.timers.take(now)
        if timer is None:
            return []
        try:
            return self._handle(timer, now)
        except IllegalTransition:
            raise
        except Exception:
            # A state that waits only for a timer must not lose it.
            self.timers.set(type(timer), now, RETRY)
            raise

    def _handle(self, event: Event, now: float) -> list[Action]:
        state = self.state
        handler = self._table.get((state, type(event)))
        if handler is None:
            raise IllegalTransition(f"{type(event).__name__} in state {state}")
        actions = handler(self, event, now)
        if self.state != state:
            self.since = now
        return actions

    def take_watched(self, watch: Watch, event: Event, now: float) -> list[Action]:
        """Let a watch handle an event; return the actions to carry out."""
        actions, end_run = watch.take(event, self.state, now)
        if end_run:
            actions = [*actions, *self.end_run(end_run, now)]
        return [*actions, *self.tell_if_ready()]

    # --- What the handlers have in common -------------------------------------------------

    @property
    def cause(self) -> str:
        """Why rebound itself ends the run; empty if it does not."""
        return REQUESTED if self.is_restart_requested else self.run.cause

    def start(self) -> Action:
        """Begin a run."""
        self.state = STARTING
        self.timers.keep()
        return Start(self.restarts, self.last_exit)

    def begin_watching(self, now: float) -> None:
        """Watch the run that has just begun."""
        for watch in self.watches:
            watch.begin(self.run, now)

    def end_watching(self) -> list[Action]:
        """Stop what the watches do beside a run."""
        return [action for watch in self.watches for action in watch.end()]

    def end_run(self, end: EndRun, now: float) -> list[Action]:
        """Tell the run to end, so that the next one can begin."""
        self.state = RESTARTING
        self.run.cause = end.cause
        self.timers.keep()
        self.timers.set(KillDue, now, end.patience)
        # A stopped process acts on no signal but SIGKILL until it is continued.
        signalling = [SignalCommand(end.signo), SignalCommand(signals.SIGCONT)]
        return [*self.end_watching(), *signalling]

    def take_end(self, event: Exited, verdict: Verdict, now: float) -> list[Action]:
        """Note how the run ended, and log it."""
        self.last_end = End(event.status, self.run.cause, event.out_of_memory)
        self.verdict = verdict
        run_time = now - self.run.started_at
        told = say(narrate.ended, event, self.last_end, verdict, run_time, self.restarts)
        return [told, *self.give_up()] if verdict == GAVE_UP else [told]

    def give_up(self) -> list[Action]:
        """Note and log that --max-restarts is reached."""
        self.verdict = GAVE_UP
        return [say(narrate.giving_up, self.config.max_restarts)]

    def answer_restart(self, error: str = "") -> list[Action]:
        """Answer the clients that requested a restart, if there are any."""
        if not self.is_restart_requested:
            return []
        self.is_restart_requested = False
        return [RestartAnswered(error)]

    def tell_if_ready(self) -> list[Action]:
        """Tell our service manager once that the command is ready."""
        if not self.config.notify or self.is_manager_told or not self.is_ready:
            return []
        self.is_manager_told = True
        return [TellManager("READY=1")]

    def set_exit_status(self, status: ExitStatus) -> None:
        """Have rebound end with the command's exit status."""
        self.exit_status = 0 if status in self.config.success else status.shell_status

    def ask_adopted(self) -> Action:
        """Return the action that asks adopted processes to stop, unless they were asked already."""
        # Between two runs, processes may be there that no run has left, as of `docker exec`.
        return AskAdopted(self.drain_signal, self.spares_filters, self.state != CLEARING)


def _handler(watch: Watch) -> Handler:
    return lambda service, event, now: service.take_watched(watch, event, now)


def _nothing(_service: Service, _event: Event, _now: float) -> list[Action]:
    return []


TABLE: Table = {
    # STARTING lasts from Start to its answer, within one dispatch: no other event can come.
    (STARTING, Begin): runs.begin,
    (STARTING, Started): runs.started,
    (STARTING, ForkFailed): runs.fork_failed,
    (STARTING, ExecFailed): runs.exec_failed,
    (RUNNING, Exited): runs.ended,
    (RUNNING, StopRequested): shutdown.stop,
    (RUNNING, SignalReceived): runs.forward,
    (RUNNING, SignalRefused): _nothing,
    (RUNNING, ChildrenReaped): _nothing,
    (RUNNING, RestartRequested): runs.restart_now,
    (RESTARTING, Exited): runs.ended,
    (RESTARTING, StopRequested): shutdown.stop,
    (RESTARTING, SignalReceived): runs.forward,
    (RESTARTING, SignalRefused): runs.go_on,
    (RESTARTING, ChildrenReaped): _nothing,
    (RESTARTING, KillDue): runs.kill,
    (RESTARTING, KillOverdue): runs.not_killed,
    (RESTARTING, RestartRequested): runs.restart_soon,
    (CLEARING, StopRequested): shutdown.stop_without_command,
    (CLEARING, SignalReceived): runs.nobody_to_signal,
    (CLEARING, ChildrenReaped): runs.clear_further,
    (CLEARING, FiltersSpared): shutdown.wait_for_filters,
    (CLEARING, FiltersDue): shutdown.ask_filters,
    (CLEARING, NoneAdopted): runs.cleared,
    (CLEARING, NoChildren): runs.cleared,
    (CLEARING, KillDue): runs.clear_by_force,
    (CLEARING, NoneKillable): runs.cleared,
    (CLEARING, KillOverdue): runs.not_cleared,
    (CLEARING, RestartRequested): runs.restart_soon,
    (BACKOFF, BackoffOver): runs.start_now,
    (BACKOFF, StopRequested): shutdown.stop_without_command,
    (BACKOFF, SignalReceived): runs.nobody_to_signal,
    (BACKOFF, ChildrenReaped): _nothing,
    (BACKOFF, NoChildren): _nothing,
    (BACKOFF, RestartRequested): runs.restart_in_backoff,
    (STOPPING, Exited): shutdown.stopped,
    (STOPPING, StopRequested): shutdown.stop_again,
    (STOPPING, SignalReceived): runs.forward,
    (STOPPING, SignalRefused): shutdown.stop_refused,
    (STOPPING, ChildrenReaped): _nothing,
    (STOPPING, KillDue): runs.kill,
    (STOPPING, KillOverdue): shutdown.stop_overdue,
    (STOPPING, StopTimeoutOver): shutdown.kill,
    (STOPPING, RestartRequested): shutdown.refuse_restart,
    # These come if rebound may not signal the command, and does not wait for it.
    (DRAINING, Exited): shutdown.left_command_ended,
    (DRAINING, SignalRefused): _nothing,
    (DRAINING, StopRequested): shutdown.pass_on,
    (DRAINING, SignalReceived): runs.nobody_to_signal,
    (DRAINING, ChildrenReaped): shutdown.ask_newly_adopted,
    (DRAINING, FiltersSpared): shutdown.wait_for_filters,
    (DRAINING, FiltersDue): shutdown.ask_filters,
    (DRAINING, NoneAdopted): shutdown.none_adopted,
    (DRAINING, NoChildren): shutdown.finish,
    (DRAINING, StopTimeoutOver): shutdown.kill,
    (DRAINING, KillOverdue): shutdown.not_killed,
    (DRAINING, RestartRequested): shutdown.refuse_restart,
    (KILLING, Exited): shutdown.killed,
    (KILLING, StopRequested): _nothing,
    (KILLING, SignalReceived): _nothing,
    (KILLING, ChildrenReaped): shutdown.kill_newly_adopted,
    (KILLING, NoChildren): shutdown.finish,
    (KILLING, NoneKillable): shutdown.finish,
    (KILLING, KillOverdue): shutdown.not_killed,
    (KILLING, RestartRequested): shutdown.refuse_restart,
    # These came in the same turn as the end.
    (ENDED, Exited): _nothing,
    (ENDED, StopRequested): _nothing,
    (ENDED, SignalReceived): _nothing,
    (ENDED, ChildrenReaped): _nothing,
    (ENDED, NoChildren): _nothing,
    (ENDED, RestartRequested): shutdown.refuse_restart,
}
"""The handler for each event in each state.  Any other pair cannot happen."""
