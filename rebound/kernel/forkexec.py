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

from rebound.core import activation
from rebound.core.exitstatus import EXEC_FAILED, NOT_FOUND
from rebound.kernel import linux, reaper
from rebound.kernel.linux import NoProcess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from rebound.core.activation import Descriptor
    from rebound.kernel.spawn import FileActions

    Steps = Sequence[tuple[str, Callable[[], object]]]
    """The child's steps in order: the name for an error message, and the call."""

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

    def start(
        self,
        command: list[bytes],
        environment: Mapping[bytes, bytes],
        file_actions: FileActions,
        handed: Sequence[Descriptor],
        *,
        own_group: bool,
    ) -> int:
        """Start the command, return its pid; its exec has succeeded then.

        If a step fails, the child reports it through a pipe, which a successful exec closes.
        rebound waits for either, as posix_spawn(3) waits in vfork(2): a child that is stopped in
        between holds it up.

        Raises `NoProcess` if a step before the exec failed, and `OSError` if the exec failed.
        """
        variables = activation.environment_of(environment, handed) if handed else dict(environment)
        end = activation.FIRST + len(handed)
        steps: Steps = [
            ("sigaction", lambda: linux.reset_signals(self._inherited)),
            *([("setpgid", lambda: os.setpgid(0, 0))] if own_group else []),
            ("file actions", lambda: _carry_out(file_actions)),
            *([("dup2", lambda: _take_over(handed, variables))] if handed else []),
            ("sigprocmask", lambda: linux.restore_signals(self._inherited)),
            (_EXEC, lambda: _execute(command, variables)),
        ]
        try:
            reader, writer = _open_pipe(
                max([end, *(_target(action) + 1 for action in file_actions)])
            )
        except OSError as error:
            raise _no_process("pipe", error.errno) from None
        try:
            pid = _fork(steps, writer)
        except OSError as error:
            linux.close(reader)
            raise _no_process("fork", error.errno) from None
        finally:
            linux.close(writer)
        try:
            report = os.read(reader, _LONGEST_REPORT)
        except OSError:  # EIO, ENOMEM: the exit status also tells whether the exec failed
            report = b""
        finally:
            linux.close(reader)
        if not report:
            return pid
        reaper.discard(pid)
        call, _, number = report.decode().rpartition(" ")
        if call == _EXEC:
            raise OSError(int(number), os.strerror(int(number)))
        raise _no_process(call, int(number))


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


def _fork(steps: Steps, writer: int) -> int:
    """Make a child that takes the steps.  Raises `OSError` in the parent."""
    status = EXEC_FAILED
    pid = os.fork()
    if not pid:
        # This must never return, whatever happens: it would be a second rebound.
        try:
            status = _take(steps, writer)
        finally:
            os._exit(status)
    return pid


def _no_process(call: str, number: int | None) -> NoProcess:
    number = number or errno.EAGAIN
    return NoProcess(number, f"{call}: {os.strerror(number)}")


# --- In the child -----------------------------------------------------------------------


def _take(steps: Steps, writer: int) -> int:
    """Take the steps; the last one is the exec.

    If a step fails, tell the parent which and why, and return the exit status of a shell.
    """
    for call, step in steps:
        try:
            step()
        except OSError as error:
            number = error.errno
        except Exception:
            number = errno.ENOMEM  # a MemoryError
        else:
            continue
        # No SIGPIPE: the child holds the reading end, too.
        os.write(writer, f"{call} {number}".encode())
        return NOT_FOUND if call == _EXEC and number == errno.ENOENT else EXEC_FAILED
    return EXEC_FAILED


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


def _take_over(handed: Sequence[Descriptor], variables: dict[bytes, bytes]) -> None:
    """Give the descriptors the numbers from 3 on, and tell whose they are."""
    end = activation.FIRST + len(handed)
    targets = range(activation.FIRST, end)
    # None may be overwritten before it has its place.
    fds = [
        fd if fd >= end or fd == target else fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, end)
        for target, (_name, fd) in zip(targets, handed, strict=True)
    ]
    for target, fd in zip(targets, fds, strict=True):
        if fd == target:
            os.set_inheritable(fd, True)  # dup2(2) onto itself would leave it close-on-exec
        else:
            os.dup2(fd, target)
    variables[b"LISTEN_PID"] = b"%d" % os.getpid()


def _execute(command: list[bytes], environment: Mapping[bytes, bytes]) -> None:
    """Find the command along rebound's own PATH, as posix_spawnp(3) does, and execute it."""
    failed: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    refused = None
    for path in _candidates(command[0]):
        try:
            os.execve(path, command, environment)
        except OSError as error:
            if error.errno not in _SEARCH_GOES_ON:
                raise
            failed = error
            if error.errno == errno.EACCES:
                refused = error
    raise refused or failed


def _candidates(name: bytes) -> Iterator[bytes]:
    """Return the paths at which execvp(3) looks for a command."""
    if b"/" in name:
        yield name
        return
    path = os.environb.get(b"PATH")
    if path is None:
        path = os.fsencode(os.confstr("CS_PATH") or "")
    for directory in path.split(b":"):
        # An empty entry is the current directory.
        yield directory + b"/" + name if directory else name
