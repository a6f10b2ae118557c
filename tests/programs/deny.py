"""Run a command under a seccomp filter that refuses system calls, as container profiles do.

    deny.py CALL[/ARGUMENT=VALUE][/ARGUMENT&BITS]:ERRNO… -- COMMAND…

Each call is answered with the error, for the command and all below it, and for good; or only that
whose argument of that number has the value, or those bits set.  Unlike strace's injections this
also meets the calls of a C library in a child between its fork and exec.
"""

import ctypes
import errno
import os
import sys

import pyseccomp

split = sys.argv.index("--")
profile = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
# As root that takes no privilege, and "no new privileges" would be one more thing to differ.
profile.set_attr(pyseccomp.Attr.CTL_NNP, 0)
for rule in sys.argv[1:split]:
    call, error = rule.split(":")
    call, _, condition = call.partition("/")
    arguments = []
    if "=" in condition:
        number, value = map(int, condition.split("="))
        arguments = [pyseccomp.Arg(number, pyseccomp.EQ, value)]
    elif condition:
        number, bits = map(int, condition.split("&"))
        arguments = [pyseccomp.Arg(number, pyseccomp.MASKED_EQ, bits, bits)]
    profile.add_rule(pyseccomp.ERRNO(getattr(errno, error)), call, *arguments)
command = sys.argv[split + 1 :]
# Bound before the filter is loaded: nothing but the exec is left to do then.
execvp = ctypes.CDLL(None, use_errno=True).execvp
words = (ctypes.c_char_p * (len(command) + 1))(*map(os.fsencode, command), None)
profile.load()
execvp(words[0], words)
os._exit(ctypes.get_errno())
