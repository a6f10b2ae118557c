/* What the programs share: the clock of the whole system, and numbers sent to the benchmark. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static inline int64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static inline void report(int fd, const int64_t *numbers, size_t size)
{
	if (write(fd, numbers, size) != (ssize_t)size)
		abort();
}

#endif
