"""The words for facts: in the log, for the service manager, in the termination message.

The core returns facts, as `say(narrate.ended, …)`; this module puts them into words.  Most
functions return the text of a line, for people, and its fields, for programs.  `KINDS` holds the
level of each line, and the name of its event, which stays.
"""

from __future__ import annotations

from rebound.core import signals
from rebound.core.exitstatus import (
    HUNG,
    MAX_RUNTIME,
    NOT_FOUND,
    REQUESTED,
    UNHEALTHY,
    End,
    ExitStatus,
)
from rebound.core.restart import GAVE_UP, MEANT, REFUSED, RESTART

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rebound.core.events import Exited
    from rebound.core.restart import Verdict

    Line = tuple[str, dict[str, object]]
    """The text, and the fields."""

FORWARDED = "forwarding to child"
DELIVERED = "as did child"
DROPPED = "not forwarded (--rewrite)"
PASSED_ON = "passing it on"
SHUTTING_DOWN = "shutting down"
NO_CHILD = "no child to forward to"
"""What rebound does about a signal."""

NOT_PERMITTED = "may not be signalled"
NOT_GONE = "was killed and is still there"
"""Why rebound does not wait for a command."""

_CAUSES = {
    "": "",
    HUNG: ", hung",
    UNHEALTHY: ", unhealthy",
    REQUESTED: ", restart requested",
    MAX_RUNTIME: ", its time was over",
}

_UNITS = (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1))


# --- Starts and ends --------------------------------------------------------------------


def starting(command: str, restarts: int) -> Line:
    """Tell of a start that is not an immediate restart."""
    return f"starting {command}", {"command": command, "restarts": restarts}


def started(command: str, pid: int) -> Line:
    """Tell that a run has begun."""
    return f"started {command} (pid {pid})", {"pid": pid}


def start_failed(command: str, error: str, delay: float) -> Line:
    """Tell that the system had no free process, memory or descriptor for a start."""
    text = f"cannot start {command}: {error}, retrying in {duration(delay)}"
    return text, {"command": command, "error": error, "delay": delay}


def exec_failed(command: str, end: End, is_first: bool) -> Line:
    """Tell that the command could not be executed."""
    return exec_error(command, end, is_first), {"command": command, "error": end.error}


def exec_error(command: str, end: End, is_first: bool) -> str:
    """Return that the command could not be executed; at the first start, add a likely reason."""
    text = f"exec {command}: {end.error}"
    if is_first and end.status.code == NOT_FOUND and any(char.isspace() for char in command):
        text += " (one word with blanks: write each word by itself)"
    return text


def ended(exited: Exited, end: End, verdict: Verdict, run_time: float, restarts: int) -> Line:
    """Tell how a run ended, and what follows.  `run_time` is in seconds."""
    child, status = f"child (pid {exited.pid})", end.status
    if verdict == RESTART:
        text = f"{child} {status}{_CAUSES[end.cause]}{_usage(exited, end, run_time)}"
        text += f", restarting ({restarts})"
    elif verdict == GAVE_UP:
        text = f"{child} {describe_end(end)}"
    else:
        what = SHUTTING_DOWN if verdict == MEANT else why_no_restart(verdict, 0)
        text = f"{child} {describe_end(end)}, {what}"
        if status.is_zero and not end.cause:
            text = f"{child} exited, {what}"
        elif status.signal in (signals.SIGTERM, signals.SIGINT) and not end.cause:
            text = f"{child} terminated by {signals.describe(status.signal)}, exiting"
    return text, _fields_of_end(exited, end, run_time, restarts)


def _usage(exited: Exited, end: End, run_time: float) -> str:
    if not end.status.signal:
        return ""
    after, rss = duration(run_time), f"{max(1, round(exited.max_rss / 1024))} MB"
    if end.out_of_memory:
        return f", out of memory, max RSS {rss}, after {after}"
    return f", after {after}, max RSS {rss}"


def _fields_of_end(exited: Exited, end: End, run_time: float, restarts: int) -> dict[str, object]:
    how: dict[str, object] = {"code": end.status.code}
    if end.status.signal:
        how = {"signal": signals.name(end.status.signal), "core_dumped": end.status.core_dumped}
    return {
        "pid": exited.pid,
        "reason": end.label,
        **how,
        "run_time": round(run_time, 3),
        "max_rss": exited.max_rss * 1024,
        "restarts": restarts,
    }


def giving_up(max_restarts: int) -> Line:
    """Tell that --max-restarts is reached."""
    return f"{why_no_restart(GAVE_UP, max_restarts)}, exiting", {}


