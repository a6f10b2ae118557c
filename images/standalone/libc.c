/*
 * Functions of the C library that would read files or load libraries, replaced by the
 * linker (--wrap).
 */
#define _GNU_SOURCE
#include "frozen.h"

#include <errno.h>
#include <link.h>
#include <netdb.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>

/*
 * To start, Python goes through most of the program; to wait, it needs a part of it.  The pages
 * that are only read are let go: those that are still needed are mapped anew, from the page
 * cache (madvise(2), MADV_DONTNEED).
 */
static int let_go(struct dl_phdr_info *program, size_t size, void *unused)
{
	(void)size, (void)unused;
	for (int i = 0; i < program->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &program->dlpi_phdr[i];
		const ElfW(Addr) start = program->dlpi_addr + segment->p_vaddr;

		if (segment->p_type == PT_LOAD && !(segment->p_flags & PF_W))
			madvise((void *)start, segment->p_memsz, MADV_DONTNEED);
	}
	return 1;	/* no more of them */
}

/* rebound's loop asks for its epoll once the command has been started. */
int __real_epoll_create1(int flags);

int __wrap_epoll_create1(int flags)
{
	dl_iterate_phdr(let_go, NULL);
	return __real_epoll_create1(flags);
}

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

/* Hosts and services are in Python's `_socket`, but rebound's sockets are local ones. */
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		       struct addrinfo **found)
{
	(void)node, (void)service, (void)hints, (void)found;
	return EAI_FAIL;
}

int __wrap_gethostbyname_r(const char *name, struct hostent *entry, char *buffer, size_t size,
			   struct hostent **found, int *error_number)
{
	(void)name, (void)entry, (void)buffer, (void)size;
	*found = NULL;
	*error_number = NO_RECOVERY;
	return ENOSYS;
}

int __wrap_gethostbyaddr_r(const void *address, socklen_t length, int type, struct hostent *entry,
			   char *buffer, size_t size, struct hostent **found, int *error_number)
{
	(void)address, (void)length, (void)type;
	return __wrap_gethostbyname_r(NULL, entry, buffer, size, found, error_number);
}

struct servent *__wrap_getservbyname(const char *name, const char *protocol)
{
	(void)name, (void)protocol;
	return NULL;
}

struct servent *__wrap_getservbyport(int port, const char *protocol)
{
	(void)port, (void)protocol;
	return NULL;
}

struct protoent *__wrap_getprotobyname(const char *name)
{
	(void)name;
	return NULL;
}

/* Python's `time` wants the local time zone once imported; rebound knows durations only. */
struct tm *__wrap_localtime_r(const time_t *when, struct tm *local)
{
	(void)when;
	*local = (struct tm){.tm_year = 70, .tm_mday = 1, .tm_zone = "UTC"};
	return local;
}
