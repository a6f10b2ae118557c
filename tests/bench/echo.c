/*
 * echo FD - report the time once when ready, and then whenever a SIGUSR1 comes; until SIGTERM.
 */
#include "shared.h"
#include <signal.h>

int main(int argc, char **argv)
{
	sigset_t awaited;
	int signo;

	if (argc != 2)
		abort();
	sigemptyset(&awaited);
	sigaddset(&awaited, SIGUSR1);
	sigprocmask(SIG_BLOCK, &awaited, NULL);
	do {
		const int64_t time = now_ns();

		report(atoi(argv[1]), &time, sizeof time);
	} while (sigwait(&awaited, &signo) == 0);
	return 1;
}
