"""The control plane of a database: start it unless it runs, announce itself, and wait.

    control_plane.py PG_CTL…    how to call pg_ctl, with its options, without the action

SIGTERM ends it with status 0, and leaves the database alone; SIGUSR1 makes it fail.
"""

import os
import signal
import subprocess
import sys

NOT_RUNNING = 3  # pg_ctl(1)

pg_ctl = sys.argv[1:]
if subprocess.call([*pg_ctl, "status"], stdout=subprocess.DEVNULL) == NOT_RUNNING:
    subprocess.check_call([*pg_ctl, "start", "-w", "-s"])
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
print("ready", os.getpid(), flush=True)
sys.exit(0 if signal.sigwait({signal.SIGTERM, signal.SIGUSR1}) == signal.SIGTERM else 1)
