"""A server that is handed its sockets: says what it got, and answers with its pid.

activated.py [WORD…]        keep: SIGTERM closes its sockets, and it lives on
                            nonblocking: it sets O_NONBLOCK
                            orphan: it leaves a daemon behind
                            worker: it leaves a process behind that accepts, too
"""

import fcntl
import json
import os
import select
import signal
import socket
import sys
import time


def describe(fd):
    try:
        one = socket.socket(fileno=os.dup(fd))
        kind, name = one.type.name, one.getsockname()
        one.close()
    except OSError:
        kind, name = "", None
    return {
        "kind": kind,
        "where": name.decode("latin-1") if isinstance(name, bytes) else name,
        "blocking": os.get_blocking(fd),
        "inherited": not fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC,
    }


count = int(os.environ.get("LISTEN_FDS", "0"))
told = {name: value for name, value in os.environ.items() if name.startswith("LISTEN_")}
seen = {
    "pid": os.getpid(),
    "for_me": os.environ.get("LISTEN_PID") == str(os.getpid()),
    "told": told,
    "fds": [describe(fd) for fd in range(3, 3 + count)],
    "open": sorted(
        fd for fd in map(int, os.listdir("/proc/self/fd")) if os.path.lexists(f"/proc/self/fd/{fd}")
    ),
}
words = sys.argv[1:]
if "nonblocking" in words:
    os.set_blocking(3, False)
if "orphan" in words and os.fork() == 0:
    os.closerange(3, 3 + count)
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    print("orphan", os.getpid(), flush=True)
    while True:
        time.sleep(1000)
if "worker" in words and os.fork() == 0:
    # It lives on when its parent has crashed, and accepts as an event loop does.
    os.set_blocking(3, False)
    ended: list[bool] = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    print("worker", os.getpid(), flush=True)
    with socket.socket(fileno=3) as listener:
        while not ended:
            if select.select([listener], [], [], 0.05)[0]:
                try:
                    listener.accept()[0].close()
                except BlockingIOError:
                    pass
    os._exit(0)
listeners = [socket.socket(fileno=fd) for fd in range(3, 3 + count)]


def close(_signo, _frame):
    for listener in listeners:
        listener.close()
    print("closed", flush=True)
    while True:
        signal.pause()


if "keep" in words:
    signal.signal(signal.SIGTERM, close)
print("ready", json.dumps(seen), flush=True)
if not listeners:
    signal.pause()
listener = listeners[0]
while True:
    select.select([listener], [], [])  # another run may have set O_NONBLOCK
    if listener.type == socket.SOCK_DGRAM:
        data, peer = listener.recvfrom(100)
        listener.sendto(b"%d" % os.getpid(), peer)
        continue
    connection, _ = listener.accept()
    with connection:
        if connection.recv(100) == b"crash":
            os.kill(os.getpid(), signal.SIGKILL)
        connection.send(b"%d" % os.getpid())
