"""The adopted processes: asks them to stop at the end, or kills them."""

from __future__ import annotations

from rebound.core import events, signals
from rebound.kernel import linux, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from rebound.kernel.log import Log

_MOST_NAMES = 10
"""The most processes that one line of the log names."""

_MOST_NAMES_BESIDES = 5
"""The same where the line is about something else."""


class Adopted:
    """Sends signals to children, and remembers which child got which.

    It signals only children that nobody has waited for, so no signal hits a stranger.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._asked: dict[int, int] = {}  # the pid, and the signal that it was to be asked with
        self._killed: set[int] = set()
        self._all_asked = self._all_killed = False

    def forget(self, pid: int) -> None:
        """Take note that a child was reaped: a new process may get its pid now."""
        self._asked.pop(pid, None)
        self._killed.discard(pid)

    def ask(
        self, action: events.AskAdopted, spared: int | None, others: Collection[int]
    ) -> events.Event | None:
        """Ask each child to stop, except the `others` and those that have been asked so already.

        It leaves out those in the session of the command that started as process `spared`.
        Returns the answer to `AskAdopted`, if there is one.
        """
        if not processes.has_children():  # the usual case: spares the look into /proc
            return events.NoChildren()
        if not processes.has_proc():
            text = "no /proc here, finding adopted processes by wait(2) alone"
            self._log.write("debug", "no_proc", text)
        adopted = processes.children(others)
        signo = action.signo
        # Who was asked before the next start may have to be asked otherwise at the end.
        unasked = [pid for pid in adopted if self._asked.get(pid) != signo]
        filters = _filters(unasked, spared)
        self._ask_each([pid for pid in unasked if pid not in filters], signo)
        if filters:
            return events.FiltersSpared()
        if not (adopted or others) and not processes.has_proc():
            return self._ask_unlisted(action)
        # If children cannot be listed, some may be left although none was found.
        return None if adopted or not processes.has_proc() else events.NoneAdopted()

    def _ask_each(self, pids: list[int], signo: int) -> None:
        by_signal: dict[int, list[int]] = {}
        for pid in pids:
            self._asked[pid] = signo
            sent = _first_heeded(pid, signo)
            by_signal.setdefault(sent, []).append(pid)
            if sent:
                self._send(pid, sent)
        for sent, group in by_signal.items():
            names = _names(group)
            fields = {"signal": signals.name(sent), "count": len(group), "processes": names}
            if sent:
                text = f"asking adopted processes to stop with {signals.describe(sent)}: {names}"
                self._log.write("info", "draining", text, fields)
            else:
                tried = ", ".join(map(signals.name, _asking_with(signo)))
                text = f"cannot ask to stop what ignores {tried}: {names}"
                self._log.write("error", "not_asked", text, {**fields, "signal": tried})

    def _ask_unlisted(self, action: events.AskAdopted) -> events.Event | None:
        """Ask where wait(2) knows of children, but neither /proc nor a pid leads to them."""
        if action.everybody and self._all_asked:
            return None  # once is enough
        text = "cannot find the adopted processes, "
        if not action.everybody:
            text += "going on without having asked"
        elif self._send_to_all(action.signo):
            text += f"asking every process to stop with {signals.describe(action.signo)}"
        else:
            text += "waiting for them without having asked"
        self._all_asked = action.everybody
        self._log.write("error", "not_found", text, {"signal": signals.name(action.signo)})
        return None if action.everybody else events.NoneAdopted()

    def pass_on(self, signo: int) -> None:
        """Send a signal to every child; send another one to those that ignore it."""
        if self._all_asked and self._send_to_all(signo):
            return
        for pid in processes.children():
            self._send(pid, _first_heeded(pid, signo) or signo)

    def name(self, others: Collection[int]) -> tuple[int, str]:
        """Return how many children there are without the `others`, and the names of some.

        Without /proc it finds none.
        """
        adopted = processes.children(others) if processes.has_proc() else []
        return len(adopted), _names(adopted, _MOST_NAMES_BESIDES)

    def kill(self, action: events.KillChildren, known: Collection[int]) -> bool:
        """SIGKILL every child, including the `known`.

        Returns False if there are children, but it can find none, or may kill none (EPERM).
        """
        why = action.why
        children = [*known, *processes.children(known)]
        if not children and processes.has_children():
            return self._kill_unlisted(action)
        refused = [pid for pid in children if linux.send(pid, signals.SIGKILL)]
        killed = [pid for pid in children if pid not in self._killed and pid not in refused]
        self._killed.update(killed)
        if killed:
            names = _names(killed)
            fields = {"count": len(killed), "processes": names}
            text = f"{why}, killing {names}"
            self._log.write("error", "killing", text, fields)
        if children and len(refused) == len(children):
            names = _names(refused)
            fields = {"count": len(refused), "processes": names}
            text = f"not permitted to kill, leaving {names}"
            self._log.write("error", "not_killed", text, fields)
            return False
        return True

    def _kill_unlisted(self, action: events.KillChildren) -> bool:
        if not (action.everybody and linux.send_to_all(signals.SIGKILL)):
            text = "cannot find what is left to kill it, leaving it"
            self._log.write("error", "not_killed", text)
            return False
        if not self._all_killed:
            self._all_killed = True
            self._log.write("error", "killing", f"{action.why}, killing every process")
        return True

    def _send_to_all(self, signo: int) -> bool:
        return linux.send_to_all(signo) and linux.send_to_all(signals.SIGCONT)

    def _send(self, pid: int, signo: int) -> None:
        error = linux.send(pid, signo)
        # A stopped process acts on no signal but SIGKILL until it is continued.
        linux.send(pid, signals.SIGCONT)
        if error:
            name = processes.process_name(pid)
            text = f"cannot send {signals.describe(signo)} to {name}: {error.strerror}"
            fields = {"signal": signals.name(signo), "pid": pid, "error": error.strerror}
            self._log.write("error", "signal_failed", text, fields)


def _filters(pids: list[int], command: int | None) -> list[int]:
    """Return those in the command's session; none without /proc, where a second look is slow."""
    if command is None or not processes.has_proc():
        return []
    sessions = processes.sessions_of_command(command)
    return [pid for pid in pids if processes.session_of(pid) in sessions]


def _asking_with(signo: int) -> list[int]:
    """Return the signals that ask to stop, in the order to try them."""
    return list(dict.fromkeys((signo, signals.SIGTERM, signals.SIGHUP)))


def _first_heeded(pid: int, signo: int) -> int:
    """Return the first of those signals that a process does not ignore; 0 if it ignores all.

    A shell makes its jobs with & ignore INT; an interactive shell itself ignores TERM.
    """
    ignored = processes.ignored_signals(pid)
    for asking in _asking_with(signo):
        if asking not in ignored:
            return asking
    return 0


def _names(pids: list[int], most: int = _MOST_NAMES) -> str:
    names = [processes.process_name(pid) for pid in pids[:most]]
    if len(pids) > most:
        names.append(f"and {len(pids) - most} more")
    return ", ".join(names)
