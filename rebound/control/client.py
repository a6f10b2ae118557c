"""The client: `rebound --status` and `rebound --restart-now`."""

from __future__ import annotations

import _socket
import json
import os
import sys
import time

from rebound.control import finder, layout, status
from rebound.control.runsocket import pid_in
from rebound.control.server import peer
from rebound.kernel import logtext, processes
from rebound.kernel.logtext import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WELL = 0
NOT_WELL = 1
NONE_FOUND = 3
"""As in systemctl status: the unit is not active."""

_PATIENCE, _PATIENCE_IN_ALL = 5, 20
"""Seconds for one answer to `status`, and for all answers together."""

_FOR_EVER = None
"""The patience for a restart, which may take any time."""

_SO_RCVTIMEO, _SO_SNDTIMEO = 20, 21  # socket(7); the module has no names for them

_LONGEST_ANSWER = 1 << 18
"""Bytes.  A status text has 4 kB at most, with six for each byte (`\\u00e9`), and a socket 1 kB."""

_OTHER_USER = "only its own user and root may ask it"
_CLOSED = "it has closed the connection"
_UNREADABLE = "its answer cannot be read"


class Unclear(Exception):
    """The user has to say which rebound he means; the text says how."""


class NoAnswer(Exception):
    """A rebound could not be asked; the text says why."""


class NotForUs(NoAnswer):
    """The rebound belongs to another user."""


def show_status(
    directory: str, pid: int | None, *, as_json: bool, as_openmetrics: bool = False
) -> tuple[str, int]:
    """Ask all running rebounds, or one; return the text to print, and the exit status.

    Changes the working directory to `directory`.  Raises `Unclear` if there are too many.
    """
    found = _find(directory, pid)
    answers = []
    for name, answer in _ask_all(found):
        if isinstance(answer, NoAnswer):
            answers.append(_failure(name, answer))
        elif answer:
            answers.append(answer)
    if as_openmetrics:
        from rebound.core import openmetrics

        shown = [_shown(answer) for answer in answers]
        all_well = WELL if all(answer["ok"] for answer in answers) else NOT_WELL
        return openmetrics.render(shown), all_well if answers else NONE_FOUND
    if not answers:
        return _none_found(directory, pid, found, as_json=as_json), NONE_FOUND
    if as_json:
        text = json.dumps(answers, indent=2) + "\n"
    else:
        rows = [answer for answer in answers if "error" not in answer]
        shown = [_shown(answer) for answer in rows]
        silent = [answer for answer in answers if "error" in answer]
        columns = layout.terminal_width()
        text = _for_people(shown, columns)
        for answer in silent:
            text += layout.paragraph(f"{answer['pid']}: ", printable(answer["error"]), columns)
    return text, WELL if all(answer["ok"] for answer in answers) else NOT_WELL


def _for_people(rows: list[dict[str, Any]], columns: int) -> str:
    if len(rows) == 1:
        return layout.block(rows[0], columns)
    text = layout.table(rows, columns) if rows else ""
    return text + "".join(layout.details(fields, columns) for fields in rows)


def restart_now(directory: str, pid: int | None, *, as_json: bool) -> tuple[str, int]:
    """Have one rebound restart its command, and wait; return as `show_status` does.

    Changes the working directory to `directory`.  Raises `Unclear` if there are several.
    """
    # Rebounds that do not answer count, too: the request to restart then says why.
    found = _find(directory, pid)
    living = [name for name, answer in _ask_all(found) if answer]
    if not living:
        return _none_found(directory, pid, found, as_json=as_json), NONE_FOUND
    if len(living) > 1:
        pids = ", ".join(str(pid_in(name)) for name in living)
        raise Unclear(f"several rebounds run, one has to be named: --restart-now PID ({pids})")
    try:
        gone = NoAnswer("it has gone, and another one has its name")
        answer = _ask(living[0], "restart", _FOR_EVER) or _failure(living[0], gone)
    except NoAnswer as error:
        answer = _failure(living[0], error)
    failed = "error" in answer
    if as_json:
        text = json.dumps([answer], indent=2) + "\n"
    elif failed:
        text = f"not restarted: {printable(answer['error'])}\n"
    else:
        text = f"restarted: {printable(answer['command'])} (pid {answer['child_pid']})\n"
    return text, NOT_WELL if failed else WELL


def _find(directory: str, pid: int | None) -> finder.Found:
    try:
        return finder.find(directory, pid, time.monotonic() + _PATIENCE_IN_ALL)
    except finder.TooMany as error:
        raise Unclear(f"{error}, one has to be named by its PID") from None


def _none_found(directory: str, pid: int | None, found: finder.Found, *, as_json: bool) -> str:
    """Return one line that says where we looked, and why nothing was found there."""
    if as_json:
        return "[]\n"
    which = "no rebound found" if pid is None else f"no rebound with pid {pid}"
    if not directory:
        return f"{which}: REBOUND_RUN_DIR is empty, which switches the sockets off\n"
    why = f"{printable(directory)}: {found.in_directory}; abstract sockets: {found.abstract}"
    return f"{which}: {why}\n"


