"""`rebound --status` and `rebound --restart-now`: the other end of `control`."""

from __future__ import annotations

import _socket
import json
import os
import sys

from rebound import linux, status
from rebound.control import peer
from rebound.log import printable
from rebound.options import UsageError
from rebound.runsocket import is_stale

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WELL = 0
NOT_WELL = 1
NONE_FOUND = 3
"""As in systemctl status: the unit is not active."""

_PATIENCE, _FOR_EVER = 5, 0
"""Seconds for an answer to `status`; a restart takes as long as it takes."""

_SO_RCVTIMEO, _SO_SNDTIMEO = 20, 21  # socket(7); the module has no names for them

_LONGEST_ANSWER = 1 << 20

_CLOSED = "it has closed the connection"


class NoAnswer(Exception):
    """A rebound could not be asked; the text says why."""


def show_status(directory: str, pid: int | None, *, as_json: bool) -> tuple[str, int]:
    """Ask all living rebounds, or one; give the text to print, and the exit status."""
    answers = []
    for each in _living(directory, pid):
        try:
            answer = _ask(directory, each, "status", _PATIENCE)
        except NoAnswer as error:
            answer = {"pid": each, "ok": False, "error": str(error)}
        if answer:
            answers.append(answer)
    if not answers:
        text = "[]\n" if as_json else f"no rebound found in {directory}\n"
        return text, NONE_FOUND
    if as_json:
        text = json.dumps(answers, indent=2) + "\n"
    else:
        rows = [answer for answer in answers if "error" not in answer]
        shown = [{name: _shown(value) for name, value in answer.items()} for answer in rows]
        silent = [answer for answer in answers if "error" in answer]
        text = status.table(shown) if shown else ""
        text += "".join(f"{answer['pid']}: {answer['error']}\n" for answer in silent)
    return text, WELL if all(answer["ok"] for answer in answers) else NOT_WELL


def restart_now(directory: str, pid: int | None, *, as_json: bool) -> tuple[str, int]:
    """Have one rebound start its command anew, and wait for that.  Raises `UsageError`."""
    living = [each for each in _living(directory, pid) if _is_here(directory, each)]
    if not living:
        return ("[]\n" if as_json else f"no rebound found in {directory}\n"), NONE_FOUND
    if len(living) > 1:
        pids = ", ".join(map(str, living))
        raise UsageError(f"several rebounds run, one has to be named: --restart-now PID ({pids})")
    try:
        answer = _ask(directory, living[0], "restart", _FOR_EVER)
    except NoAnswer as error:
        answer = {"error": str(error)}
    if as_json:
        return json.dumps([answer], indent=2) + "\n", NOT_WELL if "error" in answer else WELL
    if "error" in answer:
        return f"not restarted: {printable(answer['error'])}\n", NOT_WELL
    return f"restarted: {answer['command']} (pid {answer['child_pid']})\n", WELL


def _shown(value: object) -> object:
    return printable(value) if isinstance(value, str) else value


def _living(directory: str, pid: int | None) -> list[int]:
    """List the pids in the names of sockets; remove those of rebounds that were killed."""
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    pids = sorted(
        int(name[:-5]) for name in names if name.endswith(".sock") and name[:-5].isdecimal()
    )
    return [
        each for each in pids if pid in (None, each) and not _removed(f"{directory}/{each}.sock")
    ]


def _removed(path: str) -> bool:
    try:
        inode = os.stat(path).st_ino
        if not is_stale(path):
            return False
        # A new rebound may have got that pid, and the name, in this moment.
        if os.stat(path).st_ino == inode:
            os.unlink(path)
    except OSError:  # ENOENT: gone; EACCES, EROFS: it stays, but nobody is there
        pass
    return True


def _is_here(directory: str, pid: int) -> bool:
    try:
        return bool(_ask(directory, pid, "status", _PATIENCE))
    except NoAnswer:
        return True  # it has to be asked to know why


def _ask(directory: str, pid: int, request: str, patience: int) -> dict[str, Any]:
    """Give the answer; an empty one from a rebound that is none of ours.

    Containers with a run directory in common see each other's sockets, and each has a PID 1.
    """
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        # Not Python's timeout, with which connect(2) would not wait for room in the backlog.
        socket.setsockopt(_socket.SOL_SOCKET, _SO_SNDTIMEO, _timeval(_PATIENCE))
        socket.setsockopt(_socket.SOL_SOCKET, _SO_RCVTIMEO, _timeval(patience))
        socket.connect(f"{directory}/{pid}.sock")
        server, uid = peer(socket)
        if not linux.is_root_or_us(uid):
            raise NoAnswer("the socket is another user's")
        if not server:
            return {}
        # The one file leaves SIGPIPE as it is; a connection may be closed in this moment.
        socket.sendall(request.encode() + b"\n", _socket.MSG_NOSIGNAL)
        answer = json.loads(_receive_line(socket))
    except BlockingIOError:
        raise NoAnswer(f"no answer within {_PATIENCE} s") from None
    except ConnectionResetError:
        raise NoAnswer(_CLOSED) from None
    except OSError as error:
        raise NoAnswer(error.strerror or str(error)) from None
    except ValueError:
        raise NoAnswer("its answer cannot be read") from None
    finally:
        socket.close()
    if not isinstance(answer, dict) or not ("error" in answer or answer.keys() >= status.FIELDS):
        raise NoAnswer("its answer cannot be read")
    return answer


def _timeval(seconds: int) -> bytes:
    # struct timeval, two longs.
    return seconds.to_bytes(8, sys.byteorder) + bytes(8)


def _receive_line(socket: _socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) < _LONGEST_ANSWER:
        if not (more := socket.recv(65536)):
            raise NoAnswer(_CLOSED)
        data += more
    return data
