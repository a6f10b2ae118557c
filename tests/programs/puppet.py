"""A command that does what it is told.

    puppet.py DIRECTORY

Orders come as lines through the FIFO DIRECTORY/orders, what happens goes to stdout:

    exit STATUS     exit
    kill SIGNAL     die of it
    orphan KIND     leave a daemon behind; says `orphan PID KIND`
    notify MESSAGE  send it to $NOTIFY_SOCKET
    accept COUNT    accept so many connections at the socket handed over, send each a byte
    store NAME      have rebound keep a file in memory of that name
    pipe NAME       have it keep the writing end of a pipe
    hang-up WORD    close the reading ends of all pipes
    remove NAME     have it drop what has that name
    say WORD        say `said WORD`
    take MEGABYTES  take so much memory, and keep it

Each signal but a few is said as `signal NUMBER VALUE`; TERM and INT end it with status 0.  The
daemons: `obedient` ends on TERM, `stubborn` only on KILL, `brief` at once, `parent` has a
child that outlives it.
"""

import ctypes
import os
import signal
import socket
import sys
import threading

EVERYTHING = signal.valid_signals()
ENDING = {signal.SIGTERM, signal.SIGINT}
libc = ctypes.CDLL(None)


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def listen():
    mask = (ctypes.c_ulong * 16)(*[ctypes.c_ulong(-1).value] * 16)
    info = (ctypes.c_int * 32)()  # siginfo_t: signo, errno, code, -, pid, uid, value
    while True:
        signo = libc.sigwaitinfo(mask, info)
        if signo in ENDING:
            os._exit(0)
        if signo > 0 and signo not in {signal.SIGCHLD, signal.SIGCONT}:
            say("signal", signo, info[6] if info[2] == -1 else "-")


def live(kind):
    if kind == "parent" and not os.fork():
        say("orphan", os.getpid(), "child")
        signal.sigwait(ENDING)
        os._exit(0)
    say("orphan", os.getpid(), kind)
    if kind == "brief":
        os._exit(3)
    while True:
        if signal.sigwait(EVERYTHING) in ENDING and kind != "stubborn":
            os._exit(0)


def orphan(kind):
    if not os.fork():
        hang_up(None)  # else the pipes stay with the daemon
        os.setsid()
        if not os.fork():
            live(kind)
        os._exit(0)
    os.wait()


def notify(message):
    if "NOTIFY_SOCKET" in os.environ:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            try:
                sender.sendto(message.encode(), os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
            except BlockingIOError:
                pass


def send(message, *fds):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
        socket.send_fds(sender, [message.encode()], fds)


def accept(count):
    listener = socket.socket(fileno=os.dup(3))
    for _ in range(int(count)):
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"!")


def store(name):
    fd = os.memfd_create(name)
    send(f"FDSTORE=1\nFDNAME={name}", fd)
    os.close(fd)


def store_pipe(name):
    reader, writer = os.pipe()
    readers.append(reader)
    send(f"FDSTORE=1\nFDNAME={name}", writer)
    os.close(writer)


def hang_up(_):
    while readers:
        os.close(readers.pop())


def take(megabytes):
    memory = bytearray(int(megabytes) << 20)
    memory[::4096] = b"x" * (len(memory) >> 12)
    taken.append(memory)


readers: list[int] = []
taken: list[bytearray] = []


def die(name):
    signo = getattr(signal, name)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signo})
    os.kill(os.getpid(), signo)


signal.pthread_sigmask(signal.SIG_BLOCK, EVERYTHING)
# Opened for writing, too, so that it never ends.
with open(os.open(os.path.join(sys.argv[1], "orders"), os.O_RDWR), "rb", buffering=0) as orders:
    threading.Thread(target=listen, daemon=True).start()
    names = os.environ.get("LISTEN_FDNAMES", "-")
    say("ready", os.getpid(), os.environ["REBOUND_RESTARTS"], names)
    line = b""
    while True:
        line += orders.read(1)
        if line.endswith(b"\n"):
            order, _, word = line.decode().strip().partition(" ")
            line = b""
            {
                "exit": lambda word: os._exit(int(word)),
                "kill": die,
                "orphan": orphan,
                "notify": notify,
                "accept": accept,
                "store": store,
                "pipe": store_pipe,
                "hang-up": hang_up,
                "remove": lambda name: send(f"FDSTOREREMOVE=1\nFDNAME={name}"),
                "say": lambda word: say("said", word),
                "take": take,
            }[order](word)
