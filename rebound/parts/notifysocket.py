"""The socket to which a run sends its messages, see sd_notify(3)."""

from __future__ import annotations

import _socket
import errno
import os
import sys
import time

from rebound.core import events, notify, watchevents
from rebound.core.part import Part
from rebound.kernel import linux, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rebound.kernel.log import Log
    from rebound.kernel.loop import Loop

_LONGEST = 4096
"""Bytes, as in systemd.  A longer message is dropped."""

_BATCH = 512
"""The most messages that are taken before signals and the command come again: as many as a
socket holds by default (net.unix.max_dgram_qlen)."""

_UCRED_SIZE = 12  # struct ucred: pid, uid, gid (unix(7))

_SUFFIX = b".notify"
_MOST_LEFTOVERS = 100
"""The most names that are tried: the owner of the directory may have filled it."""

_S_IFMT, _S_IFSOCK, _S_IXOTH = 0o170000, 0o140000, 0o001  # inode(7)


class NotifySocket(Part):
    """A new socket for each run, so that a message never counts for another run.

    It has a path in the run directory, because not all clients know abstract names.  Each run
    has another path: what an earlier run left behind still sends to the old one.  If no path
    can be made, the kernel picks a name in the abstract namespace (unix(7)), to which every
    process in our network namespace can send.  The command may be any user, so any user may
    send; the kernel names the process that did (SCM_CREDENTIALS).
    """

    def __init__(
        self,
        directory: str,
        watchdog: float,
        loop: Loop,
        log: Log,
        step: Callable[[events.Event], None],
    ) -> None:
        self._watchdog = watchdog
        self._directory = directory
        self._loop = loop
        self._log = log
        self._step = step
        self._socket: _socket.socket | None = None
        self._path = b""  # empty if the name is abstract
        self._command = 0
        self._told_why_abstract = False

    def prepare(self, environment: dict[bytes, bytes]) -> None:
        """Make the socket for the next run, and put it into the environment.

        Raises `NoProcess`.
        """
        try:
            self._open(environment)
        except Exception as error:
            # EMFILE, ENFILE, ENOMEM; a seccomp profile's EACCES; MemoryError.
            why = getattr(error, "strerror", None) or repr(error)
            number = getattr(error, "errno", None) or errno.ENOMEM
            raise linux.NoProcess(number, f"no NOTIFY_SOCKET: {why}") from None

    def began(self, pid: int) -> None:
        """Take messages of this run from now on."""
        self._command = pid

    def started(self) -> None:
        """Remove the sockets of rebounds that were killed."""
        if self._path:
            _remove_leftovers(os.path.dirname(self._path))

    def gone(self) -> None:
        """Close the run's socket; messages that still wait in it are lost."""
        self.close()

    def close(self) -> None:
        """Close the socket, and remove its path."""
        self._command = 0
        if self._socket:
            self._loop.close_watched(self._socket.detach())
            self._socket = None
        if self._path:
            _remove(self._path)
            self._path = b""

    def _open(self, environment: dict[bytes, bytes]) -> None:
        self.close()
        kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        self._socket = _socket.socket(_socket.AF_UNIX, kind)
        # Set it before the socket has a name, so that no message comes without credentials.
        self._socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
        try:
            address = self._path = _bind_in(self._directory, self._socket)
        except (OSError, ValueError) as error:  # ValueError: the path cannot be encoded
            self._say_why_abstract(error)
            address = _bind_abstract(self._socket)
        self._loop.watch(self._socket.fileno(), self._take_messages)
        environment[b"NOTIFY_SOCKET"] = address
        environment[b"WATCHDOG_USEC"] = b"%d" % round(self._watchdog * 1e6)
        environment.pop(b"WATCHDOG_PID", None)  # if set, it means rebound

    def _say_why_abstract(self, error: Exception) -> None:
        if self._told_why_abstract:
            return
        self._told_why_abstract = True
        text = f"NOTIFY_SOCKET has no path: {getattr(error, 'strerror', None) or error}"
        self._log.write("debug", "no_notify_path", text)

    def _take_messages(self) -> None:
        strangers = 0
        for _ in range(_BATCH):
            if not self._socket or not self._command:
                return
            try:
                # There is room only for the credentials, so the kernel closes descriptors
                # that come along instead of installing them (unix(7), SCM_RIGHTS).
                data, ancillary, flags, _sender = self._socket.recvmsg(
                    _LONGEST, _socket.CMSG_SPACE(_UCRED_SIZE)
                )
            except OSError:  # EAGAIN: no message is left; ENOMEM
                break
            if not self._is_vouched_for(ancillary):
                strangers += 1
            elif not flags & _socket.MSG_TRUNC:
                self._step(watchevents.Notified(notify.parse(data)))
        if strangers and self._command:
            self._step(watchevents.NotifiedByStrangers(strangers))

    def _is_vouched_for(self, ancillary: list[tuple[int, int, bytes]]) -> bool:
        """Return whether the sender, as the kernel names it, may speak for the command.

        A sender outside our PID namespace and those below it has pid 0 here
        (pid_namespaces(7)): it may be in another container of the same pod.  A sender may have
        ended already, as systemd-notify(1) does at once.
        """
        for level, kind, value in ancillary:
            if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_CREDENTIALS):
                pid, uid = (int.from_bytes(value[at : at + 4], sys.byteorder) for at in (0, 4))
                ours = processes.is_root_or_us(uid) or pid == self._command
                return bool(pid) and (ours or processes.runs_as(self._command, uid))
        return False


