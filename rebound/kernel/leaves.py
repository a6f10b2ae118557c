"""The container's cgroup, divided: one part for the command, with a limit, one for all else.

A cgroup that hands its controllers down cannot hold processes itself (the "no internal process
constraint" of cgroup-v2.rst), so each process that is there moves into the second part, rebound
too.  A container runtime whose `exec` finds the container's cgroup closed (EBUSY) joins that of
PID 1 instead: both runc and crun do.

The command's part is an out-of-memory domain of its own.  If it is over its limit, the kernel kills
a process there, whatever `memory.oom.group` says of the container.
"""

from __future__ import annotations

import errno
import os

from rebound.kernel import cgroup, linux, processes
from rebound.kernel.cgroup import COMMAND, REST

_ROUNDS = 10
"""How often processes are looked for that were born while the others moved."""

_MOST_LOOKED_AT = 1000
"""The most processes of the command that one look asks for their parents; 1000 take 15 ms."""

_MOST_MOVED = 50
"""The most processes that one look moves.  For the first one the kernel waits for all CPUs, 10 to
25 ms; each further one takes 10 µs."""


class Leaves:
    """The two parts.  Raises `OSError` if they cannot be made; then all is as it was before."""

    def __init__(self, limit: int) -> None:
        self._container = _ours_to_divide()
        self.command = f"{self._container}/{COMMAND}"
        """The directory of the command's part."""
        self._rest = f"{self._container}/{REST}"
        self.procs = -1
        """A descriptor: whoever writes 0 there moves into the command's part."""
        self._last = 0
        _make(self._rest)
        try:
            _make(self.command)
            _move_all(self._container, self._rest)
            _write(f"{self._container}/cgroup.subtree_control", "+memory")
            self.set_limit(limit)
            self.procs = os.open(f"{self.command}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            self.close()
            raise

    def set_limit(self, limit: int) -> None:
        """Set the limit of the command's part, in bytes.  Raises `OSError`."""
        _write(f"{self.command}/memory.max", str(limit))

    def move_adopted(self, command: int) -> None:
        """Move out of the command's part who is not the command or a descendant of it.

        What the command has daemonised begins there.  Its memory so far stays charged there,
        what it takes from now on does not.  Raises `OSError`.

        Children that such a process makes meanwhile are found at the next look, as are those that
        are too many for one.
        """
        pids = sorted(_processes(self.command))
        if pids in ([], [command]):
            return
        if len(pids) > _MOST_LOOKED_AT:  # go on where the last look has ended
            pids = ([pid for pid in pids if pid > self._last] or pids)[:_MOST_LOOKED_AT]
            self._last = pids[-1]
        is_its_own = {command: True, os.getpid(): False, 0: False}
        strangers = [pid for pid in pids if not _descends(pid, is_its_own)]
        for pid in strangers[:_MOST_MOVED]:
            _move(pid, self._rest)

    def move_left_over(self) -> None:
        """Move out of the command's part who is there: the command is gone.  Raises `OSError`."""
        for pid in _processes(self.command)[:_MOST_MOVED]:
            _move(pid, self._rest)

    def close(self) -> None:
        """Put things back as they were, as far as possible."""
        if self.procs >= 0:
            linux.close(self.procs)
            self.procs = -1
        try:
            # First: from then on the container's cgroup can hold processes again.
            _write(f"{self._container}/cgroup.subtree_control", "-memory")
        except OSError:  # EBUSY: the command has divided its part, too
            pass
        for part in (self.command, self._rest):
            try:
                _move_all(part, self._container)
                os.rmdir(part)
            except OSError:  # ENOENT: it was not made; EBUSY; the runtime removes it
                pass


def _ours_to_divide() -> str:
    """Return the directory of the container's cgroup.  Raises `OSError` if it is not for us."""
    found = cgroup.ours()
    if not processes.has_proc():
        raise OSError(errno.ENOENT, "no /proc for our processes")
    if found.version != 2:
        raise OSError(errno.ENOSYS, "the memory controller is not of cgroup v2")
    directory = found.directories[0]
    if not os.path.exists(f"{directory}/cgroup.type"):
        raise OSError(errno.EPERM, "the root of all cgroups cannot be divided")
    # That root, or the user of a `systemd --user`, may write there does not make it ours.
    units = [path for path in found.directories if path.endswith((".service", ".scope", ".slice"))]
    if units and not _is_delegated(units[0]):
        raise OSError(errno.EPERM, "the cgroup is not delegated (Delegate=yes of systemd)")
    return directory


def _is_delegated(directory: str) -> bool:
    """Return whether systemd has left what is below a unit's cgroup to the unit itself.

    It says so in an attribute (CGROUP_DELEGATION of systemd); the first since its version 251, the
    second can be read by root alone.
    """
    for name in ("user.delegate", "trusted.delegate"):
        try:
            if os.getxattr(directory, name) == b"1":
                return True
        except OSError:  # ENODATA, EOPNOTSUPP
            pass
    return False


def _make(directory: str) -> None:
    try:
        os.mkdir(directory)
    except FileExistsError:
        try:
            os.rmdir(directory)  # left by a rebound that was killed
        except OSError:
            raise OSError(errno.EBUSY, "another rebound has divided the cgroup") from None
        os.mkdir(directory)


def _move_all(source: str, target: str) -> None:
    for _ in range(_ROUNDS):
        pids = _processes(source)
        if not pids:
            return
        for pid in pids:
            _move(pid, target)


def _move(pid: int, directory: str) -> None:
    """Move a process with all its threads; do nothing if it is gone.

    Its pid may have been reused since it was listed: then another one moves, once.
    """
    try:
        _write(f"{directory}/cgroup.procs", str(pid))
    except ProcessLookupError:
        pass


def _processes(directory: str) -> list[int]:
    """Return who is in a cgroup.  Raises `OSError`.

    A process of an outer PID namespace is listed as 0, which to a write means ourselves.
    """
    with open(f"{directory}/cgroup.procs", "rb", buffering=0) as file:
        return [int(pid) for pid in file.readall().split() if pid != b"0"]


def _descends(pid: int, is_its_own: dict[int, bool]) -> bool:
    """Return whether a process descends from the command; True if it is gone.

    Whoever was asked about is noted, with the answer.
    """
    line: list[int] = []
    while pid not in is_its_own:
        line.append(pid)
        parent = _parent(pid)
        if parent is None or parent in line:  # a pid was reused meanwhile
            return True
        pid = parent
    answer = is_its_own[pid]
    is_its_own.update(dict.fromkeys(line, answer))
    return answer


def _parent(pid: int) -> int | None:
    """Return the parent of a process; 0 outside of our PID namespace; None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            # The name comes before, in brackets, and may have blanks and brackets.
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:  # ENOENT, ESRCH; EMFILE
        return None


def _write(path: str, text: str) -> None:
    """Write to a file of a cgroup; the error says which.  Raises `OSError`.

    EROFS, EACCES: it is not ours to write.  ENOENT: no such controller or cgroup.  EBUSY: there are
    processes.  EOPNOTSUPP: it is threaded.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            linux.close(fd)
    except OSError as error:
        raise OSError(error.errno, f"{path}: {error.strerror}") from None
