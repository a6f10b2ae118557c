"""Closing what others have sent: nothing waits for it."""

from __future__ import annotations

import _thread
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from rebound.kernel import closer as module
from rebound.kernel import libc, linux
from rebound.kernel.closer import Closer
from tests.helpers import eventually
from tests.unit.turns import Turns


class Closing:
    """A closer, with some descriptors that block."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.turns = Turns()
        self.closer = Closer(self.turns.as_loop)
        self.open = threading.Event()
        self.reached = threading.Event()
        self.blocking: set[int] = set()
        close = linux.close

        def close_or_block(fd: int) -> None:
            if fd in self.blocking:
                self.reached.set()
                self.open.wait()
            close(fd)

        monkeypatch.setattr(linux, "close", close_or_block)

    def block(self) -> int:
        """Return one that blocks."""
        fd = os.eventfd(0)
        self.blocking.add(fd)
        return fd


def is_closed(*fds: int) -> bool:
    return eventually(lambda: not any(os.path.lexists(f"/proc/self/fd/{fd}") for fd in fds))


def is_alone() -> bool:
    return eventually(lambda: len(os.listdir("/proc/self/task")) == 1)


def some(count: int) -> list[int]:
    return [os.eventfd(0) for _ in range(count)]


def test_all_are_closed_and_no_thread_is_left(monkeypatch):
    closing, fds = Closing(monkeypatch), some(600)
    for at in range(0, 600, 60):
        closing.closer.close(fds[at : at + 60])
    assert is_closed(*fds)
    assert is_alone()
    assert not closing.closer.is_behind


def test_those_that_block_hold_up_no_others(monkeypatch):
    """Neither what came before nor what comes later."""
    closing, fds = Closing(monkeypatch), some(20)
    slow = [closing.block() for _ in range(7)]
    closing.closer.close([*fds[:10], *slow])
    assert is_closed(*fds[:10])
    closing.closer.close(fds[10:])
    assert is_closed(*fds[10:])
    closing.open.set()
    assert is_closed(*slow)
    assert is_alone()


def test_who_waits_is_called_when_few_are_left(monkeypatch):
    closing = Closing(monkeypatch)
    slow = [closing.block() for _ in range(200)]
    closing.closer.close(slow)
    assert closing.closer.is_behind
    called: list[int] = []
    assert closing.closer.wait(lambda: called.append(1))
    closing.turns.turn()
    assert not called
    closing.open.set()
    eventually(lambda: closing.turns.turn() or called)
    assert called == [1]
    assert closing.turns.watched == {}
    assert is_closed(*slow)


def test_who_waits_is_called_although_another_one_blocks(monkeypatch):
    """Else the loop would be woken for it again and again."""
    closing = Closing(monkeypatch)
    closing.closer.close([closing.block()])
    called: list[int] = []
    assert closing.closer.wait(lambda: called.append(1))
    closing.turns.turn()
    assert called == [1]
    assert closing.turns.ready() == []
    closing.open.set()
    assert is_alone()


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
def test_without_threads_they_are_closed_here(monkeypatch, error):
    closing, fds = Closing(monkeypatch), some(20)

    def refuse(*_args):
        raise error

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    closing.closer.close(fds)
    assert not any(os.path.lexists(f"/proc/self/fd/{fd}") for fd in fds)


def test_signals_stay_blocked(monkeypatch):
    """Also those two that the C library lets through to start a thread."""
    linux.block_signals()
    libc.set_signal_mask(2**64 - 1)
    blocked = masks()
    closing = Closing(monkeypatch)
    slow = closing.block()
    closing.closer.close([slow])
    closing.reached.wait()
    assert masks() == blocked
    os.kill(os.getpid(), 32)
    os.kill(os.getpid(), signal.SIGTERM)
    closing.open.set()
    assert is_alone()


def masks() -> set[str]:
    tasks = Path("/proc/self/task").iterdir()
    return {(task / "status").read_text().partition("SigBlk:")[2].split()[0] for task in tasks}


def linger(fd: int) -> bytes:
    with socket.socket(fileno=os.dup(fd)) as known:
        return known.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)


def test_lingering_is_stopped_and_a_reset_stays_one():
    seconds, reset, off = (
        bytes([on, 0, 0, 0, time, 0, 0, 0]) for on, time in ((1, 9), (1, 0), (0, 9))
    )
    for setting, expected in ((seconds, 0), (reset, 1), (off, 0)):
        with socket.socket() as known:
            known.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, setting)
            module.stop_lingering([known.fileno()])
            assert linger(known.fileno())[0] == expected
    module.stop_lingering([os.memfd_create("x"), 12345])


def test_whoever_has_threads_close_keeps_its_signals(monkeypatch):
    """The library's caller, say, or a test beside others."""
    libc.set_signal_mask(1 << 9)
    closing = Closing(monkeypatch)
    closing.closer.close(os.pipe())
    assert libc.signal_mask() == 1 << 9
    assert is_alone()
