"""How much memory a process and its descendants have, as /proc tells."""

from __future__ import annotations

import os

from rebound.kernel import processes

_MOST_READS = 2000
"""How many files of /proc one look reads at most; 1000 take about 10 ms."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


_GONE = (FileNotFoundError, ProcessLookupError)
"""What a file of a process that has ended raises."""


def resident(pid: int) -> int | None:
    """Return the bytes resident of a process and its living descendants; 0 once it is gone.

    Returns None if /proc cannot tell: it is not there, is another PID namespace's, cannot be read
    for now (EMFILE), or the kernel lists no children (CONFIG_PROC_CHILDREN, Linux 4.2).

    Of the pages that are shared (files and shared memory) only the largest share of one process
    counts, not that of each: hundreds of workers may map the same gigabyte.  Pages that a fork
    shares until one side writes to them count in each process.

    Each process and each thread is a file to read.  Of a command with more than
    `_MOST_READS`, the rest is left out: the figure is too low then, never too high.  A process
    may vanish meanwhile, and its pid may be reused: then the figure is wrong this once.
    """
    try:
        return _read(pid) if processes.has_proc() else None
    except OSError:
        return None


def _read(pid: int) -> int | None:
    private = shared = reads = 0
    waiting = [pid]
    # Parents before children: one that is born meanwhile is missed this once at most.
    for process in waiting:
        try:
            pages, shared_pages = _pages(process)
            private += pages - shared_pages
            shared = max(shared, shared_pages)
            threads = os.listdir(f"/proc/{process}/task")
        except _GONE:
            continue
        reads += 1 + len(threads)
        if reads > _MOST_READS:
            break
        for thread in threads:
            try:
                waiting += _children(process, thread)
            except _GONE:
                if not os.path.exists("/proc/thread-self/children"):
                    return None
    return (private + shared) * _PAGE


def _pages(pid: int) -> tuple[int, int]:
    """Return how many pages are resident, and how many of them are shared (proc(5), statm)."""
    with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
        words = file.read().split()
    return int(words[1]), int(words[2])


def _children(pid: int, thread: str) -> list[int]:
    """Return the children that a thread has made.  Raises `OSError`."""
    with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:
        return [int(child) for child in file.read().split()]
