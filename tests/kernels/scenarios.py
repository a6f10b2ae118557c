"""What is tried in each machine: a name, a shell script (see guest/lib.sh), the expected marks.

The marks of a scenario must come as they stand here, all of them, in this order, and no others.
"""

from __future__ import annotations

from typing import NamedTuple


class Scenario(NamedTuple):
    """One of them."""

    name: str
    script: str
    marks: tuple[str, ...]
    since: tuple[int, int] = (0, 0)
    """The first kernel that has what it needs."""


SHAPES = ("child", "ro", "rw")
"""See tool.c: no namespaces; a container, with its cgroups read-only or writable."""

EVERYWHERE = (
    Scenario(
        "crash",
        """
        supervise $SHAPE sh -c '
            [ $REBOUND_RESTARTS = 1 ] || kill -SEGV $$
            tool mark "run 1 after $REBOUND_LAST_EXIT"
            exit 0'
        """,
        ("run 1 after signal:SIGSEGV", "status 0"),
    ),
    Scenario(
        "drain",
        """
        supervise $SHAPE sh -c '
            [ $REBOUND_RESTARTS = 1 ] || { tool daemon; exit 9; }
            exec tool receive' &
        eventually marked receives
        signal TERM
        wait
        """,
        ("receives", "asked to stop", "the daemon shuts down", "status 7"),
    ),
    Scenario(
        "signals",
        """
        supervise $SHAPE tool receive &
        eventually marked receives
        tool send $(cat $files/pid) 40 4711
        eventually marked "signal 40, value 4711"
        signal USR1
        eventually marked "signal 10"
        signal TERM
        wait
        """,
        ("receives", "signal 40, value 4711", "signal 10", "asked to stop", "status 7"),
    ),
    Scenario(
        "orphans",
        """
        supervise $SHAPE sh -c '
            . /lib.sh
            tool orphans 50
            reaped() { [ $(grep -c "\\"reaped\\"" $files/log) = 50 ]; }
            eventually reaped
            mark "zombies: $(grep -l "^State:.Z" /proc/[0-9]*/status | wc -l)"'
        """,
        ("zombies: 0", "status 0"),
    ),
    Scenario(
        "status",
        """
        supervise $SHAPE sh -c '
            [ $REBOUND_RESTARTS != 0 ] || exit 9
            tool mark "run $REBOUND_RESTARTS after $REBOUND_LAST_EXIT"
            exec tool receive' &
        inside() { nsenter -t $(cat $files/pid) -m -p -- "$@"; }
        eventually marked receives
        mark "$(inside rebound --status --json | grep -o '"restarts": [0-9]*')"
        inside rebound --status
        mark "probe $?"
        inside rebound --restart-now
        request=$?
        receives_again() { [ $(grep -c receives $MARKS) = 2 ]; }
        eventually receives_again
        mark "request $request"
        signal TERM
        wait
        """,
        (
            "run 1 after exit:9",
            "receives",
            '"restarts": 1',
            "probe 0",
            "asked to stop",
            "run 2 after exit:7",
            "receives",
            "request 0",
            "asked to stop",
            "status 7",
        ),
    ),
    Scenario(
        "watchdog",
        """
        supervise $SHAPE --watchdog 2s sh -c '
            tool mark "run $REBOUND_RESTARTS ${REBOUND_LAST_EXIT-}"
            [ $REBOUND_RESTARTS = 0 ] || exit 0
            tool notify READY=1
            exec sleep 1000'
        """,
        ("run 0 ", "run 1 hung", "status 0"),
    ),
)
"""As a child of the machine's PID 1, and as PID 1 of a container."""

EAT = """sh -c '
            tool mark "run $REBOUND_RESTARTS ${REBOUND_LAST_EXIT-}"
            [ $REBOUND_RESTARTS = 1 ] || exec tool eat
            exit 0'"""
"""A command that takes memory in its first run."""

TOLD_APART = ("run 0 ", "run 1 oom", "status 0")

