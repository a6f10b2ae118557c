"""Store descriptors in the first run, and crash; in the next one say `ready`, and do so again.

hoarder.py

One is stored twice, one hangs up, one is removed, one comes without being asked for.
"""

import os
import socket
import time


def send(message, *fds):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
        socket.send_fds(sender, [message.encode()], fds)


memory = os.memfd_create("memory")
reader, writer = os.pipe()
send("FDSTORE=1\nFDNAME=memory", memory, memory)
send("FDSTORE=1\nFDNAME=removed", os.eventfd(0))
send("FDSTOREREMOVE=1\nFDNAME=removed")
send("FDSTORE=1\nFDNAME=pipe", writer)
os.close(reader)
send("READY=1", memory)
if os.environ["REBOUND_RESTARTS"] == "0":
    time.sleep(0.1)
    os._exit(9)
print("ready", os.environ.get("LISTEN_FDNAMES"), flush=True)
while True:
    time.sleep(1000)
