"""Which system calls are made to fail, with what, when, and what must come of it: data.

The errnos are those that section 2 of the manual lists for the call and that can occur with
the arguments that rebound gives; of the rest (EBADF, EFAULT, EINVAL …), which would be a
mistake of rebound's own, those are tried that the loop lives on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

# --- Outcomes -----------------------------------------------------------------------------

CARRIES_ON = "carries on"
"""All happens as without the fault: ready, and 143 after SIGTERM."""
ENDS_AT_STOP = "ends at the stop"
"""The command does not run, or not as it should; a SIGTERM still ends rebound."""
OWN_ERROR = "own error"
"""Before the first start: exit status 125, and one line that says why."""
NOT_EXECUTED = "not executed"
"""The first start fails for good: 126, and one line."""
ANSWERS = "answers"
"""A client ends with 0, 1, 3 or 125."""

# --- When ---------------------------------------------------------------------------------

ONCE, AGAIN, FOR_GOOD, LATER = "once", "again and again", "for good", "for good, later"
WHEN = {ONCE: "{0}", AGAIN: "{1}+3", FOR_GOOD: "{0}+", LATER: "{1}+"}
"""In strace's words: the first call, every third from the second, all, all but the first."""

# --- Where counting begins ----------------------------------------------------------------

SIGNALS, SETUP, RUN = "signals", "setup", "run"
"""At the last such call before rebound has a name (the signals are blocked then); from there;
from where it is a subreaper.  What comes before is the start of Python."""


@dataclass(frozen=True)
class Fault:
    """A system call that fails in a scenario, and what may come of it."""

    scenario: str
    call: str
    errno: str
    when: str
    expected: tuple[str, ...]
    phase: str = RUN
    beside: tuple[str, ...] = ()
    """Further injections, in strace's words."""
    many_calls: bool = False
    """Whether all pids are tried for children, or all memory: many calls, but no endless loop."""
    leaves_socket: bool = False
    may_be_spared: bool = False
    """Whether there are C libraries that do without this call."""

    def __str__(self) -> str:
        phase = "" if self.phase == RUN else f", {self.phase}"
        way = ", by fork" if self.beside == BY_FORK else ""
        return f"{self.scenario}: {self.call} {self.errno} {self.when}{phase}{way}"


@dataclass(frozen=True)
class Row:
    """Calls with their errnos in some scenarios; `by_when` tells what comes of it if not `usual`."""

    call: str
    errnos: str
    scenarios: str = "service"
    usual: tuple[str, ...] = (CARRIES_ON,)
    by_when: tuple[tuple[str, tuple[str, ...]], ...] = ()
    whens: tuple[str, ...] = (ONCE, AGAIN, FOR_GOOD, LATER)
    phase: str = RUN
    beside: tuple[str, ...] = ()
    many_calls: bool = False
    leaves_socket: bool = False
    may_be_spared: bool = False

    def faults(self) -> Iterator[Fault]:
        """Give each pair in each scenario."""
        by_when = dict(self.by_when)
        choices = product(self.scenarios.split(), self.call.split(), self.errnos.split())
        for scenario, call, errno in choices:
            for when in self.whens:
                if errno == "EINTR" and when in (FOR_GOOD, LATER):
                    continue  # Python tries again at once (PEP 475): no call fails so for ever
                yield Fault(
                    scenario,
                    call,
                    errno,
                    when,
                    by_when.get(when, self.usual),
                    self.phase,
                    self.beside,
                    self.many_calls,
                    self.leaves_socket,
                    self.may_be_spared,
                )


MADE_ONCE = (ONCE, FOR_GOOD)
"""When a call fails that an ordinary run makes only once."""
NEVER_STARTS = ((FOR_GOOD, (ENDS_AT_STOP,)), (LATER, (ENDS_AT_STOP,)))
LATE_STOP = (CARRIES_ON, ENDS_AT_STOP)
ALL = "service backoff health watchdog status options terminal"
MOST = "service watchdog status"

BY_FORK = ("clone3:error=EPERM",)
"""Beside what fails: processes are not started by posix_spawn."""

OF_A_CONNECTION = ("accept4", "getsockopt", "getsockname", "recvfrom", "sendto")

