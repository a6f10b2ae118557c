"""The queue of a socket that listens: how many connections wait in it."""

from __future__ import annotations

import _socket
import os
import sys

_NETLINK_SOCK_DIAG = 4  # sock_diag(7)
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_UDIAG_SHOW_RQLEN = 16
_UNIX_DIAG_RQLEN = 4
_HEADER, _UNIX_MESSAGE = 16, 16  # struct nlmsghdr, struct unix_diag_msg

_TCP_LISTEN = 10
_TCP_INFO_UNACKED = 24
"""Where struct tcp_info has the length of the queue (tcp_get_info in the kernel's tcp.c)."""


def waiting(fd: int) -> int | None:
    """Return how many connections wait to be accepted; None if that cannot be had.

    It may be the descriptor of anything.
    """
    try:
        socket = _socket.socket(fileno=fd)
    except OSError:  # ENOTSOCK
        return None
    try:
        if not socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN):
            return None
        if socket.family == _socket.AF_UNIX:
            return _unix_queue(os.fstat(fd).st_ino)
        info = socket.getsockopt(_socket.IPPROTO_TCP, _socket.TCP_INFO, _TCP_INFO_UNACKED + 4)
    except OSError:  # no TCP; a seccomp profile; no descriptor for asking
        return None
    finally:
        socket.detach()
    # gVisor's struct is shorter.
    if len(info) < _TCP_INFO_UNACKED + 4 or info[0] != _TCP_LISTEN:
        return None
    return _number(info, _TCP_INFO_UNACKED)


def _unix_queue(inode: int) -> int | None:
    """Ask sock_diag(7).  Raises `OSError`."""
    request = b"".join(
        number.to_bytes(size, sys.byteorder)
        for number, size in (
            *((_HEADER + 24, 4), (_SOCK_DIAG_BY_FAMILY, 2), (_NLM_F_REQUEST, 2), (0, 4), (0, 4)),
            # struct unix_diag_req: family, protocol, padding, states, inode, what, cookie
            *((_socket.AF_UNIX, 1), (0, 1), (0, 2), (0xFFFFFFFF, 4), (inode, 4)),
            *((_UDIAG_SHOW_RQLEN, 4), (0xFFFFFFFFFFFFFFFF, 8)),
        )
    )
    kind = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
    netlink = _socket.socket(_socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG)
    try:
        netlink.send(request)
        answer = netlink.recv(4096)  # the kernel has answered within the send
    finally:
        netlink.close()
    if int.from_bytes(answer[4:6], sys.byteorder) != _SOCK_DIAG_BY_FAMILY:
        return None  # NLMSG_ERROR
    at = _HEADER + _UNIX_MESSAGE
    while at + 8 <= len(answer):
        size, attribute = (
            int.from_bytes(answer[place : place + 2], sys.byteorder) for place in (at, at + 2)
        )
        if attribute == _UNIX_DIAG_RQLEN:
            return _number(answer, at + 4)
        at += max(size + 3 & ~3, 4)
    return None


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], sys.byteorder)
