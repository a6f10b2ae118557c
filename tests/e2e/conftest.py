"""Fixtures for the tests of real processes."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator

import pytest

_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1  # netdevice(7)


@pytest.fixture(scope="package", autouse=True)
def own_network() -> Iterator[None]:
    """A network namespace of our own, with a loopback device, as long as these tests run.

    A rebound without a run directory listens at an abstract name, where the clients of tests that
    run at the same moment would find it.
    """
    libc = ctypes.CDLL(None)
    before = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if not libc.unshare(_CLONE_NEWNET):  # root may
        _set_up_loopback()
    yield
    libc.setns(before, _CLONE_NEWNET)  # other tests install packages
    os.close(before)


def _set_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack_from("h", request, 16)[0] | _IFF_UP
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags))
