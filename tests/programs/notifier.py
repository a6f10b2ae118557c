"""Do as told, one word after the other.

notifier.py WORD…

NAME=VALUE      send this message to $NOTIFY_SOCKET
announce        print `ready PID`, and what rebound tells a run in its environment
print:TEXT      print it
sleep:SECONDS   sleep
await:PATH      wait until this file is there
keep:SECONDS    send WATCHDOG=1 every SECONDS, for ever
ignore:SIGNAL   ignore it
busy, asleep    hang in this way
exit:STATUS     exit
first[, …, ]    do what is between the brackets only in the first run
"""

import os
import signal
import socket
import sys
import time

TOLD = ("REBOUND_RESTARTS", "REBOUND_LAST_EXIT", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


def send(message):
    address = os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(message.encode(), address)


def say(*words):
    print(*words, flush=True)


def announce(_):
    say("ready", os.getpid(), *(f"{name}={os.environ.get(name)}" for name in TOLD))


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.01)


def keep(seconds):
    while True:
        send("WATCHDOG=1")
        time.sleep(float(seconds))


def busy(_):
    while True:
        pass


def asleep(_):
    while True:
        time.sleep(1000)


def ignore(name):
    signal.signal(getattr(signal, name), signal.SIG_IGN)


DO = {
    "announce": announce,
    "print": say,
    "sleep": lambda seconds: time.sleep(float(seconds)),
    "await": wait_for,
    "keep": keep,
    "busy": busy,
    "asleep": asleep,
    "ignore": ignore,
    "exit": lambda status: sys.exit(int(status)),
}

first = os.environ.get("REBOUND_RESTARTS") == "0"
doing = True
for word in sys.argv[1:]:
    if word == "first[":
        doing = first
    elif word == "]":
        doing = True
    elif doing:
        name, _, value = word.partition(":")
        DO[name](value) if name in DO else send(word)
