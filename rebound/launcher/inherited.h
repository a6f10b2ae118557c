/*
 * The signals and LC_CTYPE that rebound was started with, before Python changes them.
 * rebound/cli.py reads them from the -X options `rebound` and `lc_ctype`, for the command.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef __linux__
#error "rebound needs Linux: signalfd, pidfd, epoll, and a subreaper"
#endif

#define OWN_ERROR 125
#define LAST_SIGNAL 64
#define SIGSET_BYTES (LAST_SIGNAL / 8)

struct inherited {
	char signals[64];	/* "rebound=MASK,IGNORED", two hexadecimal bit sets */
	char *lc_ctype;		/* "lc_ctype=VALUE", NULL if it is not set */
};

static _Noreturn void fail(const char *what, const char *path)
{
	fprintf(stderr, "rebound: %s %s: %s\n", what, path, strerror(errno));
	_exit(OWN_ERROR);
}

/* The system calls themselves: the C library hides signals 32 and 33, its own. */
static unsigned long long block_signals(void)
{
	unsigned long long all = ~0ULL, before = 0;

	if (syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, &before, SIGSET_BYTES))
		fail("cannot block", "signals");
	return before;
}

static unsigned long long ignored_signals(void)
{
	unsigned long long ignored = 0;

	for (int signo = 1; signo <= LAST_SIGNAL; signo++) {
		/* struct kernel_sigaction: its first word is the handler */
		unsigned long action[16] = {0};

		if (syscall(SYS_rt_sigaction, signo, NULL, action, SIGSET_BYTES) == 0 &&
		    action[0] == (unsigned long)SIG_IGN)
			ignored |= 1ULL << (signo - 1);
	}
	return ignored;
}

/* Blocks all signals, so that from now on none is lost, and returns what was set before. */
static struct inherited take_inherited(void)
{
	const unsigned long long mask = block_signals();
	const char *lc_ctype = getenv("LC_CTYPE");
	struct inherited inherited = {.lc_ctype = NULL};

	snprintf(inherited.signals, sizeof inherited.signals, "rebound=%llx,%llx", mask,
		 ignored_signals());
	if (lc_ctype && asprintf(&inherited.lc_ctype, "lc_ctype=%s", lc_ctype) < 0) {
		errno = ENOMEM;
		fail("cannot note", "LC_CTYPE");
	}
	return inherited;
}