def held_back(delay: float, nominal: float) -> Line:
    """Tell of a back-off.  `nominal` is without jitter."""
    text = f"child failing rapidly, delaying restart by {duration(nominal)}"
    return text, {"delay": round(delay, 3)}


def restart_due(delay: float) -> Line:
    """Tell of any other delay."""
    return f"restart is due in {duration(delay)}", {"delay": round(delay, 3)}


# --- Ending a run -----------------------------------------------------------------------


def restart_requested(pid: int) -> Line:
    """Tell that rebound ends a run because a client requested a restart."""
    sending = f"sending {signals.describe(signals.SIGTERM)}"
    return f"restart requested, {sending} to child (pid {pid})", {"pid": pid}


def restart_under_way() -> Line:
    """Tell that a client requested a restart that is under way already."""
    return "restart requested, one is under way", {}


def restart_brought_forward() -> Line:
    """Tell that a requested restart cuts a delay short."""
    return "restart requested, not waiting any longer", {}


def max_runtime(pid: int, run_time: float) -> Line:
    """Tell that rebound ends a run because it has had its time."""
    sending = f"sending {signals.describe(signals.SIGTERM)}"
    text = f"child (pid {pid}) has run for {duration(run_time)} (--max-runtime), {sending}"
    return text, {"pid": pid}


def killing_child(pid: int) -> Line:
    """Tell that a run has had its time to end, and is killed."""
    return f"child (pid {pid}) does not end, killing it", {"pid": pid}


def child_not_killed(pid: int) -> Line:
    """Tell that SIGKILL has not ended a run, and that rebound waits: runs never overlap."""
    return f"child (pid {pid}) {NOT_GONE}, waiting for it", {"pid": pid}


def not_restarted(pid: int) -> Line:
    """Tell that a run goes on because rebound may not signal it."""
    return f"child (pid {pid}) {NOT_PERMITTED}, leaving it running", {"pid": pid}


def leaving_child(pid: int, why: str) -> Line:
    """Tell that the shutdown does not wait for the command."""
    return f"child (pid {pid}) {why}, not waiting for it", {"pid": pid}


def not_killed(patience: float) -> Line:
    """Tell that processes are left after SIGKILL."""
    return f"still there {duration(patience)} after SIGKILL, not waiting any longer", {}


# --- Signals ----------------------------------------------------------------------------


def stop_received(signo: int, what: str) -> Line:
    """Tell of a stop signal, which begins the shutdown or comes during it."""
    return f"received {signals.describe(signo)}, {what}", {"signal": signals.name(signo)}


def signal_received(signo: int, what: str) -> Line:
    """Tell of any other signal."""
    return stop_received(signo, what)


# --- What the command says of itself ----------------------------------------------------


def ready(pid: int) -> Line:
    """Tell of the first READY=1 of a run."""
    return f"child (pid {pid}) is ready", {"pid": pid}


def stopping(pid: int) -> Line:
    """Tell of STOPPING=1."""
    return f"child (pid {pid}) says that it is stopping", {"pid": pid}


def status(pid: int, text: str) -> Line:
    """Tell of a new STATUS."""
    return f"child (pid {pid}) says: {text}", {"pid": pid, "status": text}


def silent(pid: int, silence: float) -> Line:
    """Tell of a run that gave no sign of life for `silence` seconds."""
    return _hung(pid, f"no keep-alive for {duration(silence)}")


def triggered(pid: int) -> Line:
    """Tell of a run that reports itself as hung."""
    return _hung(pid, "it says so (WATCHDOG=trigger)")


def _hung(pid: int, why: str) -> Line:
    text = f"child (pid {pid}) hung: {why}, sending {signals.describe(signals.SIGABRT)}"
    return text, {"pid": pid, "reason": why}


def flooded(pid: int, more: float) -> Line:
    """Tell that keep-alives may be lost among strangers' messages."""
    text = "strangers flood the NOTIFY_SOCKET, keep-alives may be lost: "
    return f"{text}child (pid {pid}) gets up to {duration(more)} more", {"pid": pid}


# --- Health -----------------------------------------------------------------------------


def health_timeout(after: float) -> Line:
    """Tell that a check took too long."""
    return f"health check killed after {duration(after)}", {}


def health_unknown(error: str) -> Line:
    """Tell that a check could not be run."""
    return f"cannot run the health check: {error}", {"error": error}


