"""Starts a process, which then differs in nothing from one that was executed directly."""

from __future__ import annotations

import errno
import os

from rebound.core.exitstatus import EXEC_FAILED, NOT_FOUND, ExitStatus
from rebound.kernel import linux
from rebound.kernel.linux import NoProcess, NotJoined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from rebound.core.activation import Descriptor
    from rebound.kernel.forkexec import Forker

    FileActions = Sequence[tuple[Any, ...]]

# The last two come only from the socket for the run: socket(2), epoll_ctl(2).
_OUT_OF_MEANS = frozenset(
    (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOSPC)
)

_REFUSALS = frozenset((errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EINVAL))
"""The errors of seccomp profiles and old kernels; an exec can fail with each of them, too."""


class Starter:
    """Starts processes by posix_spawn(3), or, once that has been refused, by fork(2)."""

    def __init__(self, inherited: linux.Inherited, say: Callable[[str], None]) -> None:
        self._inherited = inherited
        self._say = say
        self._is_refused = False
        self._forker: Forker | None = None
        self._mask = sorted(inherited.mask)
        # All are named, so the C library need not ask the kernel about each of the others.
        self._defaults = sorted(linux.default_signals(inherited))

    def start(  # noqa: PLR0913  each is a thing by itself
        self,
        command: list[bytes],
        environment: Mapping[bytes, bytes],
        file_actions: FileActions,
        handed: Sequence[Descriptor],
        *,
        own_group: bool,
        cgroup: int = -1,
    ) -> int:
        """Start the command, return its pid; its exec has succeeded then.

        It is handed descriptors by sd_listen_fds(3), which tells it its own pid: only a fork
        knows that before the exec.  And only after a fork can it move into a cgroup by itself:
        `cgroup` is a descriptor of cgroup.procs.

        glibc and musl spawn with CLONE_VFORK and report a failed exec as an error of the
        call.  Raises `OSError`; `is_out_of_means` and `exec_failure` say what it means.
        """
        if not command[0]:  # Python refuses to try it
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if self._is_refused or handed or cgroup >= 0:
            return self._load_forker().start(
                command, environment, file_actions, handed, own_group=own_group, cgroup=cgroup
            )
        options: dict[str, Any] = {"setpgroup": 0} if own_group else {}
        try:
            return os.posix_spawnp(
                command[0],
                command,
                environment,
                file_actions=file_actions,
                setsigmask=self._mask,
                setsigdef=self._defaults,
                **options,
            )
        except OSError as error:
            if error.errno not in _REFUSALS:
                raise
            refusal = error.strerror
        # Did the spawn fail, or the exec?  The fork tells: the exec would fail again.
        pid = self._load_forker().start(
            command, environment, file_actions, handed, own_group=own_group
        )
        self._is_refused = True
        self._say(f"posix_spawn: {refusal}, going on with fork")
        return pid

    def _load_forker(self) -> Forker:
        if self._forker is None:
            try:
                from rebound.kernel.forkexec import Forker
            except (ImportError, OSError) as error:  # EMFILE, ENOMEM: counts as no process
                raise NoProcess(errno.EAGAIN, f"cannot load fork: {error}") from None
            self._forker = Forker(self._inherited)
        return self._forker


class Spawner:
    """Starts one command, again and again in the same way.

    Raises `ValueError` for a word that no exec can take: it would fail at each start.
    """

    def __init__(self, command: Sequence[str], starter: Starter, *, own_group: bool) -> None:
        self._command = [os.fsencode(word) for word in command]
        self._starter = starter
        self._own_group = own_group
        self._cgroup = -1
        self._refused: Callable[[OSError], None] = lambda _error: None

    def join(self, cgroup: int, refused: Callable[[OSError], None] | None = None) -> None:
        """Have the command move into a cgroup before its exec; -1 stands for none.

        `cgroup` is a descriptor of its cgroup.procs.  If the kernel refuses, `refused` gets the
        error, and the command starts without.
        """
        self._cgroup = cgroup
        self._refused = refused or self._refused

    def spawn(
        self,
        environment: Mapping[bytes, bytes],
        handed: Sequence[Descriptor] = (),
        file_actions: FileActions = (),
    ) -> int:
        """Start the command; see `Starter.start`."""
        try:
            return self._start(environment, handed, file_actions)
        except NotJoined as error:
            self._cgroup = -1
            self._refused(error)
            return self._start(environment, handed, file_actions)

    def _start(
        self,
        environment: Mapping[bytes, bytes],
        handed: Sequence[Descriptor],
        file_actions: FileActions,
    ) -> int:
        return self._starter.start(
            self._command,
            environment,
            file_actions,
            handed,
            own_group=self._own_group,
            cgroup=self._cgroup,
        )


def is_out_of_means(error: OSError) -> bool:
    """Return whether a start failed because the system lacks a process, memory or descriptors.

    The command did nothing wrong, and the lack may soon be over.
    """
    return isinstance(error, NoProcess) or error.errno in _OUT_OF_MEANS


def exec_failure(error: OSError) -> ExitStatus:
    """Return the status that a shell shows for a failed exec: 127 for not found, otherwise 126."""
    return ExitStatus(code=NOT_FOUND if error.errno == errno.ENOENT else EXEC_FAILED)
