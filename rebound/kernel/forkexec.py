"""Starting a process by fork(2) and execve(2), where posix_spawn(3) cannot do it.

A command that is handed descriptors must be told its own pid (sd_listen_fds(3)): it is known only
in the child.  And glibc's posix_spawn makes the process by clone3(2), and falls back on clone(2)
only after ENOSYS; many seccomp profiles answer with EPERM.  fork(3) uses clone(2), which no
profile refuses.

Until its exec the child is a copy of rebound.  It does what posix_spawn does, in that order,
and never returns into rebound's own code.
"""

from __future__ import annotations

import errno
import fcntl
import os

from rebound.core import activation, signals
from rebound.core.activation import FIRST
from rebound.core.exitstatus import EXEC_FAILED, NOT_FOUND
from rebound.kernel import linux, processes, reaper
from rebound.kernel.linux import NoProcess, NotJoined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from rebound.core.activation import Descriptor
    from rebound.kernel.spawn import FileActions

_JOIN = "cgroup.procs"
_EXEC = "execve"
_LONGEST_REPORT = 64

_SEARCH_GOES_ON = frozenset(
    (
        errno.EACCES,
        errno.ENAMETOOLONG,
        errno.ENODEV,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ESTALE,
        errno.ETIMEDOUT,
    )
)
"""The errors after which execvp(3) tries the next path.  It skips a path that is too long; here
the kernel refuses that with ENAMETOOLONG."""


