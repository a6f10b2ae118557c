"""The words: each line of the log, with its level, the name of its event and its fields.

People search for these texts, programs for these names and fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebound.core import narrate
from rebound.core.events import Exited, say
from rebound.core.exitstatus import HUNG, REQUESTED, UNHEALTHY, End, ExitStatus
from rebound.core.restart import GAVE_UP, MEANT, REFUSED, RESTART
from rebound.core.signals import SIGABRT, SIGHUP, SIGINT, SIGKILL, SIGTERM

if TYPE_CHECKING:
    from rebound.core.events import Say
    from rebound.core.restart import Verdict

PID = 4711
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}

NOT_FOUND = End(ExitStatus(code=127), error="No such file or directory")
NOT_PERMITTED = End(ExitStatus(code=126), error="Permission denied")

# --- Each line ------------------------------------------------------------------------

LINES: list[tuple[Say, str, str, str, Mapping[str, object]]] = [
    (
        say(narrate.starting, "cmd", 3),
        *("info", "starting", "starting cmd", {"command": "cmd", "restarts": 3}),
    ),
    (
        say(narrate.started, "cmd", PID),
        *("debug", "started", "started cmd (pid 4711)", {"pid": PID}),
    ),
    (
        say(narrate.start_failed, "cmd", "Resource temporarily unavailable", 1.0),
        *("error", "start_failed"),
        "cannot start cmd: Resource temporarily unavailable, retrying in 1s",
        {"command": "cmd", "error": "Resource temporarily unavailable", "delay": 1.0},
    ),
    (
        say(narrate.exec_failed, "cmd", NOT_FOUND, True),
        *("error", "exec_failed", "exec cmd: No such file or directory"),
        {"command": "cmd", "error": "No such file or directory"},
    ),
    (
        say(narrate.exec_failed, "cmd --option", NOT_FOUND, True),
        *("error", "exec_failed"),
        (
            "exec cmd --option: No such file or directory "
            "(one word with blanks: write each word by itself)"
        ),
        {"command": "cmd --option", "error": "No such file or directory"},
    ),
    (
        say(narrate.exec_failed, "cmd --option", NOT_FOUND, False),
        *("error", "exec_failed", "exec cmd --option: No such file or directory"),
        {"command": "cmd --option", "error": "No such file or directory"},
    ),
    (
        say(narrate.exec_failed, "a cmd", NOT_PERMITTED, True),
        *("error", "exec_failed", "exec a cmd: Permission denied"),
        {"command": "a cmd", "error": "Permission denied"},
    ),
    (
        say(narrate.giving_up, 2),
        *("error", "giving_up", "max restarts (2) reached, exiting", {}),
    ),
    (
        say(narrate.held_back, 1.87654, 2.0),
        *("info", "delayed", "child failing rapidly, delaying restart by 2s", {"delay": 1.877}),
    ),
    (
        say(narrate.restart_due, 0.25),
        *("debug", "delayed", "restart is due in 0.2s", {"delay": 0.25}),
    ),
    (
        say(narrate.restart_requested, PID),
        *("info", "restart_requested"),
        "restart requested, sending signal 15 (SIGTERM) to child (pid 4711)",
        {"pid": PID},
    ),
    (
        say(narrate.restart_under_way),
        *("info", "restart_requested", "restart requested, one is under way", {}),
    ),
    (
        say(narrate.restart_brought_forward),
        *("info", "restart_requested", "restart requested, not waiting any longer", {}),
    ),
    (
        say(narrate.killing_child, PID),
        *("info", "killing_child", "child (pid 4711) does not end, killing it", {"pid": PID}),
    ),
    (
        say(narrate.child_not_killed, PID),
        *("error", "not_killed"),
        "child (pid 4711) was killed and is still there, waiting for it",
        {"pid": PID},
    ),
    (
        say(narrate.not_restarted, PID),
        *("error", "not_restarted"),
        "child (pid 4711) may not be signalled, leaving it running",
        {"pid": PID},
    ),
    (
        say(narrate.leaving_child, PID, narrate.NOT_PERMITTED),
        *("error", "leaving_child"),
        "child (pid 4711) may not be signalled, not waiting for it",
        {"pid": PID},
    ),
    (
        say(narrate.leaving_child, PID, narrate.NOT_GONE),
        *("error", "leaving_child"),
        "child (pid 4711) was killed and is still there, not waiting for it",
        {"pid": PID},
    ),
    (
        say(narrate.not_killed, 10.0),
        *("error", "not_killed", "still there 10s after SIGKILL, not waiting any longer", {}),
    ),
    *(
        (
            say(narrate.stop_received, signo, what),
            *("info", "signal", f"received {described}, {text}", {"signal": name}),
        )
        for signo, described, name in (
            (SIGTERM, "signal 15 (SIGTERM)", "SIGTERM"),
            (SIGINT, "signal 2 (SIGINT)", "SIGINT"),
            (37, "signal 37 (SIGRTMIN+3)", "SIGRTMIN+3"),
        )
        for what, text in (
            (narrate.FORWARDED, "forwarding to child"),
            (narrate.DELIVERED, "as did child"),
            (narrate.DROPPED, "not forwarded (--rewrite)"),
            (narrate.PASSED_ON, "passing it on"),
            (narrate.SHUTTING_DOWN, "shutting down"),
        )
    ),
    (
        say(narrate.signal_received, SIGHUP, narrate.FORWARDED),
        *("debug", "signal", "received signal 1 (SIGHUP), forwarding to child"),
        {"signal": "SIGHUP"},
    ),
    (
        say(narrate.signal_received, SIGHUP, narrate.NO_CHILD),
        *("debug", "signal", "received signal 1 (SIGHUP), no child to forward to"),
        {"signal": "SIGHUP"},
    ),
    (
        say(narrate.ready, PID),
        *("debug", "ready", "child (pid 4711) is ready", {"pid": PID}),
    ),
    (
        say(narrate.stopping, PID),
        *("debug", "stopping", "child (pid 4711) says that it is stopping", {"pid": PID}),
    ),
    (
        say(narrate.status, PID, "half way"),
        *("debug", "status", "child (pid 4711) says: half way"),
        {"pid": PID, "status": "half way"},
    ),
    (
        say(narrate.silent, PID, 110.0),
        *("info", "hung"),
        "child (pid 4711) hung: no keep-alive for 1m50s, sending signal 6 (SIGABRT)",
        {"pid": PID, "reason": "no keep-alive for 1m50s"},
    ),
    (
        say(narrate.triggered, PID),
        *("info", "hung"),
        "child (pid 4711) hung: it says so (WATCHDOG=trigger), sending signal 6 (SIGABRT)",
        {"pid": PID, "reason": "it says so (WATCHDOG=trigger)"},
    ),
    (
        say(narrate.flooded, PID, 100.0),
        *("error", "flooded"),
        (
            "strangers flood the NOTIFY_SOCKET, keep-alives may be lost: "
            "child (pid 4711) gets up to 1m40s more"
        ),
        {"pid": PID},
    ),
    (
        say(narrate.health_timeout, 0.2),
        *("info", "health_timeout", "health check killed after 0.2s", {}),
    ),
    (
        say(narrate.health_unknown, "no shell"),
        *("error", "health_unknown", "cannot run the health check: no shell"),
        {"error": "no shell"},
    ),
    (
        say(narrate.health_missing, ExitStatus(code=127), "sh: curl: not found"),
        *("info", "health_missing"),
        "the health command cannot be executed (exited with status 127): sh: curl: not found",
        {"output": "sh: curl: not found"},
    ),
    (
        say(narrate.health_missing, ExitStatus(code=126), ""),
        *("info", "health_missing"),
        "the health command cannot be executed (exited with status 126)",
        {"output": ""},
    ),
    (
        say(narrate.max_runtime, PID, 3600.0),
        *("info", "max_runtime"),
        "child (pid 4711) has run for 1h (--max-runtime), sending signal 15 (SIGTERM)",
        {"pid": PID},
    ),
    (
        say(narrate.healthy),
        *("info", "healthy", "health check passed", {}),
    ),
    (
        say(narrate.health_failed, 2, 3, ExitStatus(code=1)),
        *("info", "health_failed", "health check failed (2 of 3): exited with status 1"),
        {"failures": 2, "retries": 3},
    ),
    (
        say(narrate.health_failed, 2, 2, ExitStatus(signal=SIGKILL)),
        *("info", "health_failed", "health check failed (2 of 2): killed by signal 9 (SIGKILL)"),
        {"failures": 2, "retries": 2},
    ),
    (
        say(narrate.unhealthy, PID),
        *("info", "unhealthy"),
        "child (pid 4711) is unhealthy, sending signal 15 (SIGTERM)",
        {"pid": PID},
    ),
]


@pytest.mark.parametrize(
    ("fact", "level", "event", "text", "fields"), LINES, ids=[line[3] for line in LINES]
)
def test_each_line(
    fact: Say, level: str, event: str, text: str, fields: Mapping[str, object]
) -> None:
    """`ended` has more to tell, see below."""
    assert narrate.KINDS[fact.words] == (level, event)
    assert fact.words(*fact.about) == (text, fields)


def test_none_is_missing() -> None:
    """Neither here nor in KINDS: each function that returns a line has its level and its event."""
    tried = {fact.words for fact, *_ in LINES}
    assert tried | {narrate.ended} == set(narrate.KINDS)
    functions = {
        function
        for function in vars(narrate).values()
        if getattr(function, "__annotations__", {}).get("return") == "Line"
        and not function.__name__.startswith("_")
    }
    assert functions == set(narrate.KINDS)
    assert set(narrate.WITH_ADOPTED) < functions


# --- How a run ended ------------------------------------------------------------------

SEGV = ExitStatus(signal=11, core_dumped=True)


@pytest.mark.parametrize(
    ("status", "settings", "verdict", "text"),
    [
        (ExitStatus(code=42), {}, RESTART, "exited with status 42, restarting (1)"),
        (
            SEGV,
            {},
            RESTART,
            (
                "killed by signal 11 (SIGSEGV), core dumped, after 3m12s, max RSS 512 MB, "
                "restarting (1)"
            ),
        ),
        (
            ExitStatus(signal=SIGKILL),
            {"out_of_memory": True},
            RESTART,
            (
                "killed by signal 9 (SIGKILL), out of memory, max RSS 512 MB, after 3m12s, "
                "restarting (1)"
            ),
        ),
        (
            ExitStatus(signal=SIGABRT),
            {"cause": HUNG},
            RESTART,
            "killed by signal 6 (SIGABRT), hung, after 3m12s, max RSS 512 MB, restarting (1)",
        ),
        (
            ExitStatus(signal=SIGTERM),
            {"cause": UNHEALTHY},
            RESTART,
            "killed by signal 15 (SIGTERM), unhealthy, after 3m12s, max RSS 512 MB, restarting (1)",
        ),
        (
            ExitStatus(code=3),
            {"cause": REQUESTED},
            RESTART,
            "exited with status 3, restart requested, restarting (1)",
        ),
        (ExitStatus(code=1), {}, REFUSED, "exited with status 1, not restarting"),
        (
            ExitStatus(),
            {"cause": HUNG},
            REFUSED,
            "exited with status 0, hung, not restarting",
        ),
        (
            ExitStatus(code=143),
            {"cause": UNHEALTHY},
            REFUSED,
            "exited with status 143, unhealthy, not restarting",
        ),
        (ExitStatus(), {}, REFUSED, "exited, not restarting"),
        (ExitStatus(), {}, MEANT, "exited, shutting down"),
        (ExitStatus(code=3), {}, MEANT, "exited with status 3, shutting down"),
        (
            ExitStatus(signal=SIGTERM),
            {},
            MEANT,
            "terminated by signal 15 (SIGTERM), exiting",
        ),
        (ExitStatus(signal=SIGINT), {}, MEANT, "terminated by signal 2 (SIGINT), exiting"),
        (
            ExitStatus(signal=SIGTERM),
            {"cause": REQUESTED},
            MEANT,
            "killed by signal 15 (SIGTERM), restart requested, shutting down",
        ),
        (
            ExitStatus(signal=SIGKILL),
            {},
            MEANT,
            "killed by signal 9 (SIGKILL), shutting down",
        ),
        # What comes then is told by `giving_up`.
        (ExitStatus(code=1), {}, GAVE_UP, "exited with status 1"),
        (SEGV, {"cause": HUNG}, GAVE_UP, "killed by signal 11 (SIGSEGV), core dumped, hung"),
    ],
)
def test_an_end(
    status: ExitStatus, settings: dict[str, str | bool], verdict: Verdict, text: str
) -> None:
    end = End(status, **settings)  # type: ignore[arg-type]
    exited = Exited(PID, status, 523_900, end.out_of_memory)
    assert narrate.ended(exited, end, verdict, 192.4, 1)[0] == f"child (pid 4711) {text}"
    assert narrate.KINDS[narrate.ended] == ("info", "exited")


@pytest.mark.parametrize(
    ("end", "fields"),
    [
        (End(ExitStatus(code=3)), {"reason": "exit:3", "code": 3}),
        (
            End(SEGV),
            {"reason": "signal:SIGSEGV", "signal": "SIGSEGV", "core_dumped": True},
        ),
        (
            End(ExitStatus(signal=SIGKILL), out_of_memory=True),
            {"reason": "oom", "signal": "SIGKILL", "core_dumped": False},
        ),
        (
            End(ExitStatus(signal=SIGABRT), HUNG),
            {"reason": "hung", "signal": "SIGABRT", "core_dumped": False},
        ),
        (End(ExitStatus(), UNHEALTHY), {"reason": "unhealthy", "code": 0}),
    ],
)
@pytest.mark.parametrize("verdict", [RESTART, MEANT, REFUSED, GAVE_UP])
def test_the_fields_of_an_end(end: End, fields: dict[str, object], verdict: Verdict) -> None:
    """Those of every end: the run time in seconds, the memory in bytes."""
    exited = Exited(PID, end.status, 1000, end.out_of_memory)
    of_all = {"pid": PID, "run_time": 12.346, "max_rss": 1_024_000, "restarts": 7}
    assert narrate.ended(exited, end, verdict, 12.3456, 7)[1] == {**of_all, **fields}


def test_the_least_memory_is_a_megabyte() -> None:
    """None at all would be taken for a mistake."""
    text, _fields = narrate.ended(Exited(PID, SEGV, 100), End(SEGV), RESTART, 0.001, 1)
    assert "after 1ms, max RSS 1 MB" in text


# --- Words elsewhere ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "restarts", "seconds", "why", "text"),
    [
        (
            End(ExitStatus(signal=11)),
            *(1, 42, narrate.why_no_restart(GAVE_UP, 1)),
            "cmd killed by signal 11 (SIGSEGV); 1 restart in 42s; max restarts (1) reached",
        ),
        (
            End(ExitStatus(code=3)),
            *(0, 42, narrate.why_no_restart(REFUSED, 0)),
            "cmd exited with status 3; 0 restarts in 42s; not restarting",
        ),
        (
            End(ExitStatus(signal=SIGTERM)),
            *(0, 42, narrate.stopped_by(SIGTERM)),
            "cmd killed by signal 15 (SIGTERM); 0 restarts in 42s; stopped by signal 15 (SIGTERM)",
        ),
        (
            End(ExitStatus(signal=SIGABRT), HUNG),
            *(0, 42, narrate.why_no_restart(REFUSED, 0)),
            "cmd killed by signal 6 (SIGABRT), hung; 0 restarts in 42s; not restarting",
        ),
        (
            End(ExitStatus(signal=SIGKILL), out_of_memory=True),
            *(0, 42, narrate.why_no_restart(REFUSED, 0)),
            "cmd killed by signal 9 (SIGKILL), out of memory; 0 restarts in 42s; not restarting",
        ),
        (
            NOT_FOUND,
            *(1, 42, narrate.why_no_restart(GAVE_UP, 1)),
            (
                "cmd could not be executed: No such file or directory; 1 restart in 42s; "
                "max restarts (1) reached"
            ),
        ),
        (
            NOT_FOUND,
            *(0, 0, narrate.why_no_restart(MEANT, 0)),
            "cmd could not be executed: No such file or directory; 0 restarts in 0s",
        ),
        (
            None,
            *(0, 2, narrate.stopped_by(SIGTERM)),
            "cmd did not start; 0 restarts in 2s; stopped by signal 15 (SIGTERM)",
        ),
    ],
)
def test_the_termination_message(
    end: End | None, restarts: int, seconds: float, why: str, text: str
) -> None:
    assert narrate.termination("cmd", end, restarts, seconds, why) == text


def test_what_the_service_manager_is_told() -> None:
    """That a run has begun, or when the next one does."""
    assert narrate.running(PID) == "running (pid 4711)"
    text = "exited with status 1, next start in 2s"
    assert narrate.waiting(End(ExitStatus(code=1)), 2) == text
    text = "could not be executed: Permission denied, next start in 1m"
    assert narrate.waiting(NOT_PERMITTED, 60) == text


# --- Durations ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0001, "1ms"),
        (0.0126, "13ms"),
        (0.34, "0.3s"),
        (2, "2s"),
        (9.97, "10s"),
        (10.4, "10s"),
        (59.6, "1m"),
        (192, "3m12s"),
        (3599.9, "1h"),
        (3660, "1h1m"),
        (5 * 3600 + 2 * 60 + 59, "5h2m"),
        (8 * 86400 + 3 * 3600, "8d3h"),
        (7 * 86400 + 59, "7d"),
    ],
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    """Two units at most, and none that is zero."""
    assert narrate.duration(seconds) == text


@given(st.floats(0, 1e8))
def test_a_written_duration_is_close(seconds: float) -> None:
    """Off by less than its smallest unit, and short enough for a log line."""
    text = narrate.duration(seconds)
    assert re.fullmatch(r"\d+ms|\d\.\ds|\d+s|\d+m(\d+s)?|\d+h(\d+m)?|\d+d(\d+h)?", text)
    written = sum(float(n) * UNITS[unit] for n, unit in re.findall(r"([\d.]+)([a-z]+)", text))
    scale = 0.1 if seconds < 10 else 1 if seconds < 3600 else 60 if seconds < 86400 else 3600
    assert abs(written - seconds) < scale + 0.5 * (scale > 1)


@pytest.mark.parametrize("shown", [set(), {"error"}, {"error", "info"}, {"error", "info", "debug"}])
def test_which_facts_are_told(shown: set[str]) -> None:
    """Those whose level is shown, and no others."""
    words = narrate.words_at(shown.__contains__)
    assert words == {fact for fact, (level, _event) in narrate.KINDS.items() if level in shown}
