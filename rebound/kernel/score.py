"""`--oom-score-adj`: how soon the out-of-memory killer takes the command."""

from __future__ import annotations

from rebound.kernel import processes
from rebound.kernel.spawn import Spawner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rebound.core.activation import Descriptor
    from rebound.kernel.spawn import FileActions, Starter


class ScoredSpawner(Spawner):
    """Starts processes with an oom_score_adj of their own (proc(5)).

    A child inherits the value, so rebound itself has it while it starts one.  A process that
    raised its value may lower it again to the old one without privilege.
    """

    def __init__(
        self,
        command: Sequence[str],
        starter: Starter,
        *,
        own_group: bool,
        oom_score_adj: int,
        say: Callable[[str], None],
    ) -> None:
        super().__init__(command, starter, own_group=own_group)
        self._value = oom_score_adj
        self._say = say

    def spawn(
        self,
        environment: Mapping[bytes, bytes],
        handed: Sequence[Descriptor] = (),
        file_actions: FileActions = (),
    ) -> int:
        """Start the command with that value; if it cannot be set, log that and start without it."""
        try:
            before = processes.oom_score_adj()
            processes.set_oom_score_adj(self._value)
        except OSError as error:
            self._say(f"cannot set oom_score_adj to {self._value}: {error.strerror}")
            return super().spawn(environment, handed, file_actions)
        try:
            return super().spawn(environment, handed, file_actions)
        finally:
            try:
                processes.set_oom_score_adj(before)
            except OSError as error:
                self._say(f"cannot set oom_score_adj back to {before}: {error.strerror}")