class Forker:
    """Starts processes that get the signal settings that rebound was started with."""

    def __init__(self, inherited: linux.Inherited) -> None:
        self._inherited = inherited
        defaults = linux.default_signals(inherited) - {signals.SIGKILL, signals.SIGSTOP}
        # An exec resets all but the ignored ones.  Python itself ignores some, so that none means
        # that /proc cannot tell.
        ignored = processes.ignored_signals(os.getpid())
        self._defaults = sorted(defaults.intersection(ignored) if ignored else defaults)

    def start(  # noqa: PLR0913  that of Starter
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

        If a step fails, the child reports it through a pipe, which a successful exec closes.
        rebound waits for either, as posix_spawn(3) waits in vfork(2): a child that is stopped in
        between holds it up.

        `cgroup` is a descriptor of cgroup.procs: the child moves there first of all, so that
        nothing of the command is outside.  clone3(2) could make it there (CLONE_INTO_CGROUP), but
        many profiles refuse that, and Python's own fork, which prepares the child, does not use it.

        Raises `NotJoined` if it could not move there, `NoProcess` if another step before the exec
        failed, and `OSError` if the exec failed.
        """
        # The child shares our memory until it writes to a page, and a name counts as written to:
        # what can be made before the fork is made here.
        variables = activation.environment_of(environment, handed) if handed else dict(environment)
        paths = _paths(command[0])
        is_in_the_way = any(FIRST <= fd < place for place, (_, fd) in enumerate(handed, FIRST))
        free = max([FIRST + len(handed), *(_target(action) + 1 for action in file_actions)])
        try:
            reader, writer = _open_pipe(free)
        except OSError as error:
            raise _no_process("pipe", error.errno) from None
        try:
            pid = os.fork()
            if not pid:
                # This must never return, whatever happens: it would be a second rebound.
                step = _JOIN
                try:
                    if cgroup >= 0:
                        os.write(cgroup, b"0")
                    step = "sigaction"
                    linux.reset_signals(self._defaults)
                    if own_group:
                        step = "setpgid"
                        os.setpgid(0, 0)
                    step = "file actions"
                    _carry_out(file_actions)
                    if handed:
                        step = "dup2"
                        _take_over(_move_up(handed) if is_in_the_way else handed)
                        variables[b"LISTEN_PID"] = b"%d" % os.getpid()
                    step = "sigprocmask"
                    linux.restore_signals(self._inherited)
                    step = _EXEC
                    _execute(paths, command, variables)
                except Exception as error:
                    _report(writer, step, error)
                finally:
                    os._exit(EXEC_FAILED)
        except Exception as error:
            linux.close(reader)
            raise _no_process("fork", getattr(error, "errno", None)) from None
        finally:
            linux.close(writer)
        return _started(pid, reader)


def _started(pid: int, reader: int) -> int:
    """Return the pid once the exec has succeeded; raise what the child reports."""
    try:
        report = os.read(reader, _LONGEST_REPORT)
    except OSError:  # EIO, ENOMEM: the exit status also tells whether the exec failed
        report = b""
    finally:
        linux.close(reader)
    if not report:
        return pid
    reaper.discard(pid)
    step, _, number = report.decode().rpartition(" ")
    if step == _EXEC:
        raise OSError(int(number), os.strerror(int(number)))
    if step == _JOIN:
        raise NotJoined(int(number), f"{step}: {os.strerror(int(number))}")
    raise _no_process(step, int(number))


def _open_pipe(lowest: int) -> tuple[int, int]:
    """Open a pipe that closes on exec; the number of its writing end is at least `lowest`."""
    reader, writer = os.pipe()
    if writer >= lowest:
        return reader, writer
    try:
        return reader, fcntl.fcntl(writer, fcntl.F_DUPFD_CLOEXEC, lowest)
    except OSError:
        linux.close(reader)
        raise
    finally:
        linux.close(writer)


def _no_process(call: str, number: int | None) -> NoProcess:
    number = number or errno.EAGAIN
    return NoProcess(number, f"{call}: {os.strerror(number)}")


def _paths(name: bytes) -> Sequence[bytes]:
    """Return the paths at which execvp(3) looks for a command, along rebound's own PATH.

    The missing ones come last, since a failed exec takes time; their error still counts.
    """
    if b"/" in name:
        return [name]
    path = os.environb.get(b"PATH")
    if path is None:
        path = os.fsencode(os.confstr("CS_PATH") or "")
    # An empty entry is the current directory.
    candidates = [directory + b"/" + name if directory else name for directory in path.split(b":")]
    return [*(path for path in candidates if not _is_missing(path)), *candidates]


def _is_missing(path: bytes) -> bool:
    try:
        os.stat(path)
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR)
    return False


# --- In the child -----------------------------------------------------------------------


def _report(writer: int, step: str, error: Exception) -> None:
    """Tell the parent which step failed, and why, and end with the exit status of a shell."""
    number = (isinstance(error, OSError) and error.errno) or errno.ENOMEM  # a MemoryError
    # No SIGPIPE: the child holds the reading end, too.
    os.write(writer, f"{step} {number}".encode())
    os._exit(NOT_FOUND if (step, number) == (_EXEC, errno.ENOENT) else EXEC_FAILED)


def _target(action: tuple[Any, ...]) -> int:
    """Return the descriptor that a file action of posix_spawn(3) changes."""
    number: int = action[2 if action[0] == os.POSIX_SPAWN_DUP2 else 1]
    return number


def _carry_out(file_actions: FileActions) -> None:
    for action in file_actions:
        kind, *arguments = action
        target = _target(action)
        if kind == os.POSIX_SPAWN_CLOSE:
            linux.close(target)
            continue
        fd = arguments[0] if kind == os.POSIX_SPAWN_DUP2 else os.open(*arguments[1:])
        if fd == target:
            os.set_inheritable(fd, True)
            continue
        os.dup2(fd, target)
        if kind == os.POSIX_SPAWN_OPEN:
            linux.close(fd)


def _move_up(handed: Sequence[Descriptor]) -> Sequence[Descriptor]:
    """Duplicate descriptors, so that none is overwritten before it has its place."""
    end = FIRST + len(handed)
    return [(name, fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, end)) for name, fd in handed]


def _take_over(handed: Sequence[Descriptor]) -> None:
    """Give the descriptors the numbers from 3 on."""
    for target, (_name, fd) in enumerate(handed, FIRST):
        if fd == target:
            os.set_inheritable(fd, True)  # dup2(2) onto itself would leave it close-on-exec
        else:
            os.dup2(fd, target)


def _execute(
    paths: Sequence[bytes], command: list[bytes], environment: Mapping[bytes, bytes]
) -> None:
    """Execute the first of the paths that can be, as posix_spawnp(3) does."""
    failed: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    refused = None
    for path in paths:
        try:
            os.execve(path, command, environment)
        except OSError as error:
            if error.errno not in _SEARCH_GOES_ON:
                raise
            failed = error
            if error.errno == errno.EACCES:
                refused = error
    raise refused or failed
