"""A command that says which descriptors it was handed, and does what it is told.

    storer.py FIFO

Each run says `ready JSON`, with its pid, the names, and what rebound tells it in its environment.
Orders come through the FIFO, each a line of JSON: a number, and Python to be carried out here.
After it the program says `done NUMBER JSON`, with the value if it was an expression.
"""

import array
import json
import os
import select
import signal
import socket
import struct
import subprocess  # noqa: F401  for orders
import sys
import time  # noqa: F401

FIRST = 3
TOLD = (
    "LISTEN_PID",
    "LISTEN_FDS",
    "FDSTORE",
    "WATCHDOG_USEC",
    "NOTIFY_SOCKET",
    "REBOUND_LAST_EXIT",
)


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def send(message, *fds, credentials=None):
    """Send a message with descriptors to rebound."""
    ancillary: list[tuple[int, int, bytes | array.array[int]]] = []
    if fds:
        ancillary.append((socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds)))
    if credentials:
        claim = struct.pack("3i", *credentials)
        ancillary.append((socket.SOL_SOCKET, socket.SCM_CREDENTIALS, claim))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        address = os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1)
        sender.sendmsg([message.encode()], ancillary, 0, address)


def barrier():
    """Wait until rebound has taken all that was sent so far, as sd_notify_barrier(3) does."""
    reader, writer = os.pipe()
    send("BARRIER=1", writer)
    os.close(writer)
    poll = select.poll()
    poll.register(reader, 0)
    poll.poll()
    os.close(reader)


def store(*fds, name=None, more=""):
    """Have rebound keep these, and wait until it does."""
    named = "" if name is None else f"\nFDNAME={name}"
    send(f"FDSTORE=1{named}{more}", *fds)
    barrier()


def memory(text):
    """Make a file that only memory holds."""
    fd = os.memfd_create("memory")
    os.write(fd, text.encode())
    return fd


def read(fd):
    """Return what is in it, from the beginning."""
    return os.pread(fd, 1000, 0).decode()


def read_all(fd):
    """Return how many bytes come until the end."""
    total = 0
    while data := os.read(fd, 65536):
        total += len(data)
    return total


def closed(fds):
    """Close these."""
    for fd in fds:
        os.close(fd)


def child(work):
    """Do it in a child, and wait for that."""
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def names():
    """The names of what was handed over."""
    text = os.environ.get("LISTEN_FDNAMES")
    return [] if text is None else text.split(":")


def handed(name):
    """The descriptors of that name."""
    return [FIRST + place for place, found in enumerate(names()) if found == name]


def on_term(word):
    """Only say a word at SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: say(word))


def orders(fifo):
    """Read line by line: what is not read is for the next run."""
    line = b""
    while True:
        line += os.read(fifo, 1)
        if line.endswith(b"\n"):
            yield json.loads(line)
            line = b""


kept: list[object] = []  # what is not to be closed

if __name__ == "__main__":
    # Opened for writing, too, so that it never ends.  Out of the way of what was handed over.
    fifo = os.open(sys.argv[1], os.O_RDWR | os.O_CLOEXEC)
    about = {name: os.environ.get(name) for name in TOLD}
    say("ready", json.dumps({"pid": os.getpid(), "names": names(), **about}))
    for number, code in orders(fifo):
        value = None
        try:
            value = eval(code)
        except SyntaxError:
            exec(code)
        say("done", number, json.dumps(value))
