/*
 * run FD STATUS [LIFETIME [ORPHANS]] - report when it started and when it ended.
 *
 * FD is a file that all runs share, with its offset: each appends two numbers, after LIFETIME
 * microseconds, and exits with STATUS.  The first run leaves ORPHANS processes behind, which
 * live until a signal kills them.
 */
#include "shared.h"

static void leave_orphans(int count)
{
	if (!in_short_lived_parent())
		return;
	while (count-- > 0)
		if (checked_fork() == 0)
			for (;;)
				pause();
	_exit(0);
}

int main(int argc, char **argv)
{
	int64_t times[2] = {now_ns()};
	const int fd = atoi(argv[1]);

	if (argc > 4 && lseek(fd, 0, SEEK_CUR) == 0)
		leave_orphans(atoi(argv[4]));
	if (argc > 3) {
		const struct timespec lifetime = {.tv_nsec = 1000L * atoi(argv[3])};

		nanosleep(&lifetime, NULL);
	}
	times[1] = now_ns();
	report(fd, times, sizeof times);
	_exit(atoi(argv[2]));
}
