"""Count the runs in a file of memory that outlives each of them, in the descriptor store.

keeper.py CLIENT

CLIENT is the way to the store: python3-systemd, libsystemd, systemd-notify.  Each run prints
`got NAME…`, the names of all descriptors that it is given, and `ready RUNS`.
"""

import ctypes
import os
import signal
import subprocess
import sys

NAME = "runs"
STORE = f"FDSTORE=1\nFDNAME={NAME}"
BARRIER_TIMEOUT = 5_000_000
"""Microseconds."""


class Python3Systemd:
    """Debian's python3-systemd."""

    def __init__(self):
        from systemd import daemon

        self._daemon = daemon

    def given(self):
        """The name of each descriptor that was passed to this run."""
        return self._daemon.listen_fds_with_names()

    def store(self, fd):
        assert self._daemon.notify(STORE, fds=[fd])


class Libsystemd:
    """The C library itself."""

    def __init__(self):
        self._library = ctypes.CDLL("libsystemd.so.0")

    def given(self):
        names = ctypes.POINTER(ctypes.c_char_p)()
        count = self._checked("sd_listen_fds_with_names", 1, ctypes.byref(names))
        given = {3 + index: (names[index] or b"").decode() for index in range(count)}
        assert not count or names[count] is None
        return given

    def store(self, fd):
        fds = (ctypes.c_int * 1)(fd)
        assert self._checked("sd_pid_notify_with_fds", 0, 0, STORE.encode(), fds, 1) == 1
        timeout = ctypes.c_uint64(BARRIER_TIMEOUT)
        assert self._checked("sd_notify_barrier", 0, timeout) == 1

    def _checked(self, name, *args):
        result = getattr(self._library, name)(*args)
        if result < 0:
            raise OSError(-result, f"{name}: {os.strerror(-result)}")
        return result


class SystemdNotify:
    """The program, of systemd 254 or newer."""

    def given(self):
        if os.environ.get("LISTEN_PID") != str(os.getpid()):
            return {}
        names = os.environ["LISTEN_FDNAMES"].split(":")
        assert len(names) == int(os.environ["LISTEN_FDS"])
        return dict(enumerate(names, 3))

    def store(self, fd):
        command = ["systemd-notify", f"--fd={fd}", f"--fdname={NAME}", "FDSTORE=1"]
        subprocess.run(command, pass_fds=[fd], check=True)


CLIENTS: dict[str, type[Python3Systemd | Libsystemd | SystemdNotify]] = {
    "python3-systemd": Python3Systemd,
    "libsystemd": Libsystemd,
    "systemd-notify": SystemdNotify,
}


def count(fd):
    """Count one more run in that file; return how many there were."""
    runs = int(os.pread(fd, 20, 0) or b"0") + 1
    os.pwrite(fd, b"%d" % runs, 0)
    return runs


client = CLIENTS[sys.argv[1]]()
given = client.given()
print("got", *given.values(), flush=True)
[fd] = [fd for fd, name in given.items() if name == NAME] or [os.memfd_create(NAME)]
runs = count(fd)
if runs == 1:
    client.store(fd)
print("ready", runs, flush=True)
signal.pause()