def _bind_abstract(socket: _socket.socket) -> bytes:
    socket.bind("")
    name: bytes = socket.getsockname()
    return b"@" + name[1:]


def _bind_in(directory: str, socket: _socket.socket) -> bytes:
    """Bind the socket to a new path, to which every user may send; return the path.

    Raises `OSError`: EACCES, EROFS, ENOSPC; without an errno for a path that is too long
    (108 bytes with the NUL, unix(7)).
    """
    if not directory:
        raise OSError("no run directory")
    # Absolute, as sd_notify(3) wants it, and without a link that leads through other directories.
    real = os.path.realpath(os.fsencode(directory))
    # An earlier rebound whose daemons live on may have had our pid, but not at this time.
    name = b"%d-%x%s" % (os.getpid(), time.monotonic_ns(), _SUFFIX)
    path, unfinished = os.path.join(real, name), os.path.join(real, b"." + name)
    mask = os.umask(0o022)  # we have one thread: no other one sees it
    try:
        if not os.path.isdir(real):
            linux.make_directory(real)
        # If we are root, the command may become another user, and only the command knows
        # which one.  A sender needs search permission on the whole path.
        if os.geteuid() == 0 and not _is_open_to_all(real):
            raise OSError(f"another user than root could not reach {directory}")
        os.umask(0o111)  # a sender needs write permission: rw-rw-rw- from the beginning
        socket.bind(unfinished)
    finally:
        os.umask(mask)
    try:
        # bind(2) makes the file before the socket answers there.  Under the final name, which
        # `remove_leftovers` looks for, it always answers.
        os.rename(unfinished, path)
    except OSError:  # ENOSPC, EIO: the first name works as well
        return unfinished
    return path


def _is_open_to_all(directory: bytes) -> bool:
    """Return whether every user may search this absolute directory and those above it."""
    while os.stat(directory).st_mode & _S_IXOTH:
        above = os.path.dirname(directory)
        if above == directory:
            return True
        directory = above
    return False


def _is_name(name: bytes) -> bool:
    pid, hyphen, made_at = name.removesuffix(_SUFFIX).partition(b"-")
    return name.endswith(_SUFFIX) and bool(hyphen) and pid.isdigit() and made_at.isalnum()


def _is_left_over(path: bytes, probe: _socket.socket) -> bool:
    """Return whether nobody uses the socket at this path any more."""
    try:
        if os.lstat(path).st_mode & _S_IFMT != _S_IFSOCK:
            return False
        probe.connect(path)
    except ConnectionRefusedError:
        return True
    except OSError:  # ENOENT: removed meanwhile; EACCES, EPROTOTYPE
        pass
    return False


def _remove(path: bytes) -> None:
    try:
        os.unlink(path)
    except OSError:  # ENOENT; EROFS, EACCES: it stays, but does no harm
        pass


def _remove_leftovers(directory: bytes) -> None:
    try:
        names = [name for name in os.listdir(directory) if _is_name(name)]
        probe = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    except OSError:  # EMFILE, ENFILE, ENOMEM; EACCES
        return
    for name in names[:_MOST_LEFTOVERS]:
        path = os.path.join(directory, name)
        if _is_left_over(path, probe):
            _remove(path)
    linux.close(probe.detach())
