"""Processes by pid: which are our children, and what /proc says about them."""

from __future__ import annotations

import os

from rebound.core import signals
from rebound.kernel.linux import close

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_WINDOW = 32768
"""If nothing lists our children, this many pids are probed from 2 on, and from our own on.

There may be 4194304 (pid_max of proc(5)), and one probe takes 1.4 µs."""

_OVERFLOW_UID = 65534
"""The uid that stands for every user whom our user namespace lacks (user_namespaces(7))."""


def has_proc() -> bool:
    """Return whether /proc is there and has our pids: ask this before you look up a pid.

    After `unshare --pid` without a mount, /proc belongs to an outer PID namespace, where our
    children have other pids.  /proc/self leads to us there, too, and by chance its pid may be
    the same.  NSpid (Linux 4.1) decides: it lists our pids in that namespace and those below it,
    down to our own.
    """
    own = os.getpid()  # if a seccomp profile refuses it, -1: then NSpid alone decides
    try:
        if own > 0 and os.readlink("/proc/self") != str(own):
            return False
        return len(_status("self", b"NSpid:")) <= 1
    except OSError:
        return False


def _status(process: int | str, name: bytes) -> list[bytes]:
    """Return the words of a line of /proc/PID/status.  Raises `OSError`."""
    with open(f"/proc/{process}/status", "rb") as status:
        for line in status:
            if line.startswith(name):
                return line.split()[1:]
    return []


def has_children() -> bool:
    """Return whether there is any child, alive or dead; True if nothing can tell."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    except OSError:  # a seccomp profile refuses
        return _listed_children() != []
    return True


def children(known: Collection[int] = ()) -> list[int]:
    """Return our direct children, dead ones included, without the `known`.

    It may miss some: if /proc cannot be read, it tries only some pids.  It returns only pids
    that wait(2) confirms as children.  If a seccomp profile refuses that, it returns those that
    the kernel lists as ours: we alone reap them.
    """
    listed = _listed_children()
    candidates = _candidates() if listed is None else listed
    unknown = [pid for pid in candidates if pid not in known]
    try:
        return [pid for pid in unknown if _is_child(pid)]
    except OSError:
        return unknown if listed else []


def _listed_children() -> list[int] | None:
    """Return our children as the kernel lists them; None if it has no such list.

    /proc/PID/task/TID/children can miss a child only if one that was listed before it is
    reaped meanwhile (proc(5)); we alone reap, and have one thread.
    """
    if not has_proc():
        return None
    try:
        with open("/proc/thread-self/children", "rb") as listing:
            return [int(pid) for pid in listing.read().split()]
    except OSError:  # CONFIG_PROC_CHILDREN is not set; EMFILE, ENFILE
        return None


def _candidates() -> Iterable[int]:
    """Return the pids that may be our children: all pids, or the most likely ones."""
    if has_proc():
        try:
            return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
        except OSError:  # EMFILE, ENFILE
            pass
    # The kernel counts upwards, and begins again at the end: processes that we adopt mostly have
    # pids soon after ours.
    own = max(os.getpid(), 2)
    return sorted({*range(2, 2 + _WINDOW), *range(own, own + _WINDOW)})


def _is_child(pid: int) -> bool:
    """Return whether it is our child.  Raises `OSError` if a seccomp profile refuses."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def session_of(pid: int) -> int:
    """Return a process's session; 0 if that began outside our PID namespace; -1 if it is gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def sessions_of_command(pid: int) -> tuple[int, int]:
    """Return the sessions that a command may be in, or have been in, that started as `pid`.

    It is in ours, or leads its own: a process cannot join another one (setsid(2)).
    """
    return session_of(0), pid


def ignored_signals(pid: int) -> Collection[int]:
    """Return the signals that a process ignores (SigIgn of proc(5)); none if /proc cannot tell."""
    try:
        bits = _status(pid, b"SigIgn:") if has_proc() else []
    except OSError:  # ESRCH, ENOENT: it is gone; EMFILE
        bits = []
    return signals.from_bits(int(bits[0], 16)) if bits else ()


def user_ids(pid: int) -> tuple[int, ...]:
    """Return the real, effective, saved and file system uid of a process; () without /proc."""
    try:
        if has_proc():
            return tuple(int(uid) for uid in _status(pid, b"Uid:"))
    except OSError:  # ESRCH, ENOENT: it is gone; EMFILE
        pass
    return ()


def is_identity(uid: int) -> bool:
    """Return whether the uid that the kernel reports for a peer stands for one user.

    65534 means one user only if our user namespace knows every user.  Otherwise, or if /proc
    cannot tell, it may be any user from outside.
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
    """Return whether a peer with this uid may give us orders, and we trust its answers."""
    return uid in (0, os.geteuid()) and is_identity(uid)


def runs_as(pid: int, uid: int) -> bool:
    """Return whether one of a process's uids is this uid of a peer."""
    return is_identity(uid) and uid in user_ids(pid)


def oom_score_adj() -> int:
    """Return our own oom_score_adj (proc(5)).  Raises `OSError` without /proc."""
    with open("/proc/self/oom_score_adj", "rb") as file:
        return int(file.read())


def set_oom_score_adj(value: int) -> None:
    """Set it.  Raises `OSError`: EACCES below the lowest value that a privileged process set."""
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, b"%d" % value)
    finally:
        close(fd)


def process_name(pid: int) -> str:
    """Return `postgres (pid 7)`, or `pid 7` if /proc cannot tell."""
    try:
        if has_proc():
            with open(f"/proc/{pid}/comm", "rb") as comm:
                name = comm.read().decode(errors="replace").strip()
            return f"{name} (pid {pid})"
    except OSError:
        pass
    return f"pid {pid}"
