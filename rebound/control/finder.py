"""Where the client finds running rebounds: in the run directory, and by abstract names.

Anybody may have made what it finds.  In the run directory that is who may write there; an abstract
name may be anybody's in the network namespace.  So an abstract one counts only if the process
behind it, as the kernel tells, has the pid that the name says, in our PID namespace.
"""

from __future__ import annotations

import _socket
import os
import time

from rebound.control import abstractsocket
from rebound.control.runsocket import pid_in
from rebound.control.server import peer
from rebound.kernel import linux
from rebound.kernel.logtext import printable
from rebound.kernel.socketfile import is_socket, remove_if_stale

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_SOCKETS = 500
"""The most sockets that are asked: the owner of the directory may have filled it."""

_BUSY, _BUSY_BESIDE_OTHERS, _BETWEEN = 5, 0.5, 0.02
"""Seconds to wait for abstract names whose queue is full, less if others are found; and from one
try to the next.  A rebound empties its queue at once; a squatter need not."""

_LISTENING, _STREAM = b"00010000", b"0001"  # columns of /proc/net/unix (proc_net(5))


class TooMany(Exception):
    """Nobody would ask so many; the text says where they are."""


class Found:
    """The sockets by name, and for each place why there are none."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.in_directory = ""
        self.abstract = ""

    def add(self, name: str, end: float, place: str) -> None:
        """Add a socket.  Raises `TooMany`, also if it is later than `end`."""
        self.names.append(name)
        if len(self.names) > MOST_SOCKETS or time.monotonic() > end:
            raise TooMany(f"too many sockets in {place}")


def find(directory: str, pid: int | None, end: float) -> Found:
    """Find the sockets of one pid, or of all; remove those of rebounds that were killed.

    Changes the working directory to `directory`.  Raises `TooMany`.
    """
    found = Found()
    if directory:
        _look_in(directory, pid, end, found)
        _look_at_abstract_names(pid, end, found)
    return found


def by_pid(names: Iterable[str]) -> list[str]:
    """Return the names in the order of their pids."""
    return sorted(names, key=lambda name: (pid_in(name) or 0, name))


def is_abstract(name: str) -> bool:
    """Return whether this is the name of an abstract socket."""
    return name.startswith("\0")


def _look_in(directory: str, pid: int | None, end: float, found: Found) -> None:
    try:
        # Another user may change every path in his directory from one call to the next.  From
        # here on we ask and remove nothing outside of it.
        os.chdir(directory)
        names = os.listdir()
    except OSError as error:
        found.in_directory = error.strerror or str(error)
        return
    found.in_directory = "no socket" if pid is None else "no socket of this pid"
    for name in by_pid(names):
        number = pid_in(name)
        if number is None or pid not in (None, number) or not is_socket(name):
            continue
        if remove_if_stale(name):
            continue
        found.add(name, end, printable(directory))


def _look_at_abstract_names(pid: int | None, end: float, found: Found) -> None:
    try:
        names = _wanted(_listed(), pid)
        found.abstract = "none in this PID namespace" if pid is None else "none of this pid"
    except OSError as error:
        # Without /proc a name can only be guessed; the most likely pid is that of a container's
        # first process.
        names = _guessed(1 if pid is None else pid)
        found.abstract = f"cannot be listed ({error.strerror}), none of pid {pid or 1}"
    busy, others = [], 0
    for name in names:
        if time.monotonic() > end:
            raise TooMany("too many abstract sockets")
        answer = _is_true(name)
        if answer:
            found.add(name, end, "this PID namespace")
        elif answer is None:
            busy.append(name)
        else:
            others += answer is False
    others += _wait_for(busy, end, found)
    if others:
        found.abstract += f", {others} of other processes"


def _listed() -> Iterator[str]:
    """Return the names of abstract sockets that rebounds of our PID namespace may have.

    Raises `OSError` without /proc.
    """
    spaces = {abstractsocket.namespace(), 0}
    heads = tuple(b"@" + abstractsocket.name_of(space, 0)[1:-1].encode() for space in spaces)
    # /proc/net is not there with subset=pid (proc(5)).
    with open("/proc/self/net/unix", "rb") as listing:
        for line in listing:
            words = line.split(None, 7)
            if len(words) == 8 and words[3] == _LISTENING and words[4] == _STREAM:
                name = words[7].rstrip(b"\n")
                if name.startswith(heads):
                    yield "\0" + os.fsdecode(name[1:])


def _wanted(names: Iterable[str], pid: int | None) -> list[str]:
    """Return those of the pid, or of all pids that exist, each once."""
    pids = {name: pid_in(name) for name in names}
    return by_pid(
        name
        for name, number in pids.items()
        if number and pid in (None, number) and _exists(number)
    )


def _guessed(pid: int) -> list[str]:
    numbers = range(1, abstractsocket.MOST_NAMES + 1)
    spaces = sorted({abstractsocket.namespace(), 0})
    return [abstractsocket.name_of(space, pid, number) for space in spaces for number in numbers]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # EPERM: another user's
        pass
    return True


def _is_true(name: str) -> bool | int | None:
    """Return whether the process behind an abstract name has the pid that it says.

    Returns None if its queue is full, 0 if nobody listens.
    """
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        socket.setblocking(False)
        socket.connect(name)
        return peer(socket)[0] == pid_in(name)
    except BlockingIOError:
        return None
    except OSError:  # ECONNREFUSED: it has gone
        return 0
    finally:
        socket.close()


def _wait_for(busy: list[str], end: float, found: Found) -> int:
    """Wait a little until those can be asked; return how many belong to other processes.

    One pid has one rebound: whoever has a name of a pid that is found is another process.
    """
    others = 0
    patience = _BUSY_BESIDE_OTHERS if found.names else _BUSY
    until = min(end, time.monotonic() + patience)
    while busy and time.monotonic() < until:
        known = {pid_in(name) for name in found.names if is_abstract(name)}
        for name in [name for name in busy if pid_in(name) not in known]:
            answer = _is_true(name)
            if answer is not None:
                busy.remove(name)
                others += answer is False
            if answer:
                found.add(name, end, "this PID namespace")
                break
        else:
            if all(pid_in(name) in known for name in busy):
                break
            linux.pause(_BETWEEN)
    return others + len(busy)
