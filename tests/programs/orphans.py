"""Make as many orphans as the argument says; at the end of the input they all die at once."""

import os
import signal
import sys

reading, writing = os.pipe()
for _ in range(int(sys.argv[1])):
    if not os.fork():
        if not os.fork():
            os.close(writing)
            os.read(reading, 1)
        os._exit(0)
    os.wait()
print("ready", os.getpid(), flush=True)
sys.stdin.read()
os.close(writing)
signal.pause()
