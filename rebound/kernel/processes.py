"""Processes by their numbers: which are our children, and what /proc tells of them."""

from __future__ import annotations

import os

from rebound.core import signals
from rebound.kernel.linux import close

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_WINDOW = 32768
"""How many pids from 2 on, and from our own on, are probed where nothing lists our children.

There may be 4194304 (pid_max of proc(5)), and to probe one takes 1.4 µs."""

_OVERFLOW_UID = 65534
"""How each user that our user namespace does not know appears to us (user_namespaces(7))."""


def has_proc() -> bool:
    """Whether /proc is there and counts pids as we do: ask it before you look up any by number.

    After `unshare --pid` without a mount it is that of an outer PID namespace, where our
    children have other numbers.  /proc/self names us there, too, and by a number that may by
    chance be the same; so NSpid tells, where there is one (Linux 4.1): our pids in that
    namespace and those below it, down to our own.
    """
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return False
        return len(_status("self", b"NSpid:")) <= 1
    except OSError:
        return False


def _status(process: int | str, name: bytes) -> list[bytes]:
    """Return the words of a line of /proc/PID/status; raises `OSError`."""
    with open(f"/proc/{process}/status", "rb") as status:
        for line in status:
            if line.startswith(name):
                return line.split()[1:]
    return []


def has_children() -> bool:
    """Whether there is any child, alive or dead; where nothing can tell, there may be."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    except OSError:  # a seccomp profile refuses
        return _listed_children() != []
    return True


def children(known: Collection[int] = ()) -> list[int]:
    """List our direct children, dead ones included, but for the `known`.

    There may be more of them than can be found: where /proc cannot be read, only some pids
    are tried.  None is believed unless wait(2) knows it for a child; if a seccomp profile
    refuses to ask that, those that the kernel itself lists as ours: we alone reap them.
    """
    listed = _listed_children()
    candidates = _candidates() if listed is None else listed
    unknown = [pid for pid in candidates if pid not in known]
    try:
        return [pid for pid in unknown if _is_child(pid)]
    except OSError:
        return unknown if listed else []


def _listed_children() -> list[int] | None:
    """Return what the kernel lists as our children; None where it does not.

    /proc/PID/task/TID/children can miss a child only when one that was listed before it
    is reaped meanwhile (proc(5)); we alone reap, and have one thread.
    """
    if not has_proc():
        return None
    try:
        with open("/proc/thread-self/children", "rb") as listing:
            return [int(pid) for pid in listing.read().split()]
    except OSError:  # CONFIG_PROC_CHILDREN is not set; EMFILE, ENFILE
        return None


def _candidates() -> Iterable[int]:
    """Return the pids that may be our children's: all that there are, or those most likely."""
    if has_proc():
        try:
            return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
        except OSError:  # EMFILE, ENFILE
            pass
    # The kernel counts upwards, and begins again at the end: what we have adopted mostly comes
    # soon after us.
    own = max(os.getpid(), 2)
    return sorted({*range(2, 2 + _WINDOW), *range(own, own + _WINDOW)})


def _is_child(pid: int) -> bool:
    """Whether it is a child of ours.  Raises `OSError` where a seccomp profile refuses."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def session_of(pid: int) -> int:
    """Return the session of a process; 0 if that began outside of our PID namespace; -1 if gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def sessions_of_command(pid: int) -> tuple[int, int]:
    """Return the sessions in which a command is, or was, that we started with this pid.

    It is in ours, or leads one of its own: a process joins no other (setsid(2)).
    """
    return session_of(0), pid


def ignored_signals(pid: int) -> Collection[int]:
    """Return what a process ignores (SigIgn of proc(5)); nothing where /proc does not tell."""
    try:
        bits = _status(pid, b"SigIgn:") if has_proc() else []
    except OSError:  # ESRCH, ENOENT: it is gone; EMFILE
        bits = []
    return signals.from_bits(int(bits[0], 16)) if bits else ()


def user_ids(pid: int) -> tuple[int, ...]:
    """Give the real, effective, saved and file system uid of a process; () without /proc."""
    try:
        if has_proc():
            return tuple(int(uid) for uid in _status(pid, b"Uid:"))
    except OSError:  # ESRCH, ENOENT: it is gone; EMFILE
        pass
    return ()


def is_identity(uid: int) -> bool:
    """Whether a uid that the kernel tells of a peer stands for one user.

    65534 is somebody's only where our user namespace knows every user; elsewhere, or without
    /proc to say so, it may be anybody's from outside.
    """
    if uid != _OVERFLOW_UID:
        return True
    try:
        with open("/proc/self/uid_map", "rb") as uid_map:
            first, _outside, count = uid_map.read().split()
    except (OSError, ValueError):  # no /proc; several ranges, or none
        return False
    return (int(first), int(count)) == (0, 0xFFFFFFFF)


def is_root_or_us(uid: int) -> bool:
    """Whether a peer with this uid may give us orders, or we trust its answers."""
    return uid in (0, os.geteuid()) and is_identity(uid)


def runs_as(pid: int, uid: int) -> bool:
    """Whether one of the uids of a process is this one of a peer."""
    return is_identity(uid) and uid in user_ids(pid)


def oom_score_adj() -> int:
    """Give our own value (proc(5)).  Raises `OSError` without /proc."""
    with open("/proc/self/oom_score_adj", "rb") as file:
        return int(file.read())


def set_oom_score_adj(value: int) -> None:
    """Set it.  Raises `OSError`: EACCES below the least that a privileged process has set."""
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, b"%d" % value)
    finally:
        close(fd)


def process_name(pid: int) -> str:
    """Give `postgres (pid 7)`, or `pid 7` where /proc does not tell."""
    try:
        if has_proc():
            with open(f"/proc/{pid}/comm", "rb") as comm:
                name = comm.read().decode(errors="replace").strip()
            return f"{name} (pid {pid})"
    except OSError:
        pass
    return f"pid {pid}"