LEAK = """sh -c '
            tool mark "run $REBOUND_RESTARTS ${REBOUND_LAST_EXIT-}"
            [ $REBOUND_RESTARTS = 0 ] || exec tool receive
            tool daemon
            exec tool eat '"""
"""A command that leaves a daemon, a stand-in for a database, and then leaks in its first run."""

SLOWLY, AT_ONCE = "300", "0"
"""Milliseconds for each MB.  The first leaves the looks some seconds from 8 MB to 40."""

LIMITED = f"""
            mkdir $cgroup
            limit $cgroup
            echo 1 >$cgroup/memory.oom.group
            leak() {{ supervise $1 --max-memory 20% {LEAK}$2; }}
            stop() {{
                eventually marked receives
                signal TERM
                wait
            }}
"""
"""Whoever goes over 40 MB takes the whole container with it; the command may have 8 of them."""

OUTLIVED = ("receives", "asked to stop", "the daemon shuts down", "status 7")

MEMORY = (
    Scenario(
        "memory-slow-ro",
        f"""{LIMITED}
        leak ro {SLOWLY} &
        stop
        mark "$(grep -o '"by": [^,]*' $files/log)"
        """,
        ("run 0 ", "run 1 memory", *OUTLIVED, '"by": "looks"'),
    ),
    Scenario(
        "memory-slow-rw",  # the daemon leaves the command's cgroup while that runs
        f"""{LIMITED}
        leak rw {SLOWLY} &
        has_left() {{ [ $(wc -l <$cgroup/rebound-rest/cgroup.procs) = 2 ]; }}
        eventually marked "run 0 "
        eventually has_left
        mark "the daemon has left"
        stop
        """,
        ("run 0 ", "the daemon has left", "run 1 oom", *OUTLIVED),
    ),
    *(
        Scenario(
            f"memory-burst-{shape}",
            f"""{LIMITED}
            leak {shape} {AT_ONCE} &
            eventually marked receives
            for part in command rest; do
                mark "$part: $(wc -l <$cgroup/rebound-$part/cgroup.procs)"
            done
            stop
            mark "left: $(ls -d $cgroup/rebound-* 2>/dev/null)$(cat $cgroup/cgroup.subtree_control)"
            """,
            ("run 0 ", "run 1 oom", "receives", "command: 1", "rest: 2", *OUTLIVED[1:], "left: "),
        )
        for shape in ("host", "rw")
    ),
    Scenario(
        "memory-outside",  # a daemon that is out of the command's cgroup from the start
        f"""{LIMITED}
        supervise rw --max-memory 20% sh -c '
            (echo 0 >/sys/fs/cgroup/rebound-rest/cgroup.procs; exec tool daemon)
            tool mark "rest: $(wc -l </sys/fs/cgroup/rebound-rest/cgroup.procs)"
            exec tool receive' &
        stop
        """,
        ("rest: 2", *OUTLIVED),
    ),
    Scenario(
        "memory-burst-ro",  # what looking cannot do
        f"""{LIMITED}
        leak ro {AT_ONCE}
        eventually grep -q "populated 0" $cgroup/cgroup.events
        mark "nobody is left"
        """,
        ("run 0 ", "status 137", "nobody is left"),
    ),
)
"""--max-memory beside a database, where an out-of-memory kill takes the whole container."""

