/*
 * echo FILE - report the time at the start, and then whenever a SIGUSR1 comes; until SIGTERM.
 */
#include "shared.h"
#include <signal.h>

int main(int argc, char **argv)
{
	int64_t time = now_ns();
	sigset_t awaited;
	int signo;

	if (argc != 2)
		abort();
	const int fd = open_numbers(argv[1]);

	sigemptyset(&awaited);
	sigaddset(&awaited, SIGUSR1);
	sigprocmask(SIG_BLOCK, &awaited, NULL);
	report(fd, &time, sizeof time);
	while (sigwait(&awaited, &signo) == 0) {
		time = now_ns();
		report(fd, &time, sizeof time);
	}
	return 1;
}
