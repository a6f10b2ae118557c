"""least.py COMMAND [ARGS…] - the least that a supervisor like rebound takes in Python.

The same system calls in one loop, and nothing else: no decisions, no log, no drain, nothing
for any call that fails.  What this takes longer than a peer in C is the price of Python itself,
of epoll and of the signalfd; what rebound takes longer than this is its own.
"""

import _signal
import ctypes
import os
import select
import sys

PR_SET_CHILD_SUBREAPER = 36
NONBLOCK_CLOEXEC = 0o2004000
SIZE = 128  # struct signalfd_siginfo, which begins with the number of the signal

libc = ctypes.CDLL(None)
command, environment = sys.argv[1:], dict(os.environb)
everything = _signal.valid_signals()


def spawn():
    """Start the command, watched by the epoll."""
    pid = os.posix_spawnp(command[0], command, environment, setsigmask=(), setsigdef=everything)
    pidfd = os.pidfd_open(pid)
    epoll.register(pidfd, select.EPOLLIN)
    return pid, pidfd


def go_on():
    """Start the command again, unless it was told to stop."""
    if stopping:
        os._exit(0)
    os.close(pidfd)
    return spawn()


_signal.pthread_sigmask(_signal.SIG_BLOCK, everything)
libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
signalfd = libc.signalfd(-1, (ctypes.c_ulong * 2)(2**64 - 1), NONBLOCK_CLOEXEC)
buffer = bytearray(32 * SIZE)
epoll = select.epoll()
epoll.register(signalfd, select.EPOLLIN)
stopping = False
pid, pidfd = spawn()
while True:
    ready = [fd for fd, _ in epoll.poll(None, 8)]
    some_ended: int = False
    for at in range(0, os.readv(signalfd, [buffer]) if signalfd in ready else 0, SIZE):
        if buffer[at] == _signal.SIGCHLD:
            some_ended = True
        else:
            stopping |= buffer[at] == _signal.SIGTERM
            os.kill(pid, buffer[at])
    if pidfd in ready:
        os.wait4(pid, os.WNOHANG)
        pid, pidfd = go_on()
    while some_ended:
        some_ended, *_ = os.wait4(-1, os.WNOHANG)
        if some_ended == pid:
            pid, pidfd = go_on()
