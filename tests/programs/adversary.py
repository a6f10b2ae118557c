"""Do harm, as the first word says.  Announces itself as `ready PID` in each run."""

import contextlib
import ctypes
import os
import signal
import socket
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
TRACEME, SEIZE = 0, 0x4206
PR_SET_PTRACER = 0x59616D61

first = os.environ["REBOUND_RESTARTS"] == "0"


def announce():
    print("ready", os.getpid(), flush=True)


def wait():
    while True:
        time.sleep(1000)


def bomb(chains, *ignored):
    """Orphans that fork and end, so that their child is the next orphan, for ever."""
    for name in ignored:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    for _ in range(int(chains)):
        if not os.fork():
            while True:
                try:
                    if os.fork():
                        os._exit(0)
                except OSError:
                    os.sched_yield()
    announce()
    wait()


def fill():
    """Take all pids that may be had, for children that wait for the end of the input."""
    while True:
        try:
            if not os.fork():
                sys.stdin.read()
                os._exit(0)
        except OSError:
            break
    announce()
    wait()


def stop():
    announce()
    os.kill(os.getpid(), signal.SIGSTOP)
    wait()


def kill(target, name):
    """With a child, so that there is somebody to be hit."""
    if not os.fork():
        wait()
    announce()
    if first:
        os.kill(int(target), getattr(signal, name))
    wait()


def trace_me(*words):
    libc.ptrace(TRACEME, 0, None, None)
    if words:
        os.execvp(words[0], words)
    announce()
    wait()


def trace_parent():
    """Seize rebound, and end without a word."""
    seized = libc.ptrace(SEIZE, os.getppid(), None, None) if first else 0
    print("ready", os.getpid(), seized, flush=True)
    if first:
        os._exit(9)
    wait()


def traced():
    """Be traced by a child, which waits for nobody, and crash."""
    if first:
        libc.prctl(PR_SET_PTRACER, -1, 0, 0, 0)
        if not os.fork():
            print("tracer", os.getpid(), libc.ptrace(SEIZE, os.getppid(), None, None), flush=True)
            wait()
        while not os.path.exists("go"):
            time.sleep(0.01)
        os._exit(9)
    announce()
    wait()


def close():
    announce()
    os.closerange(0, 4096)
    if first:
        os._exit(9)
    wait()


def deaf():
    for signo in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(signo, signal.SIG_IGN)
    announce()
    wait()


def blocked():
    """Takes no signal but SIGTERM."""
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals() - {signal.SIGTERM})
    announce()
    wait()


def leave(how):
    """Take a session of its own, a group of its own, or rebound's group."""
    if how == "session":
        os.setsid()
    else:
        os.setpgid(0, 0 if how == "group" else os.getpgid(os.getppid()))
    announce()
    wait()


def daemon(status):
    """Go to the background; rebound's child ends."""
    reading, writing = os.pipe()
    if os.fork():
        os.read(reading, 1)
        os._exit(int(status) if first else 0)
    os.setsid()
    announce()
    os.write(writing, b"!")
    wait()


def garble(directory):
    """Write what nobody understands to each socket of rebound's."""
    address = os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1)
    messages = [b"", b"\0" * 4096, b"=" * 4000, b"READY", b"\xff\n\xfe=\xff\n", os.urandom(4096)]
    huge = [b"WATCHDOG_USEC=" + b"9" * 4000, b"EXTEND_TIMEOUT_USEC=" + b"9" * 400]
    odd = [b"WATCHDOG_USEC=-1", b"WATCHDOG_USEC=\xd9\xa3", b"STATUS=\x1b[2J\nSTATUS=\xff\0"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        for message in [*messages, *huge, *odd, *(os.urandom(64) for _ in range(2000))]:
            sender.sendto(message, address)
        sender.connect(address)
        socket.send_fds(sender, [b"READY=0"], [0] * 200)
    path = f"{directory}/{os.getppid()}.sock"
    clients = [socket.socket(socket.AF_UNIX) for _ in range(60)]
    for number, client in enumerate(clients):
        client.connect(path)
        with contextlib.suppress(OSError):  # it has heard enough
            client.sendall([b"", b"\xff" * 40, b"\0\n", b"status\0\n", os.urandom(64)][number % 5])
    announce()
    wait()


globals()[sys.argv[1]](*sys.argv[2:])
