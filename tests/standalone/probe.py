"""Writes down what a program knows of its process: test_snapshot.py builds it into the one file.

probe FILE [MODULE…]
"""

from __future__ import annotations

import sys

BY_CHANCE = {"__builtins__", "__cached__", "__loader__", "__spec__"}
ADDRESSES = {"_cast_addr", "_memmove_addr", "_memset_addr", "_string_at_addr", "_wstring_at_addr"}
"""Functions of the program itself, which is linked differently."""

SIMPLE = (int, str, bytes, float, type(None), type(...))
DEPTH = 4


def describe(value: object, depth: int = DEPTH) -> object:
    """Return what can be compared of a value in another process."""
    if isinstance(value, SIMPLE) or depth == 0:
        return repr(value) if isinstance(value, SIMPLE) else type(value).__name__
    if isinstance(value, dict):
        items = [(describe(key), describe(held, depth - 1)) for key, held in value.items()]
        return {str(key): held for key, held in items}
    if isinstance(value, set | frozenset):
        return sorted(str(describe(each)) for each in value)
    if isinstance(value, list | tuple):
        return [describe(each, depth - 1) for each in value]
    if isinstance(value, type):
        held = {name: each for name, each in vars(value).items() if name not in BY_CHANCE}
        return [value.__qualname__, describe(held, depth - 1)]
    return getattr(value, "__qualname__", None) or type(value).__name__


def of_a_stream(stream: object) -> object:
    names = ("encoding", "errors", "line_buffering", "write_through", "newlines", "mode", "name")
    fileno = getattr(stream, "fileno", None)
    return [repr(getattr(stream, name, None)) for name in names] + [fileno and fileno()]


def of_the_process() -> dict[str, object]:
    import _signal
    import _thread
    import gc
    import os
    import posix

    with open("/proc/self/status") as status:
        lines = [line.split() for line in status]
    wanted = ("Sig", "Shd", "Uid", "Gid", "Groups", "Umask", "Cap", "Threads", "NoNewPrivs")
    lock, main = _thread.allocate_lock(), _thread.get_ident()
    told: list[bool] = []

    def thread() -> None:
        told.append(_thread.get_ident() != main and _thread.get_native_id() != os.getpid())
        lock.release()

    lock.acquire()
    _thread.start_new_thread(thread, ())
    lock.acquire()
    child = os.fork()
    if not child:
        os._exit(_thread.get_native_id() == os.getpid() and _thread.get_ident() == main)
    try:
        ended = os.waitpid(child, 0)[1]
    except ChildProcessError:  # SIGCHLD is ignored
        ended = -1
    return {
        "status": [line for line in lines if line[0].startswith(wanted) and line[0] != "SigQ:"],
        "descriptors": [fd for fd in os.listdir("/proc/self/fd") if fd.isdecimal()],
        "environment": sorted(map(repr, posix.environ.items())),
        "same environment": vars(os.environ)["_data"] is posix.environ,
        "directory": os.readlink("/proc/self/cwd"),
        "pid": os.getpid() == int(os.readlink("/proc/self")),
        "thread": [_thread.get_native_id() == os.getpid(), _thread._count(), told],
        "fork": ended,
        "handlers": [repr(_signal.getsignal(n)).split(" at ")[0] for n in _signal.valid_signals()],
        "mask": sorted(map(int, _signal.pthread_sigmask(_signal.SIG_BLOCK, []))),
        "gc": [gc.isenabled(), gc.get_threshold(), gc.get_debug(), len(gc.garbage)],
        "chance": os.urandom(8) != os.urandom(8),
        "umask": os.umask(0o22),
    }


def of_python() -> dict[str, object]:
    streams = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")
    plain = ("argv", "orig_argv", "_xoptions", "executable", "path", "prefix", "warnoptions")
    functions = (
        *("getfilesystemencoding", "getfilesystemencodeerrors", "getdefaultencoding"),
        *("getrecursionlimit", "getswitchinterval", "get_asyncgen_hooks", "gettrace"),
        *("is_finalizing", "getprofile", "get_int_max_str_digits"),
    )
    return {
        **{name: of_a_stream(getattr(sys, name)) for name in streams},
        **{name: describe(getattr(sys, name)) for name in plain},
        **{name: describe(getattr(sys, name, str)()) for name in functions},
        "flags": repr(sys.flags),
        "hash_info": repr(sys.hash_info),
        "thread_info": repr(sys.thread_info),
        "meta_path": describe(sys.meta_path),
        "exception": sys.exc_info(),
    }


def main() -> int:
    path, *modules = sys.argv[1:]
    process = of_the_process()
    for name in modules:
        __import__(name)
    import json

    names = sorted(name for name in sys.modules if name not in ("sys", "rebound.probe"))
    found = {"process": process, "python": of_python()}
    found["modules"] = {
        name: {
            attribute: describe(value)
            for attribute, value in vars(sys.modules[name]).items()
            if attribute not in BY_CHANCE | ADDRESSES
        }
        for name in names
    }
    with open(path, "w", errors="surrogateescape") as file:
        json.dump(found, file)
    return 0