ROWS = (
    # --- Before the first start
    Row("rt_sigprocmask", "EINVAL EFAULT", usual=(OWN_ERROR,), whens=(ONCE,), phase=SIGNALS),
    Row("prctl", "EPERM EINVAL", phase=SETUP, whens=(ONCE,)),  # the name
    Row("prctl", "EINVAL EPERM", "service options", (OWN_ERROR,), whens=(ONCE, FOR_GOOD)),
    Row("prctl", "EINVAL EPERM", "options", (OWN_ERROR,), whens=(LATER,)),
    Row("rt_sigaction", "EINVAL EFAULT", usual=(OWN_ERROR,), whens=(ONCE, FOR_GOOD)),
    # --- The loop
    Row("epoll_create1", "EMFILE ENFILE ENOMEM EINVAL", ALL, whens=MADE_ONCE),
    Row("signalfd4", "EMFILE ENFILE ENODEV ENOMEM EINVAL", MOST, whens=MADE_ONCE),
    Row("epoll_ctl", "ENOMEM ENOSPC EPERM EEXIST ENOENT", ALL, whens=(ONCE, AGAIN, FOR_GOOD)),
    Row("epoll_ctl", "ENOMEM ENOSPC", "service health status", whens=(LATER,)),
    # Without an epoll for the notify socket there is no keep-alive to be seen.
    Row("epoll_ctl", "ENOMEM", "watchdog", LATE_STOP, whens=(LATER,)),
    Row("epoll_wait", "EINTR EBADF EFAULT EINVAL ENOMEM", ALL),
    Row("readv", "EAGAIN", whens=(ONCE, AGAIN)),
    Row("readv", "EINTR EIO EINVAL EBADF EFAULT", MOST),
    Row(
        "rt_sigtimedwait",
        "EAGAIN EINTR",
        whens=(ONCE, AGAIN),
        beside=("epoll_create1:error=EMFILE",),
    ),
    # --- Start, and its end
    Row("clone3", "EAGAIN ENOMEM", ALL.replace(" backoff", ""), by_when=NEVER_STARTS),
    # Refused, it is fork that starts processes, and tells why an exec has failed.  Not close: by
    # strace the pipe stays open that the kernel would have closed, and has no end.
    Row("clone3", "EPERM EACCES EINVAL ENOSYS", ALL.replace(" backoff", "")),
    Row("clone", "EAGAIN ENOMEM EPERM ENOSYS", beside=BY_FORK, by_when=NEVER_STARTS),
    Row("pipe2", "EMFILE ENFILE EPERM", beside=BY_FORK, by_when=NEVER_STARTS),
    # The module is loaded when it is first needed; while that fails, it is tried again.
    Row("read", "EINTR EIO ENOMEM", "service lost", beside=BY_FORK, by_when=NEVER_STARTS),
    Row("wait4", "EINTR ECHILD", "lost", LATE_STOP, beside=BY_FORK),
    Row("kill", "EPERM ESRCH", "lost", beside=BY_FORK),
    Row(
        "openat",
        "EMFILE ENOENT",
        beside=BY_FORK,
        by_when=((FOR_GOOD, (ENDS_AT_STOP,)),),
        many_calls=True,
    ),
    Row("sched_yield", "ENOSYS EPERM"),
    Row("pidfd_open", "EINVAL EMFILE ENFILE ENODEV ENOMEM ESRCH EPERM ENOSYS"),
    Row("pidfd_open", "EMFILE ENOSYS", "backoff", whens=MADE_ONCE),
    Row("wait4", "EINTR", MOST),
    Row("wait4", "ECHILD", usual=LATE_STOP),
    # Each does what the other may not.
    Row("wait4", "EINTR EPERM ENOSYS", phase=SETUP, whens=MADE_ONCE),
    Row("wait4", "EPERM EACCES ENOSYS", "service options health", whens=(ONCE, FOR_GOOD)),
    Row("waitid", "EPERM ENOSYS", "service", whens=(ONCE, FOR_GOOD)),
    Row("waitid", "EPERM ENOSYS", "options health terminal", phase=SETUP, whens=MADE_ONCE),
    Row("waitid", "EINTR", "options health"),
    Row("waitid", "ECHILD", "options health", LATE_STOP),
    # From glibc 2.41 on it is mostly a function of the vDSO.
    Row(
        "getrandom",
        "EAGAIN EINTR ENOSYS EPERM",
        "backoff",
        whens=MADE_ONCE,
        may_be_spared=True,
    ),
    Row(
        "getrandom",
        "ENOSYS",
        "backoff",
        whens=MADE_ONCE,
        may_be_spared=True,
        beside=("openat:error=ENOENT:when={openat}+",),
        many_calls=True,
    ),
    # --- Stop and drain
    Row("kill", "EPERM ESRCH", "service options", LATE_STOP),
    Row("rt_sigqueueinfo", "EAGAIN EPERM ESRCH", "signals", whens=MADE_ONCE),
    Row("readlink", "EACCES EIO ELOOP ENOENT ENOMEM ENOTDIR", many_calls=True),
    Row("getdents64", "EBADF ENOENT ENOTDIR EINVAL"),
    # --- Files
    Row(
        "openat",
        "EACCES ELOOP EMFILE ENFILE ENODEV ENOENT ENOMEM ENOTDIR ENXIO EPERM EINTR",
        MOST,
        many_calls=True,
    ),
    Row(
        "openat",
        "EMFILE ENFILE ENOENT EACCES ENOSPC EROFS",
        "options health terminal backoff",
        many_calls=True,
    ),
    Row(
        "openat",
        "EMFILE ENOENT",
        "health watchdog options terminal",
        (CARRIES_ON, OWN_ERROR),
        phase=SETUP,
        many_calls=True,
    ),
    # Without /proc to be read, children are looked for by their pids.
    Row("read", "EINTR EIO EISDIR ENOMEM", ALL, many_calls=True),
    Row("pread64", "EIO EINTR ENODEV EOVERFLOW"),
    Row("lseek", "EINVAL ESPIPE EOVERFLOW ENXIO", MOST),
    Row(
        "close",
        "EBADF EINTR EIO ENOSPC EDQUOT",
        ALL,
        whens=(ONCE, AGAIN, LATER),
        many_calls=True,
    ),
    # Closed all the same, says close(2); not so by strace: then descriptors run out.
    Row("close", "EIO", "service options", whens=(FOR_GOOD,), many_calls=True),
    Row("newfstatat", "EACCES ELOOP ENOENT ENOMEM ENOTDIR EOVERFLOW", MOST, leaves_socket=True),
    Row("ioctl", "EINVAL ENOTTY EFAULT EIO ESRCH", ALL),
    Row("write", "EAGAIN EBADF EDQUOT EFBIG EINTR EINVAL EIO ENOSPC EPERM EPIPE", "service"),
    Row("write", "EIO ENOSPC EAGAIN", "options watchdog terminal"),
    # Not brk: as a system call it has no errnos, and glibc takes one for an address.
    Row("mmap", "ENOMEM EAGAIN ENFILE", whens=(ONCE, AGAIN)),
    Row(
        "mmap",
        "ENOMEM",
        "service watchdog health",
        LATE_STOP,
        whens=(FOR_GOOD, LATER),
        many_calls=True,
    ),
    Row(
        "mmap",
        "ENOMEM",
        "watchdog health",
        (CARRIES_ON, OWN_ERROR),
        whens=(ONCE, AGAIN),
        phase=SETUP,
    ),
    Row("munmap", "EINVAL ENOMEM", whens=(ONCE, AGAIN, FOR_GOOD)),
    Row("mprotect", "ENOMEM EACCES EINVAL", whens=(ONCE, AGAIN, FOR_GOOD)),
    # --- The log file: opened before the first start, and again at SIGHUP
    Row(
        "openat",
        "EACCES EISDIR EMFILE ENOENT ENOSPC ENXIO EROFS",
        "logfile",
        (CARRIES_ON, OWN_ERROR),
        phase=SETUP,
        many_calls=True,
    ),
    Row("openat", "EACCES EINTR EMFILE ENOENT ENOSPC EROFS", "logfile", many_calls=True),
    Row(
        "fcntl",
        "EMFILE EINVAL",
        "logfile",
        (OWN_ERROR,),
        by_when=((AGAIN, (CARRIES_ON,)), (LATER, (CARRIES_ON,))),
        phase=SETUP,
    ),
    Row("newfstatat", "EOVERFLOW ENOMEM", "logfile", (CARRIES_ON, OWN_ERROR), phase=SETUP),
    Row("close", "EIO ENOSPC EDQUOT", "logfile", whens=(ONCE, AGAIN, LATER), many_calls=True),
    Row("write", "EAGAIN EDQUOT EFBIG EINTR EIO ENOSPC EPIPE", "logfile"),
    # --- The socket for --status
    Row(
        "socket",
        "EACCES EAFNOSUPPORT EINVAL EMFILE ENFILE ENOBUFS ENOMEM EPROTONOSUPPORT",
        "status pathless",
        whens=MADE_ONCE,
    ),
    Row(
        "bind",
        "EACCES EADDRINUSE EINVAL ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EROFS",
        "status pathless",
        whens=MADE_ONCE,
    ),
    Row("bind", "EADDRINUSE", "pathless", whens=(AGAIN, LATER), may_be_spared=True),
    Row("listen", "EADDRINUSE EOPNOTSUPP ENOTSOCK", "status pathless", whens=MADE_ONCE),
    # The inode of the PID namespace.
    Row("newfstatat", "EACCES ENOENT ENOMEM", "pathless", whens=MADE_ONCE),
    # The number by chance, of the last names.
    Row(
        "getrandom",
        "EAGAIN EINTR ENOSYS",
        "pathless",
        whens=(ONCE, FOR_GOOD),
        beside=("bind:error=EADDRINUSE",),
    ),
    Row(
        "linkat",
        "EACCES EDQUOT EEXIST EIO EMLINK ENOENT ENOMEM ENOSPC EOPNOTSUPP EPERM EROFS",
        "status",
        whens=MADE_ONCE,
    ),
    # Where there are no hard links.
    Row(
        "rename",
        "EACCES EBUSY EDQUOT EIO ENOENT ENOMEM ENOSPC EPERM EROFS",
        "status",
        whens=MADE_ONCE,
        beside=("linkat:error=EPERM",),
    ),
    Row(
        "mkdir",
        "EACCES EDQUOT EEXIST ELOOP ENOENT ENOMEM ENOSPC ENOTDIR EPERM EROFS",
        "status",
        whens=MADE_ONCE,
    ),
    Row(
        "unlink",
        "EACCES EBUSY EIO ENOENT ENOMEM EPERM EROFS",
        "status",
        whens=MADE_ONCE,
        leaves_socket=True,
    ),
    Row("fcntl", "EMFILE EINVAL EBADF", "status", whens=MADE_ONCE),
    Row(
        "accept4",
        "EAGAIN ECONNABORTED EINTR EINVAL EMFILE ENFILE ENOBUFS ENOMEM EPERM EPROTO",
        "status",
        whens=(ONCE, AGAIN),
    ),
    Row("accept4", "ECONNABORTED EMFILE ENFILE ENOBUFS ENOMEM EPERM", "status", whens=(FOR_GOOD,)),
    Row("getsockname", "ENOBUFS", "status"),
    Row("getsockname", "ENOBUFS", "abstract", by_when=NEVER_STARTS),
    Row("getsockopt", "EINVAL ENOPROTOOPT", "status pathless"),
    Row("recvfrom", "EAGAIN", "status", whens=(ONCE, AGAIN)),
    Row("recvfrom", "ECONNREFUSED EINTR ENOMEM ECONNRESET", "status"),
    # A socket that is not full for ever, nor without a message that is there.
    Row("sendto", "EAGAIN", "status watchdog", whens=(ONCE, AGAIN)),
    Row("sendto", "ECONNRESET EINTR ENOBUFS ENOMEM EPIPE", "status watchdog"),
    # --- Watchdog, notify, health, options
    Row(
        "socket",
        "EACCES EAFNOSUPPORT EMFILE ENFILE ENOBUFS ENOMEM",
        "watchdog abstract",
        by_when=NEVER_STARTS,
    ),
    Row("setsockopt", "ENOPROTOOPT", "watchdog", by_when=NEVER_STARTS),
    Row("bind", "ENOMEM", "abstract", by_when=NEVER_STARTS),
    # --- The path of the notify socket: where it cannot be had, there is the abstract name.
    Row("bind", "EACCES EADDRINUSE ELOOP ENOENT ENOMEM EROFS", "watchdog", by_when=NEVER_STARTS),
    Row("rename", "EACCES EDQUOT EIO ENOENT ENOMEM ENOSPC EROFS", "watchdog"),
    Row("mkdir", "EACCES EDQUOT EEXIST ELOOP ENOENT ENOSPC ENOTDIR EROFS", "watchdog"),
    Row("unlink", "EACCES EBUSY EIO ENOENT ENOMEM EPERM EROFS", "watchdog", leaves_socket=True),
    Row("getdents64", "EBADF ENOENT", "watchdog"),
    # It never fails, says its manual page; but a seccomp profile may refuse it.
    Row("umask", "EPERM ENOSYS", "watchdog", whens=MADE_ONCE),
    Row("recvmsg", "EAGAIN EINTR ENOMEM ECONNREFUSED", "watchdog", whens=(ONCE, AGAIN)),
    Row(
        "connect",
        "EACCES EAGAIN ECONNREFUSED ENOENT EPERM EINTR",
        "watchdog",
        phase=SETUP,
        whens=(ONCE, FOR_GOOD),
    ),
    Row("socket", "EMFILE EACCES ENOMEM", "watchdog", phase=SETUP, whens=(ONCE,)),
    Row("pipe2", "EMFILE ENFILE EINVAL", "health"),
    # --- The limit of memory: what cannot be read is not known, and no reason to end a run.
    Row("openat", "EACCES EMFILE ENFILE ENOMEM", "memory", many_calls=True),
    Row("openat read", "ENOENT ESRCH", "memory", whens=MADE_ONCE, many_calls=True),
    Row("read", "EINTR EIO ENOMEM", "memory", many_calls=True),
    Row("getdents64", "EBADF ENOMEM", "memory"),
    Row("readlink", "EACCES ENOENT", "memory", many_calls=True),
    Row("openat", "EMFILE ENOENT", "memory", (CARRIES_ON, OWN_ERROR), phase=SETUP, many_calls=True),
    # --- Sockets that listen: without one of them nothing is started.
    Row(
        "socket",
        "EACCES EAFNOSUPPORT EMFILE ENFILE ENOBUFS ENOMEM",
        "store",
        (OWN_ERROR,),
        phase=SETUP,
    ),
    Row("setsockopt", "ENOPROTOOPT EPERM", "store", (OWN_ERROR,), phase=SETUP),
    Row(
        "bind",
        "EACCES EADDRNOTAVAIL EINVAL ELOOP ENOENT ENOMEM EROFS",
        "store",
        (OWN_ERROR,),
        phase=SETUP,
    ),
    Row("listen", "EOPNOTSUPP EPERM", "store", (OWN_ERROR,), phase=SETUP),
    # The path may be that of one who was killed: it is tried once more.
    Row(
        "bind listen",
        "EADDRINUSE",
        "store",
        (OWN_ERROR,),
        by_when=((AGAIN, (CARRIES_ON,)),),
        phase=SETUP,
    ),
    # Then it is not known where they listen.
    Row("getsockname getsockopt", "ENOBUFS EPERM", "store", phase=SETUP),
    # --- A check without a command is a fork.
    Row("clone", "EAGAIN ENOMEM EPERM ENOSYS", "probe"),
    # --- With descriptors to hand over, a run is forked.
    Row("clone", "EAGAIN ENOMEM EPERM ENOSYS", "store", by_when=NEVER_STARTS),
    Row("pipe2", "EMFILE ENFILE EPERM", "store", by_when=NEVER_STARTS),
    Row("read", "EINTR EIO ENOMEM", "store", LATE_STOP, many_calls=True),
    Row("ioctl fcntl", "EINVAL EPERM", "store"),
    # --- Messages with descriptors.  What is not known to hang up is kept.
    Row("socket", "EACCES EMFILE ENFILE ENOBUFS ENOMEM", "store", by_when=NEVER_STARTS),
    Row("setsockopt", "ENOPROTOOPT", "store", by_when=NEVER_STARTS),
    Row("recvmsg", "EAGAIN EINTR ENOMEM ECONNREFUSED", "store", whens=(ONCE, AGAIN)),
    Row("shutdown", "EPERM ENOSYS", "store"),
    Row("prlimit64", "EPERM ENOSYS", "store"),
    Row("statx", "EPERM ENOSYS EBADF", "store"),
    Row(
        "kcmp",
        "EPERM ENOSYS",
        "store",
        whens=MADE_ONCE,
        beside=("fcntl:error=EINVAL:when={fcntl}+",),
    ),
    Row("epoll_ctl", "ENOMEM ENOSPC EPERM EBADF ENOENT", "store", whens=(ONCE, AGAIN)),
    Row("epoll_ctl", "ENOMEM", "store", LATE_STOP, whens=(FOR_GOOD, LATER)),
    Row("poll", "EINTR ENOMEM EPERM", "store"),
    # The threads that close them.
    Row("clone3", "EAGAIN ENOMEM EPERM ENOSYS", "store"),
    Row("close", "EBADF EINTR EIO ENOSPC", "store", whens=(ONCE,)),
    Row("rt_sigprocmask", "EPERM", "store", whens=(ONCE, AGAIN)),
    # --- How many connections wait: sock_diag(7)
    Row("sendto recvfrom", "EPERM ENOBUFS EAGAIN", "store", whens=(ONCE, AGAIN)),
    Row("getsockopt getsockname", "ENOPROTOOPT EPERM", "store"),
    # --- The socket files
    Row("unlink", "EACCES EBUSY EIO ENOENT EPERM EROFS", "store", leaves_socket=True),
    # While no module can be found, the one that forks cannot.
    Row(
        "newfstatat",
        "EACCES ENOENT ENOMEM",
        "store",
        LATE_STOP,
        many_calls=True,
        leaves_socket=True,
    ),
    # --- Probes and metrics: without the socket nothing is started.
    Row(
        "socket",
        "EACCES EAFNOSUPPORT EMFILE ENFILE ENOBUFS ENOMEM",
        "http",
        (OWN_ERROR,),
        whens=MADE_ONCE,
        phase=SETUP,
    ),
    Row(
        "bind",
        "EACCES EINVAL ELOOP ENOENT ENOMEM EROFS",
        "http",
        (OWN_ERROR,),
        whens=MADE_ONCE,
        phase=SETUP,
    ),
    Row("listen", "EOPNOTSUPP EPERM", "http", (OWN_ERROR,), whens=MADE_ONCE, phase=SETUP),
    Row(
        "epoll_create1", "EMFILE ENFILE ENOMEM", "http", (OWN_ERROR,), whens=MADE_ONCE, phase=SETUP
    ),
    Row("epoll_ctl", "ENOMEM ENOSPC", "http", (OWN_ERROR,), whens=(ONCE, FOR_GOOD), phase=SETUP),
    Row("fcntl", "EMFILE", "http", (OWN_ERROR,), whens=MADE_ONCE, phase=SETUP),
    Row("ioctl", "EPERM", "http", (OWN_ERROR,), whens=(FOR_GOOD,), phase=SETUP),
    Row("getsockname", "ENOBUFS", "http", whens=MADE_ONCE, phase=SETUP),
    Row("epoll_create1", "EMFILE ENFILE ENOMEM", "http", whens=MADE_ONCE),
    Row("epoll_ctl", "ENOMEM ENOSPC EPERM EEXIST ENOENT", "http", whens=(ONCE, AGAIN, FOR_GOOD)),
    Row("epoll_wait", "EINTR EBADF EINVAL ENOMEM", "http"),
    Row(
        "accept4",
        "EAGAIN ECONNABORTED EINTR EINVAL EMFILE ENFILE ENOBUFS ENOMEM EPERM EPROTO",
        "http",
        whens=(ONCE, AGAIN),
    ),
    Row("accept4", "ECONNABORTED EMFILE ENFILE ENOMEM EPERM", "http", whens=(FOR_GOOD,)),
    Row("getsockname", "ENOBUFS", "http"),
    Row("ioctl", "EPERM EINVAL", "http"),
    Row("fcntl", "EMFILE EPERM", "http", whens=MADE_ONCE, beside=("accept4:error=EMFILE:when=1",)),
    Row("recvfrom", "EAGAIN", "http", whens=(ONCE, AGAIN)),
    Row("recvfrom", "ECONNRESET EINTR ENOMEM", "http"),
    Row("sendto", "EAGAIN", "http", whens=(ONCE, AGAIN)),
    Row("sendto", "ECONNRESET EINTR ENOBUFS ENOMEM EPIPE", "http"),
    Row("shutdown", "ENOTCONN EPERM ENOSYS", "http", whens=MADE_ONCE),
    Row("clock_gettime", "EPERM ENOSYS EINVAL", "http"),
    Row("close", "EBADF EINTR EIO ENOSPC", "http", whens=(ONCE, AGAIN, LATER), many_calls=True),
    Row("openat", "EMFILE ENFILE ENOENT EACCES", "http", many_calls=True),
    Row("read", "EINTR EIO ENOMEM", "http", many_calls=True),
    Row("unlink", "EACCES EBUSY EIO ENOENT EPERM EROFS", "http", leaves_socket=True),
    # --- The client
    Row(
        "socket",
        "EACCES EAFNOSUPPORT EMFILE ENFILE ENOBUFS ENOMEM",
        "client",
        (ANSWERS,),
        phase=SETUP,
    ),
    Row(
        "connect",
        "EACCES EAGAIN ECONNREFUSED ENOENT EPERM EINTR",
        "client",
        (ANSWERS,),
        phase=SETUP,
    ),
    Row("setsockopt", "ENOPROTOOPT EDOM", "client", (ANSWERS,), phase=SETUP),
    Row("getsockopt", "ENOPROTOOPT", "client", (ANSWERS,), whens=MADE_ONCE, phase=SETUP),
    Row(
        "sendto",
        "EAGAIN ECONNRESET EINTR ENOBUFS ENOMEM EPIPE",
        "client",
        (ANSWERS,),
        whens=MADE_ONCE,
        phase=SETUP,
    ),
    Row(
        "recvfrom",
        "EAGAIN ECONNREFUSED ECONNRESET EINTR ENOMEM",
        "client",
        (ANSWERS,),
        whens=MADE_ONCE,
        phase=SETUP,
    ),
    Row(
        "chdir",
        "EACCES EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR",
        "client",
        (ANSWERS,),
        whens=MADE_ONCE,
        phase=SETUP,
    ),
    Row("openat", "EACCES EMFILE ENFILE ENOENT", "client", (ANSWERS,), phase=SETUP),
    Row("getdents64", "EBADF ENOENT", "client", (ANSWERS,), phase=SETUP),
    Row("newfstatat", "EACCES ENOENT ENOMEM", "client", (ANSWERS,), phase=SETUP),
    Row("write", "EIO EPIPE ENOSPC", "client", (ANSWERS,), whens=MADE_ONCE, phase=SETUP),
    Row("close", "EIO EINTR", "client", (ANSWERS,), phase=SETUP),
    # Where it looks for an abstract socket.
    Row("openat read", "EACCES EMFILE ENOENT EIO", "seeker", (ANSWERS,), phase=SETUP),
    Row("newfstatat", "EACCES ENOENT ENOMEM", "seeker", (ANSWERS,), phase=SETUP),
    Row("kill", "EPERM ESRCH", "seeker", (ANSWERS,), whens=(ONCE,), phase=SETUP),
    Row(
        "socket connect",
        "EACCES EAGAIN ECONNREFUSED EMFILE EPERM",
        "seeker",
        (ANSWERS,),
        phase=SETUP,
    ),
    Row("getsockopt", "ENOPROTOOPT", "seeker", (ANSWERS,), whens=MADE_ONCE, phase=SETUP),
)


def faults() -> list[Fault]:
    """Give all pairs."""
    return [fault for row in ROWS for fault in row.faults()]
