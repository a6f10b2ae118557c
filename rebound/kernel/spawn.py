"""Starting a process, as untouched by rebound as if it had been executed directly."""

from __future__ import annotations

import errno
import os

from rebound.core.exitstatus import EXEC_FAILED, NOT_FOUND, ExitStatus
from rebound.kernel import linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    FileActions = Sequence[tuple[Any, ...]]

# The last two only of the socket for the run: socket(2), epoll_ctl(2).
_OUT_OF_MEANS = frozenset(
    (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOSPC)
)


class Spawner:
    """Starts one command, again and again in the same way.

    Raises `ValueError` for a word that no system can take: it would fail at each start.
    """

    def __init__(
        self,
        command: Sequence[str],
        inherited: linux.Inherited,
        *,
        own_group: bool,
    ) -> None:
        self._command = [os.fsencode(word) for word in command]
        self._mask = sorted(inherited.mask)
        # Exec keeps ignored signals ignored, and Python ignores two that were not so before.
        # With all of them named, the C library need not ask the kernel about each of the rest.
        self._defaults = sorted(linux.valid_signals() - inherited.ignored)
        self._options: dict[str, Any] = {"setpgroup": 0} if own_group else {}

    def spawn(
        self,
        environment: Mapping[bytes, bytes],
        file_actions: FileActions = (),
    ) -> int:
        """Start the command, give its pid; its exec has succeeded then.

        glibc and musl spawn with CLONE_VFORK and report a failed exec as an error of the
        call.  Raises `OSError`; `is_out_of_means` and `exec_failure` say what it means.
        """
        return os.posix_spawnp(
            self._command[0],
            self._command,
            environment,
            file_actions=file_actions,
            setsigmask=self._mask,
            setsigdef=self._defaults,
            **self._options,
        )


class ScoredSpawner(Spawner):
    """Has processes start with an oom_score_adj of their own (proc(5)).

    A child inherits it, so rebound takes it on while it starts one.  Whoever may raise the
    value may lower it again to what it was: that takes no privilege.
    """

    def __init__(
        self,
        command: Sequence[str],
        inherited: linux.Inherited,
        *,
        own_group: bool,
        oom_score_adj: int,
        say: Callable[[str], None],
    ) -> None:
        super().__init__(command, inherited, own_group=own_group)
        self._value = oom_score_adj
        self._say = say

    def spawn(
        self,
        environment: Mapping[bytes, bytes],
        file_actions: FileActions = (),
    ) -> int:
        """Start the command with that value, or, where it cannot be set, say so and without."""
        try:
            before = linux.oom_score_adj()
            linux.set_oom_score_adj(self._value)
        except OSError as error:
            self._say(f"cannot set oom_score_adj to {self._value}: {error.strerror}")
            return super().spawn(environment, file_actions)
        try:
            return super().spawn(environment, file_actions)
        finally:
            try:
                linux.set_oom_score_adj(before)
            except OSError as error:
                self._say(f"cannot set oom_score_adj back to {before}: {error.strerror}")


def is_out_of_means(error: OSError) -> bool:
    """Whether a start failed for want of processes, memory or descriptors.

    That is no fault of the command, and perhaps soon over.
    """
    return error.errno in _OUT_OF_MEANS


def exec_failure(error: OSError) -> ExitStatus:
    """Give the status that a shell shows for a failed exec: 127 not found, otherwise 126."""
    return ExitStatus(code=NOT_FOUND if error.errno == errno.ENOENT else EXEC_FAILED)
