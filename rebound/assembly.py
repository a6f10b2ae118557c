"""The watches and parts that the options ask for; each is loaded only if needed."""

from __future__ import annotations

import os
import time

from rebound.core.record import Record
from rebound.kernel import linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rebound.children import Children
    from rebound.command import Command
    from rebound.core.activation import Descriptor
    from rebound.core.config import Config
    from rebound.core.events import Event
    from rebound.core.part import Part
    from rebound.core.service import Service
    from rebound.core.watch import MakeWatch
    from rebound.kernel.log import Log
    from rebound.kernel.loop import Loop
    from rebound.kernel.spawn import Starter
    from rebound.kernel.terminal import Terminal
    from rebound.parts.checker import Check
    from rebound.parts.manager import Manager


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


def watches(config: Config) -> list[MakeWatch]:
    """Return what makes the watches over each run."""
    found: list[MakeWatch] = []
    if config.watchdog is not None or config.fd_store:
        from rebound.core.watchdog import Watchdog

        found.append(Watchdog)
    if config.checks_health:
        from rebound.core.health import HealthChecks

        found.append(HealthChecks)
    if config.max_runtime is not None:
        from rebound.core.maxruntime import MaxRuntime

        found.append(lambda config, timers: MaxRuntime(config, timers, linux.chance))
    return found


# --- Before the first start: what the run needs -----------------------------------------


def before_the_first_start(context: Context) -> Iterator[Part]:
    """Make the parts that the first run needs.  Raises `ImportError` and `OSError`."""
    config, loop, log, step = context.config, context.loop, context.log, context.step
    manager = _manager(context) if config.notify else None
    if manager:
        yield manager
    from_store: list[Descriptor] = []
    if config.listen or b"LISTEN_PID" in context.environment:
        yield from _listeners(context, from_store)
    if config.watchdog is not None or config.fd_store:
        yield from _messages(context, manager, from_store)
    if config.checks_health:
        from rebound.parts.checker import Checker

        yield Checker(_check(config, context.starter), context.environment, loop, log, step)
    if config.kill_group:
        from rebound.parts.killgroup import KillGroup

        yield KillGroup(lambda status: context.service.would_restart(status, time.monotonic()))
    if config.in_own_group and context.terminal.exists:
        from rebound.parts.jobcontrol import JobControl

        yield JobControl(context.terminal)


def _check(config: Config, starter: Starter) -> Check:
    if config.health_command:
        from rebound.parts.checker import ShellCheck

        return ShellCheck(config.health_command, starter)
    from rebound import __version__
    from rebound.core import target
    from rebound.kernel.probe import Prober

    if config.health_http:
        where = target.parse_url(config.health_http)
    else:
        where = target.parse_host_port(config.health_tcp)
    return Prober(where, config.health_timeout, f"rebound/{__version__}")


def _manager(context: Context) -> Manager | None:
    from rebound.parts.manager import Manager, keep_alive_interval

    address = context.environment.get(b"NOTIFY_SOCKET")
    if not address:
        return None  # no error, as for sd_notify(3): there is no manager to tell
    keep_alive = keep_alive_interval(context.environment, os.getpid())
    try:
        return Manager(address, context.loop, context.log, keep_alive)
    except OSError as error:
        text = f"no service manager at $NOTIFY_SOCKET: {error.strerror or error}"
        context.log.write("error", "error", text)
        return None


def _listeners(context: Context, from_store: list[Descriptor]) -> Iterator[Part]:
    """Make the part for all sockets; add to `from_store` what our manager has kept for the runs."""
    from rebound.core import activation

    config, pid = context.config, os.getpid()
    if not config.listen and not activation.is_for_us(context.environment, pid):
        return
    from rebound.kernel.sockets import is_listener
    from rebound.parts.listeners import Listeners, take_over

    handed = take_over(activation.names_for_us(context.environment, pid), context.log)
    if config.fd_store:
        from_store += [(name, fd) for name, fd in handed if not is_listener(fd)]
    context.service.holds_descriptors = True
    listeners = [descriptor for descriptor in handed if descriptor not in from_store]
    yield Listeners(config.listen, listeners, context.log)


def _messages(
    context: Context, manager: Manager | None, from_store: Sequence[Descriptor]
) -> Iterator[Part]:
    """Make the parts for what a run sends."""
    from rebound.kernel.closer import Closer
    from rebound.parts.notifysocket import NotifySocket

    config, loop, log = context.config, context.loop, context.log
    closer, store = Closer(loop), None
    if config.fd_store:
        from rebound.kernel import forkexec  # noqa: F401  later there may be no descriptor for it
        from rebound.parts.fdstore import FdStore

        has_store = context.environment.get(b"FDSTORE", b"0") != b"0"
        store = FdStore(config.fd_store, loop, closer, log, manager if has_store else None)
        store.take_back(from_store)
        context.service.holds_descriptors = True
    directory = config.run_directory
    yield NotifySocket(directory, config.watchdog, store, closer, loop, log, context.step)
    if store:
        yield store


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
