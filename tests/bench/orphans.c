/*
 * orphans FILE COUNT - report how long COUNT orphans that die at once take to be gone.
 *
 * All of them wait on a pipe, and its closing releases them.  A process is gone when it was
 * reaped: as a zombie it still takes signals, afterwards there is none of that pid (ESRCH).
 * They are asked for one after the other, each until it is gone, so that there are few
 * questions more than processes; none takes a lock that a reaper waits for, as one for the
 * whole process group would.  Afterwards it stays until a signal ends it.
 */
#include "shared.h"
#include <errno.h>
#include <signal.h>

static void make_orphans(int count, int release[2], int ready)
{
	if (!in_short_lived_parent())
		return;
	close(release[1]);
	while (count-- > 0) {
		if (checked_fork() == 0) {
			const pid_t self = getpid();
			char byte;

			if (write(ready, &self, sizeof self) != sizeof self)
				abort();
			_exit(read(release[0], &byte, 1) != 0);
		}
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	const struct timespec moment = {.tv_nsec = 50000};
	int release[2], ready[2];

	if (argc != 3 || pipe(release) || pipe(ready))
		abort();
	const int count = atoi(argv[2]);
	pid_t *pids = calloc((size_t)count, sizeof *pids);

	make_orphans(count, release, ready[1]);
	for (int i = 0; i < count; i++)
		if (read(ready[0], &pids[i], sizeof *pids) != sizeof *pids)
			abort();
	int64_t taken = -now_ns();

	close(release[1]);
	for (int i = 0; i < count; i++)
		while (kill(pids[i], 0) == 0 || errno != ESRCH)
			nanosleep(&moment, NULL);
	taken += now_ns();
	report(open_numbers(argv[1]), &taken, sizeof taken);
	rest();
}
