"""Execute a command with exactly these environment entries, whatever they are.

exec_with.py ENTRY… -- COMMAND…
"""

import ctypes
import os
import sys

split = sys.argv.index("--")


def array(words):
    return (ctypes.c_char_p * (len(words) + 1))(*map(os.fsencode, words), None)


execvpe = ctypes.CDLL(None, use_errno=True).execvpe
execvpe(os.fsencode(sys.argv[split + 1]), array(sys.argv[split + 1 :]), array(sys.argv[1:split]))
os._exit(ctypes.get_errno())
