"""The names of run sockets, and the client in a directory that means harm."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import types
from contextlib import suppress

import pytest

from rebound.control import client, finder, runsocket
from rebound.control.runsocket import RunSocket
from rebound.kernel import socketfile


@pytest.fixture(autouse=True)
def in_the_directory(tmp_path, monkeypatch):
    """Relative names: the path of a socket is short."""
    monkeypatch.chdir(tmp_path)


def listen(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    return listener


def leave_stale(path):
    listen(path).close()


# --- Names --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "pid"),
    [
        *(("1.sock", 1), ("4711.sock", 4711), ("1-2.sock", 1), ("17-64.sock", 17)),
        *((name, None) for name in ("", ".sock", "x.sock", "1", "1.socket", ".1.sock", "1~")),
        *((name, None) for name in ("1-.sock", "-1.sock", "1-2-3.sock", "1--2.sock", "1-x.sock")),
        *((name, None) for name in ("01.sock", "0.sock", "+1.sock", " 1.sock", "1_0.sock")),
        *((name, None) for name in ("².sock", "٣.sock", "1" * 250 + ".sock", "\udcff.sock")),
    ],
)
def test_a_pid_is_read_from_names_that_rebound_gives_only(name, pid):
    assert runsocket.pid_in(name) == pid


def test_each_of_one_pid_gets_a_name_of_its_own():
    first, second, third = (RunSocket("run") for _ in range(3))
    pid = os.getpid()
    names = {f"{pid}.sock", f"{pid}-2.sock", f"{pid}-3.sock"}
    assert set(os.listdir("run")) == names
    second.close()
    assert set(os.listdir("run")) == names - {f"{pid}-2.sock"}
    another = RunSocket("run")
    assert set(os.listdir("run")) == names
    for sockets in (first, another, third):
        sockets.close()
    assert os.listdir("run") == []


def test_names_are_not_sought_for_ever(monkeypatch):
    monkeypatch.setattr(runsocket, "_MOST_NAMES", 2)
    living = [RunSocket("run") for _ in range(2)]
    another = RunSocket("run")
    assert another.abstract_name
    assert "in use" in another.no_path
    assert len(os.listdir("run")) == len(living)


def without_hard_links(*_args, **_named):
    raise PermissionError


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_name_that_is_taken_is_not_taken_away(monkeypatch, hard_links):
    if not hard_links:
        monkeypatch.setattr(os, "link", without_hard_links)
    first = RunSocket("run")
    inode = os.stat(f"run/{os.getpid()}.sock").st_ino
    second = RunSocket("run")
    assert os.stat(f"run/{os.getpid()}.sock").st_ino == inode
    assert not socketfile.is_stale(f"run/{os.getpid()}-2.sock")
    first.close()
    second.close()
    assert os.listdir("run") == []


def test_who_takes_the_name_of_a_stale_one_keeps_it(monkeypatch):
    """Another rebound has found the same one stale, and is a moment later to remove it."""
    leave_stale("1.sock")
    look = socketfile.is_stale
    living: list[RunSocket] = []

    def look_and_be_late(path):
        answer = look(path)
        if not living:
            os.unlink("1.sock")
            living.append(listen("1.sock"))
        return answer

    monkeypatch.setattr(socketfile, "is_stale", look_and_be_late)
    assert not socketfile.remove_if_stale("1.sock")
    assert os.listdir() == ["1.sock"]
    assert not look("1.sock")


# --- The client ---------------------------------------------------------------------------


def test_all_silent_ones_together_take_no_longer_than_some(monkeypatch):
    monkeypatch.setattr(client, "_PATIENCE", 0.2)
    monkeypatch.setattr(client, "_PATIENCE_IN_ALL", 0.5)
    os.mkdir("run")
    listeners = [listen(f"run/{pid}.sock") for pid in range(1, 100)]
    text, status = client.show_status("run", None, as_json=False)
    lines = text.splitlines()
    assert (len(lines), status) == (len(listeners), client.NOT_WELL)
    assert "no answer within" in lines[0]
    assert "not asked" in lines[-1]
    assert sum("no answer within" in line for line in lines) <= 3


def test_who_answers_byte_by_byte_is_not_waited_for(monkeypatch):
    clock = itertools.count()
    counted = types.SimpleNamespace(monotonic=lambda: next(clock))
    for module in (client, finder):
        monkeypatch.setattr(module, "time", counted)
    os.mkdir("run")
    listener = listen("run/1.sock")

    def drip():
        listener.accept()[0].close()  # it has looked whether somebody listens
        connection = listener.accept()[0]
        with suppress(OSError):
            while True:
                connection.send(b" ")

    threading.Thread(target=drip, daemon=True).start()
    text, _ = client.show_status("run", None, as_json=False)
    assert "no answer within" in text


def test_a_directory_that_becomes_another_one_is_not_left(monkeypatch):
    """Its owner swaps it for a link to where root, who asks, may remove what he may not."""
    os.mkdir("run")
    os.mkdir("elsewhere")
    leave_stale("run/5.sock")
    leave_stale("elsewhere/5.sock")
    start = os.getcwd()
    look = socketfile.is_socket

    def look_and_swap(path):
        answer = look(path)
        os.rename(f"{start}/run", f"{start}/away")
        os.symlink("elsewhere", f"{start}/run")
        return answer

    monkeypatch.setattr(finder, "is_socket", look_and_swap)
    assert client.show_status("run", None, as_json=False)[1] == client.NONE_FOUND
    assert os.listdir(f"{start}/elsewhere") == ["5.sock"]
    assert os.listdir(f"{start}/away") == []
