"""Announce itself, then print each signal that arrives as `signal NUMBER CODE VALUE`.

All signals are blocked and taken by sigwaitinfo(2), so none has its default effect.
SIGTERM ends it with the status in the first argument (default 0), or, if that is
`ignore`, does not.
"""

import ctypes
import os
import signal
import sys

libc = ctypes.CDLL(None, use_errno=True)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
everything = (ctypes.c_ulong * 16)(*[ctypes.c_ulong(-1).value] * 16)
info = (ctypes.c_int * 32)()  # siginfo_t: signo, errno, code, -, pid, uid, value (sigaction(2))
how = sys.argv[1] if len(sys.argv) > 1 else "0"

print("ready", os.getpid(), flush=True)
while True:
    signo = libc.sigwaitinfo(everything, info)
    if signo < 0:
        continue
    value = info[6] if info[2] == -1 else "-"
    print("signal", signo, info[2], value, flush=True)
    if signo == signal.SIGTERM and how != "ignore":
        sys.exit(int(how))