def _failure(name: str, error: NoAnswer) -> dict[str, Any]:
    return {"pid": pid_in(name), "ok": False, "error": str(error)}


def _shown(answer: dict[str, Any]) -> dict[str, object]:
    return {name: logtext.shown(value) for name, value in answer.items()}


def _ask_all(found: finder.Found) -> list[tuple[str, dict[str, Any] | NoAnswer]]:
    """Ask each rebound for its status; return the names of the sockets, and the answers."""
    end = time.monotonic() + _PATIENCE_IN_ALL
    answers = [(name, _ask_one(name, end)) for name in found.names]
    strange = sum(not finder.is_abstract(name) and answer == {} for name, answer in answers)
    if strange:
        found.in_directory = f"{strange} of another PID namespace"
    # Other users' are of no interest if one of ours answers.  They may be in another container;
    # and who may listen in ours must not make it look unwell.
    if any(isinstance(answer, dict) and answer for _name, answer in answers):
        answers = [pair for pair in answers if not isinstance(pair[1], NotForUs)]
    return answers


def _ask_one(name: str, end: float) -> dict[str, Any] | NoAnswer:
    patience = min(_PATIENCE, end - time.monotonic())
    if patience <= 0:
        return NoAnswer("not asked, others have kept silent for too long")
    try:
        return _ask(name, "status", patience)
    except NoAnswer as error:
        return error


def _ask(name: str, request: str, patience: float | None) -> dict[str, Any]:
    """Return the answer; an empty one if the rebound is not in our PID namespace.

    Containers with a run directory in common see each other's sockets, and each has a PID 1.
    An abstract name is anybody's whose pid is not the one that it says.  Raises `NoAnswer`.
    """
    end = None if patience is None else time.monotonic() + patience
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        # With Python's own timeout connect(2) would not wait for room in the backlog.
        socket.setsockopt(_socket.SOL_SOCKET, _SO_SNDTIMEO, _timeval(patience or _PATIENCE))
        socket.connect(name)
        server, uid = peer(socket)
        if not server or (finder.is_abstract(name) and server != pid_in(name)):
            return {}
        # Not even root's rebound would answer another user; and who is neither is not believed.
        user = os.geteuid()
        if user and not (user == uid and processes.is_identity(uid)):
            raise NotForUs(_OTHER_USER)
        # The one file leaves SIGPIPE as it is, and the connection may close at this moment.
        socket.sendall(request.encode() + b"\n", _socket.MSG_NOSIGNAL)
        return read_answer(_receive_line(socket, end))
    except BlockingIOError:
        raise NoAnswer(f"no answer within {_PATIENCE} s") from None
    except PermissionError:
        raise NotForUs(_OTHER_USER) from None
    except (ConnectionResetError, BrokenPipeError):  # before the request, or during it
        raise NoAnswer(_CLOSED) from None
    except OSError as error:
        raise NoAnswer(error.strerror or str(error)) from None
    finally:
        socket.close()


def read_answer(line: bytes) -> dict[str, Any]:
    """Return the fields of a status; any process may have written the line.

    Raises `NoAnswer` with the error in the line, or because the line is not an answer.
    """
    try:
        answer = json.loads(line.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):  # also for more digits or depth than Python reads
        raise NoAnswer(_UNREADABLE) from None
    if isinstance(answer, dict):
        error = answer.get("error")
        if isinstance(error, str):
            raise NoAnswer(error)
        if status.is_well_formed(answer):
            return {name: answer.get(name) for name in status.FIELDS}
    raise NoAnswer(_UNREADABLE)


def _refuse(constant: str) -> None:
    raise ValueError(f"no JSON: {constant}")  # NaN, Infinity


def _timeval(seconds: float) -> bytes:
    # struct timeval, two longs of 64 bits each.  Zeros would mean for ever.
    whole, rest = divmod(max(1, round(seconds * 1_000_000)), 1_000_000)
    return whole.to_bytes(8, sys.byteorder) + rest.to_bytes(8, sys.byteorder)


def _receive_line(socket: _socket.socket, end: float | None) -> bytes:
    """Receive a line in any pieces.  Raises `BlockingIOError` at the time `end`."""
    data = b""
    while not data.endswith(b"\n"):
        if end is not None:
            left = end - time.monotonic()
            if left <= 0:
                raise BlockingIOError
            socket.setsockopt(_socket.SOL_SOCKET, _SO_RCVTIMEO, _timeval(left))
        if not (more := socket.recv(_LONGEST_ANSWER)):
            raise NoAnswer(_CLOSED)
        data += more
        if len(data) > _LONGEST_ANSWER:
            raise NoAnswer(_UNREADABLE)
    return data
