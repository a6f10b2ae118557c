/*
 * Functions of the C library that would read files or load libraries, replaced by the
 * linker (--wrap).
 */
#include "frozen.h"

#include <errno.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

/*
 * dlopen(3) for ctypes: the only library is the program itself, and the only functions in
 * it are those that rebound asks for.
 */
static char *error;

void *__wrap_dlopen(const char *path, int mode)
{
	(void)mode;
	if (!path)
		return (void *)c_functions;
	error = "a static program loads no libraries";
	return NULL;
}

void *__wrap_dlsym(void *restrict library, const char *restrict name)
{
	(void)library;
	for (const struct c_function *function = c_functions; function->name; function++)
		if (!strcmp(function->name, name))
			return function->address;
	error = "rebound does not ask for this function";
	return NULL;
}

int __wrap_dlclose(void *library)
{
	(void)library;
	return 0;
}

char *__wrap_dlerror(void)
{
	char *last = error;

	error = NULL;
	return last;
}

/* Users are in Python's `posix`, but rebound looks none up. */
int __wrap_getgrouplist(const char *user, gid_t group, gid_t *groups, int *count)
{
	(void)user, (void)group, (void)groups, (void)count;
	errno = ENOSYS;
	return -1;
}

int __wrap_initgroups(const char *user, gid_t group)
{
	(void)user, (void)group;
	errno = ENOSYS;
	return -1;
}

/* Python's `time` wants the local time zone once imported; rebound knows durations only. */
struct tm *__wrap_localtime_r(const time_t *when, struct tm *local)
{
	(void)when;
	*local = (struct tm){.tm_year = 70, .tm_mday = 1, .tm_zone = "UTC"};
	return local;
}
