/*
 * run FILE RUNS [LIFETIME [ORPHANS]] - crash, and report when it started and when it ended.
 *
 * Each run appends two numbers to FILE, after LIFETIME microseconds, and exits with 1; the
 * last of RUNS stays, until a signal ends it.  The first run leaves ORPHANS processes behind,
 * which live until a signal ends them.
 */
#include "shared.h"

static void leave_orphans(int count)
{
	if (!in_short_lived_parent())
		return;
	while (count-- > 0)
		if (checked_fork() == 0)
			rest();
	_exit(0);
}

int main(int argc, char **argv)
{
	int64_t times[2] = {now_ns()};

	if (argc < 3)
		abort();
	const int fd = open_numbers(argv[1]);
	const off_t before = lseek(fd, 0, SEEK_END) / (off_t)sizeof times;

	if (argc > 4 && before == 0)
		leave_orphans(atoi(argv[4]));
	if (argc > 3) {
		const struct timespec lifetime = {.tv_nsec = 1000L * atoi(argv[3])};

		nanosleep(&lifetime, NULL);
	}
	times[1] = now_ns();
	report(fd, times, sizeof times);
	if (before + 1 >= atoi(argv[2]))
		rest();
	_exit(1);
}
