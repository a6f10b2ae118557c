"""Start a daemon as daemon(3) does, wait until it is ready, then do as told.

    daemon.py DIRECTORY [--ignore SIGNAL…] [--child] -- exec COMMAND… | exit STATUS

The daemon writes its pid to DIRECTORY/pid, and the number of each signal that it gets as a
line to DIRECTORY/signals; TERM, INT and QUIT end it unless ignored.  With --child it first
starts a child that only TERM ends and that writes its pid to DIRECTORY/child; it does not
stop that child, as a careless daemon.
"""

import os
import signal
import sys
from contextlib import suppress

directory, *words = sys.argv[1:]
split = words.index("--")
options, (action, *rest) = words[:split], words[split + 1 :]
ignored = {getattr(signal, name) for name in options if name.startswith("SIG")}


def write(name: str, text: str) -> None:
    with open(os.path.join(directory, name + ".new"), "w") as file:
        file.write(text)
    os.rename(file.name, os.path.join(directory, name))


def daemon(ready: int) -> None:
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    if "--child" in options and not os.fork():
        write("child", str(os.getpid()))
        signal.sigwait({signal.SIGTERM})
        os._exit(0)
    write("pid", str(os.getpid()))
    with suppress(BrokenPipeError):  # whoever has started us was killed
        os.write(ready, b"r")
    os.close(ready)
    while True:
        signo = signal.sigwait(signal.valid_signals() - {signal.SIGCHLD, signal.SIGCONT})
        with open(os.path.join(directory, "signals"), "a") as file:
            file.write(f"{signo}\n")
        if signo in {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT} - ignored:
            os._exit(0)


reading, writing = os.pipe()
if not (pid := os.fork()):
    os.close(reading)
    daemon(writing)
os.close(writing)
os.waitpid(pid, 0)
os.read(reading, 1)
if action == "exit":
    sys.exit(int(rest[0]))
os.execvp(rest[0], rest)
