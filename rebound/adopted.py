"""The children but for the command: at the end they are asked to stop, or killed."""

from __future__ import annotations

from rebound import linux, signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from rebound.log import Log

_MOST_NAMES = 10
"""How many processes one line of the log names."""


class Adopted:
    """Sends signals to children, and remembers whom it has told what.

    Only to children that nobody has waited for, so no signal goes to a stranger.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._asked: set[int] = set()
        self._killed: set[int] = set()
        self._all_asked = self._all_killed = False

    def forget(self, pid: int) -> None:
        """Take note that a child was reaped: its pid may be given to a new process now."""
        self._asked.discard(pid)
        self._killed.discard(pid)

    def ask(self, signo: int, others: Collection[int]) -> bool:
        """Send a signal to each child that has not been asked yet, but for the `others`.

        False if there is no child at all.
        """
        if not linux.has_children():  # as mostly: spares the look into /proc
            return False
        if not linux.has_proc():
            text = "no /proc here, finding adopted processes by wait(2) alone"
            self._log.write("debug", "no_proc", text)
        asked = linux.children(self._asked | set(others))
        for pid in asked:
            self._asked.add(pid)
            self._send(pid, signo)
        if asked:
            by = signals.describe(signo)
            names = _names(asked)
            text = f"asking adopted processes to stop with {by}: {names}"
            fields = {"signal": signals.name(signo), "count": len(asked), "processes": names}
            self._log.write("info", "draining", text, fields)
        elif not (self._asked or others or self._all_asked):
            self._ask_unlisted(signo)
        return True

    def _ask_unlisted(self, signo: int) -> None:
        """Ask once where wait(2) knows of children, and neither /proc nor a pid leads to them."""
        self._all_asked = True
        text = "cannot find the adopted processes, "
        if self._send_to_all(signo):
            text += f"asking every process to stop with {signals.describe(signo)}"
        else:
            text += "waiting for them without having asked"
        self._log.write("error", "not_found", text, {"signal": signals.name(signo)})

    def pass_on(self, signo: int) -> None:
        """Send a signal to every child."""
        if self._all_asked and self._send_to_all(signo):
            return
        for pid in linux.children():
            self._send(pid, signo)

    def kill(self, known: Collection[int]) -> bool:
        """SIGKILL every child, the `known` among them.

        False if there are some, and none can be found, or may be killed (EPERM).
        """
        children = [*known, *linux.children(known)]
        if not children and linux.has_children():
            return self._kill_unlisted()
        refused = [pid for pid in children if linux.send(pid, signals.SIGKILL)]
        killed = [pid for pid in children if pid not in self._killed and pid not in refused]
        self._killed.update(killed)
        if killed:
            names = _names(killed)
            fields = {"count": len(killed), "processes": names}
            text = f"stop timeout is over, killing {names}"
            self._log.write("error", "killing", text, fields)
        if children and len(refused) == len(children):
            names = _names(refused)
            fields = {"count": len(refused), "processes": names}
            text = f"not permitted to kill, leaving {names}"
            self._log.write("error", "not_killed", text, fields)
            return False
        return True

    def _kill_unlisted(self) -> bool:
        if not linux.send_to_all(signals.SIGKILL):
            text = "cannot find what is left to kill it, leaving it"
            self._log.write("error", "not_killed", text)
            return False
        if not self._all_killed:
            self._all_killed = True
            self._log.write("error", "killing", "stop timeout is over, killing every process")
        return True

    def _send_to_all(self, signo: int) -> bool:
        return linux.send_to_all(signo) and linux.send_to_all(signals.SIGCONT)

    def _send(self, pid: int, signo: int) -> None:
        error = linux.send(pid, signo)
        # A stopped process acts on no signal but SIGKILL until it is continued.
        linux.send(pid, signals.SIGCONT)
        if error:
            name = linux.process_name(pid)
            text = f"cannot send {signals.describe(signo)} to {name}: {error.strerror}"
            fields = {"signal": signals.name(signo), "pid": pid, "error": error.strerror}
            self._log.write("error", "signal_failed", text, fields)


def _names(pids: list[int]) -> str:
    names = [linux.process_name(pid) for pid in pids[:_MOST_NAMES]]
    if len(pids) > _MOST_NAMES:
        names.append(f"and {len(pids) - _MOST_NAMES} more")
    return ", ".join(names)
