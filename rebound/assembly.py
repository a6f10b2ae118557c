"""The watches and parts that the options ask for; each is loaded only if needed."""

from __future__ import annotations

import os
import time

from rebound.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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
    parts: Sequence[Part]
    step: Callable[[Event], None]


def watches(config: Config) -> list[type[Watch]]:
    """Return the watches over each run."""
    found: list[type[Watch]] = []
    if config.watchdog is not None or config.fd_store:
        from rebound.core.watchdog import Watchdog

        found.append(Watchdog)
    if config.health_command:
        from rebound.core.health import HealthChecks

        found.append(HealthChecks)
    return found


# --- Before the first start: what the run needs -----------------------------------------


def before_the_first_start(context: Context) -> Iterator[Part]:
    """Make the parts that the first run needs.  Raises `ImportError` and `OSError`."""
    config, loop, log, step = context.config, context.loop, context.log, context.step
    if config.listen or b"LISTEN_PID" in context.environment:
        yield from _listeners(context)
    if config.watchdog is not None or config.fd_store:
        yield from _messages(context)
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


def _listeners(context: Context) -> Iterator[Part]:
    from rebound.core import activation

    addresses, pid = context.config.listen, os.getpid()
    if addresses or activation.is_for_us(context.environment, pid):
        from rebound.parts.listeners import Listeners

        context.service.holds_descriptors = True
        names = activation.names_for_us(context.environment, pid)
        yield Listeners(addresses, names, context.log)


def _messages(context: Context) -> Iterator[Part]:
    from rebound.kernel.closer import Closer
    from rebound.parts.notifysocket import NotifySocket

    config, loop, log = context.config, context.loop, context.log
    closer, store = Closer(loop), None
    if config.fd_store:
        from rebound.parts.fdstore import FdStore

        context.service.holds_descriptors = True
        store = FdStore(config.fd_store, loop, closer, log)
    directory = config.run_directory
    yield NotifySocket(directory, config.watchdog, store, closer, loop, log, context.step)
    if store:
        yield store


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
        fields = status.describe(service, service.name, os.getpid(), command.pid, adopted)
        for part in context.parts:
            fields.update(part.describe())
        return fields

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