def health_missing(status: ExitStatus, output: str) -> Line:
    """Tell that the shell could not execute the health command."""
    text = f"the health command cannot be executed ({status})"
    return f"{text}: {output}" if output else text, {"output": output}


def healthy() -> Line:
    """Tell of the first check that passes, or the first that passes after failures."""
    return "health check passed", {}


def health_failed(failures: int, retries: int, how: ExitStatus | str) -> Line:
    """Tell of a check that failed."""
    text = f"health check failed ({failures} of {retries}): {how}"
    return text, {"failures": failures, "retries": retries}


def unhealthy(pid: int) -> Line:
    """Tell that too many checks have failed."""
    text = f"child (pid {pid}) is unhealthy, sending {signals.describe(signals.SIGTERM)}"
    return text, {"pid": pid}


KINDS: dict[Callable[..., Line], tuple[str, str]] = {
    starting: ("info", "starting"),
    started: ("debug", "started"),
    start_failed: ("error", "start_failed"),
    exec_failed: ("error", "exec_failed"),
    ended: ("info", "exited"),
    giving_up: ("error", "giving_up"),
    held_back: ("info", "delayed"),
    restart_due: ("debug", "delayed"),
    restart_requested: ("info", "restart_requested"),
    restart_under_way: ("info", "restart_requested"),
    restart_brought_forward: ("info", "restart_requested"),
    max_runtime: ("info", "max_runtime"),
    killing_child: ("info", "killing_child"),
    child_not_killed: ("error", "not_killed"),
    not_restarted: ("error", "not_restarted"),
    leaving_child: ("error", "leaving_child"),
    not_killed: ("error", "not_killed"),
    stop_received: ("info", "signal"),
    signal_received: ("debug", "signal"),
    ready: ("debug", "ready"),
    stopping: ("debug", "stopping"),
    status: ("debug", "status"),
    silent: ("info", "hung"),
    triggered: ("info", "hung"),
    flooded: ("error", "flooded"),
    health_timeout: ("info", "health_timeout"),
    health_unknown: ("error", "health_unknown"),
    health_missing: ("info", "health_missing"),
    healthy: ("info", "healthy"),
    health_failed: ("info", "health_failed"),
    unhealthy: ("info", "unhealthy"),
}
"""The level of each line, and the name of its event."""


def words_at(is_shown: Callable[[str], bool]) -> frozenset[Callable[..., Line]]:
    """Return the words for which a line is written, given which levels are."""
    return frozenset(words for words, (level, _event) in KINDS.items() if is_shown(level))


WITH_ADOPTED = (held_back, restart_due, not_killed)
"""Lines that also name the adopted processes that still run."""


# --- Words elsewhere --------------------------------------------------------------------


def describe_end(end: End | None) -> str:
    """Return how a run ended: `exited with status 1`, `killed by signal 9 (SIGKILL), hung`."""
    if end is None:
        return "did not start"
    if end.error:
        return f"could not be executed: {end.error}"
    memory = ", out of memory" if end.out_of_memory else ""
    return f"{end.status}{_CAUSES[end.cause]}{memory}"


def termination(command: str, end: End | None, restarts: int, seconds: float, why: str) -> str:
    """Return in one line why rebound ends, `seconds` after its start."""
    text = f"{command} {describe_end(end)}; {restarts} restart{'' if restarts == 1 else 's'} in "
    text += duration(seconds)
    return f"{text}; {why}" if why else text


def stopped_by(signo: int) -> str:
    """Return which signal began the shutdown."""
    return f"stopped by {signals.describe(signo)}"


def why_no_restart(verdict: Verdict, max_restarts: int) -> str:
    """Return why there was no restart; empty if the command was meant to end."""
    if verdict == GAVE_UP:
        return f"max restarts ({max_restarts}) reached"
    return "not restarting" if verdict == REFUSED else ""


def running(pid: int) -> str:
    """Return the line for the service manager when a run has begun."""
    return f"running (pid {pid})"


def waiting(end: End | None, delay: float) -> str:
    """Return the line for the service manager that says when the next run begins."""
    return f"{describe_end(end)}, next start in {duration(delay)}"


def duration(seconds: float) -> str:
    """Return a duration in at most two units: `4ms`, `0.3s`, `2s`, `3m12s`, `8d3h`."""
    if 0 < seconds < 0.1:
        return f"{max(1, round(seconds * 1000))}ms"
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    whole = round(seconds)
    for unit, size, smaller, smaller_size in _UNITS:
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size}{unit}" + (f"{rest}{smaller}" if rest else "")
    return f"{whole}s"
