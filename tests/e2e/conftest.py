"""Fixtures for the tests of real processes."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct

import pytest

_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1  # netdevice(7)


@pytest.fixture(scope="session", autouse=True)
def own_network() -> None:
    """A network namespace of our own, with a loopback device.

    A rebound without a run directory listens at an abstract name, where the clients of tests that
    run at the same moment would find it.
    """
    if ctypes.CDLL(None).unshare(_CLONE_NEWNET):
        return  # not root
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack_from("h", request, 16)[0] | _IFF_UP
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags))
