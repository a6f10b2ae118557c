/*
 * What the programs share: the clock of the whole system, numbers sent to the benchmark, and
 * how orphans are made.
 */
#ifndef SHARED_H
#define SHARED_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static inline int64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* A file or FIFO of the benchmark.  By its path: some supervisors close all descriptors. */
static inline int open_numbers(const char *path)
{
	const int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0)
		abort();
	return fd;
}

static inline void report(int fd, const int64_t *numbers, size_t size)
{
	if (write(fd, numbers, size) != (ssize_t)size)
		abort();
}

static inline pid_t checked_fork(void)
{
	const pid_t pid = fork();

	if (pid < 0)
		abort();
	return pid;
}

/* True in a new process, whose children become orphans when it exits; it is waited for. */
static inline bool in_short_lived_parent(void)
{
	const pid_t parent = checked_fork();

	if (parent)
		waitpid(parent, NULL, 0);
	return !parent;
}

/* Live until a signal ends it. */
static inline void rest(void)
{
	for (;;)
		pause();
}

#endif