CGROUPS = (
    *(
        Scenario(
            f"oom-{shape}",
            f"""
            mkdir $cgroup
            limit $cgroup
            supervise {shape} {EAT}
            """,
            TOLD_APART,
        )
        for shape in ("child", "host", "ro", "rw")
    ),
    Scenario(
        "oom-group",  # memory.oom.group: all are killed, rebound too
        f"""
        mkdir $cgroup
        limit $cgroup
        echo 1 >$cgroup/memory.oom.group
        supervise ro {EAT}
        eventually grep -q "populated 0" $cgroup/cgroup.events
        mark "nobody is left"
        """,
        ("run 0 ", "status 137", "nobody is left"),
    ),
    Scenario(
        "oom-leaf",  # in a leaf without the controller, below a parent with a limit
        f"""
        mkdir $cgroup
        limit $cgroup
        leaf=$cgroup/leaf
        supervise host {EAT}
        mark "its own counters: $(ls $leaf | grep -c memory.events)"
        """,
        (*TOLD_APART, "its own counters: 0"),
    ),
    Scenario(
        "oom-leaf-inside",  # the same, but the container has made the leaf
        f"""
        mkdir $cgroup
        limit $cgroup
        supervise rw sh -c '
            mkdir /sys/fs/cgroup/leaf
            echo 0 >/sys/fs/cgroup/leaf/cgroup.procs
            exec rebound "$@"' sh {EAT}
        """,
        TOLD_APART,
    ),
    Scenario(
        "oom-out-of-sight",  # the counter is outside of the cgroup namespace
        f"""
        mkdir $cgroup
        limit $cgroup
        leaf=$cgroup/leaf
        supervise ro {EAT}
        """,
        ("run 0 ", "run 1 signal:SIGKILL", "status 0"),
    ),
    Scenario(
        "pids-max",  # no start is possible; then it is again
        """
        supervise ro sh -c '
            tool mark "run $REBOUND_RESTARTS"
            [ $REBOUND_RESTARTS = 0 ] || exit 0
            exec tool receive' &
        eventually marked receives
        echo 1 >$cgroup/pids.max
        for pid in $(cat $cgroup/cgroup.procs); do
            [ $pid = $(cat $files/pid) ] || kill -KILL $pid
        done
        eventually logged start_failed '"delay"'
        mark "the start is delayed"
        echo max >$cgroup/pids.max
        wait
        """,
        ("run 0", "receives", "the start is delayed", "run 1", "status 0"),
    ),
    Scenario(
        "freezer",  # frozen longer than the watchdog waits: not hung
        """
        supervise ro --watchdog 2s sh -c '
            tool mark runs
            while tool notify WATCHDOG=1; do usleep 200000; done' &
        eventually marked runs
        echo 1 >$cgroup/cgroup.freeze
        eventually grep -q "frozen 1" $cgroup/cgroup.events
        sleep 3
        echo 0 >$cgroup/cgroup.freeze
        sleep 3
        mark "hung: $(grep -c '"hung"' $files/log)"
        signal TERM
        wait
        """,
        ("runs", "hung: 0", "status 143"),
    ),
    Scenario(
        "kill",  # cgroup.kill takes rebound, too
        """
        supervise ro tool receive &
        eventually marked receives
        echo 1 >$cgroup/cgroup.kill
        wait
        """,
        ("receives", "status 137"),
        since=(5, 14),
    ),
    Scenario(
        "kill-command",  # cgroup.kill takes the command alone: not out of memory
        """
        supervise rw sh -c '
            tool mark "run $REBOUND_RESTARTS ${REBOUND_LAST_EXIT-}"
            [ $REBOUND_RESTARTS = 0 ] || exit 0
            mkdir /sys/fs/cgroup/command
            echo 0 >/sys/fs/cgroup/command/cgroup.procs
            exec tool receive' &
        eventually marked receives
        echo 1 >$cgroup/command/cgroup.kill
        wait
        """,
        ("run 0 ", "receives", "run 1 signal:SIGKILL", "status 0"),
        since=(5, 14),
    ),
)
"""What version 2 of cgroups does."""

MACHINE = Scenario(
    "machine",  # as PID 1 of the machine: its end is the kernel's panic
    "guest/machine.sh",
    (
        "PID 1 is rebound",
        "run 1 after signal:SIGSEGV",
        "run 2 after hung",
        "receives",
        "signal 40, value 4711",
        "rebound --status: 0",
        "asked to stop",
        "the daemon shuts down",
        "PID 1 ended, 0x00000700",
    ),
)


def in_shape(scenario: Scenario, shape: str) -> Scenario:
    """Return the scenario for one of SHAPES."""
    script = f"SHAPE={shape}\n{scenario.script}"
    return scenario._replace(name=f"{scenario.name}-{shape}", script=script)


SCENARIOS = (*(in_shape(s, shape) for s in EVERYWHERE for shape in SHAPES), *CGROUPS, *MEMORY)
