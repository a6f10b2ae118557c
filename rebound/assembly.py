"""The watches and parts that the options ask for; each is loaded only if needed."""

from __future__ import annotations

import os
import time

from rebound.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rebound.children import Children
    from rebound.command import Command
    from rebound.core.config import Config
    from rebound.core.events import Event
    from rebound.core.part import Part
    from rebound.core.service import Service
    from rebound.core.watch import Watch
    from rebound.kernel.log import Log
    from rebound.kernel.loop import Loop
    from rebound.kernel.spawn import Starter
    from rebound.kernel.terminal import Terminal


class Context(Record):
    """The values that the parts are made with."""

    config: Config
    environment: dict[bytes, bytes]
    log: Log
    loop: Loop
    starter: Starter
    terminal: Terminal
    service: Service
    command: Command
    children: Children
    step: Callable[[Event], None]


def watches(config: Config) -> list[type[Watch]]:
    """Return the watches over each run."""
    found: list[type[Watch]] = []
    if config.watchdog is not None:
        from rebound.core.watchdog import Watchdog

        found.append(Watchdog)
    if config.health_command:
        from rebound.core.health import HealthChecks

        found.append(HealthChecks)
    return found


# --- Before the first start: what the run needs -----------------------------------------


def before_the_first_start(context: Context) -> Iterator[Part]:
    """Make the parts that the first run needs.  Raises `ImportError`."""
    config, loop, log, step = context.config, context.loop, context.log, context.step
    if config.watchdog is not None:
        from rebound.parts.notifysocket import NotifySocket

        yield NotifySocket(config.run_directory, config.watchdog, loop, log, step)
    if config.health_command:
        from rebound.kernel.spawn import Spawner
        from rebound.parts.checker import Checker

        words = ["/bin/sh", "-c", config.health_command]
        spawner = Spawner(words, context.starter, own_group=True)
        yield Checker(spawner, context.environment, loop, log, step)
    if config.kill_group:
        from rebound.parts.killgroup import KillGroup

        yield KillGroup(lambda status: context.service.would_restart(status, time.monotonic()))
    if config.in_own_group and context.terminal.exists:
        from rebound.parts.jobcontrol import JobControl

        yield JobControl(context.terminal)
    if config.notify:
        yield from _manager(context)


def _manager(context: Context) -> Iterator[Part]:
    from rebound.parts.manager import Manager

    address = context.environment.get(b"NOTIFY_SOCKET")
    if not address:
        return  # no error, as for sd_notify(3): there is no manager to tell
    try:
        yield Manager(address, context.loop, context.log)
    except OSError as error:
        text = f"no service manager at $NOTIFY_SOCKET: {error.strerror or error}"
        context.log.write("error", "error", text)


# --- After it: what can wait, and be done without ---------------------------------------


def after_the_first_start(context: Context) -> Iterator[Part]:
    """Make the parts that can wait; log and leave out those that fail."""
    yield from _or_none(context, _oom_kills, "no_oom_kills", "out-of-memory kills are not told")
    directory = context.config.run_directory
    if directory:
        text = f"no socket for --status in {directory}"
        yield from _or_none(context, _endpoint, "no_control", text)


def _or_none(
    context: Context, make: Callable[[Context], Part], event: str, text: str
) -> Iterator[Part]:
    try:
        yield make(context)
    except (ImportError, OSError) as error:  # even loading it takes a free descriptor
        why = getattr(error, "strerror", None) or error
        context.log.write("debug", event, f"{text}: {why}")


def _oom_kills(_context: Context) -> Part:
    from rebound.parts.oomkills import OomKills

    return OomKills()


def _endpoint(context: Context) -> Part:
    from rebound.control.endpoint import Endpoint

    def describe() -> dict[str, object]:
        from rebound.control import status
        from rebound.kernel import processes

        adopted = len(processes.children(context.children.known()))
        service, command = context.service, context.command
        return status.describe(service, service.name, os.getpid(), command.pid, adopted)

    directory = context.config.run_directory
    return Endpoint(directory, context.loop, context.log, describe, context.step)


# --- At the end -------------------------------------------------------------------------


def leave_message(path: str, text: str, log: Log) -> None:
    """Write the termination message; log it if that fails."""
    try:
        from rebound.parts import termination

        termination.write_message(path, text)
    except (ImportError, OSError) as error:
        why = getattr(error, "strerror", None) or error
        text = f"no termination message in {path}: {why}"
        log.write("debug", "no_termination_message", text)
