/*
 * server PORT [FD] - answer each line with its own pid, and die of a "crash".
 *
 * It listens at FD, or at what LISTEN_FDS hands it, or else at the port, which it then binds
 * itself.  One connection after the other is answered and closed, so that a crash takes the
 * one in hand with it, and no other.  With a descriptor store (FDSTORE) they stay open: before
 * its first answer each is stored, and the next run goes on with it.
 */
#define _GNU_SOURCE
#include "shared.h"
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#define FIRST_FD 3 /* sd_listen_fds(3) */
#define MOST 1024
#define DROPPED (-1) /* poll(2) passes over it */

static struct pollfd watched[MOST];
static bool is_stored[MOST];
static nfds_t count;

static long from_environment(const char *name)
{
	const char *value = getenv(name);

	return value ? atol(value) : 0;
}

static void watch(int fd, bool stored)
{
	nfds_t at = 1; /* the first is the listening socket, and stays */

	while (at < count && watched[at].fd != DROPPED)
		at++;
	if (count == 0)
		at = 0;
	if (at == MOST)
		abort();
	if (at >= count)
		count = at + 1;
	watched[at] = (struct pollfd){.fd = fd, .events = POLLIN};
	is_stored[at] = stored;
}

static int bound_here(int port)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = {htonl(INADDR_LOOPBACK)},
	};

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
	    bind(fd, (const struct sockaddr *)&address, sizeof address) || listen(fd, SOMAXCONN))
		abort();
	return fd;
}

static void notify(const char *text, int passed)
{
	static int notifier = -1;
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr aligned;
	} control = {0};
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct iovec data = {(void *)text, strlen(text)};
	struct msghdr message = {
		.msg_name = &to,
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	if (!name || strlen(name) >= sizeof to.sun_path)
		abort();
	memcpy(to.sun_path, name, strlen(name));
	if (*name == '@')
		to.sun_path[0] = '\0';
	message.msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof passed);
	memcpy(CMSG_DATA(header), &passed, sizeof passed);
	if (notifier < 0)
		notifier = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sendmsg(notifier, &message, MSG_NOSIGNAL) < 0)
		abort();
}

/* Return when it is stored: a barrier is closed once all that was sent before it is done. */
static void store(int fd)
{
	int barrier[2];

	notify("FDSTORE=1\nFDNAME=conn", fd);
	if (pipe2(barrier, O_CLOEXEC))
		abort();
	notify("BARRIER=1", barrier[1]);
	close(barrier[1]);
	struct pollfd until = {.fd = barrier[0]};
	while (poll(&until, 1, -1) < 0 && errno == EINTR)
		;
	close(barrier[0]);
}

/* What died of a signal that dumps core would take long to be gone, if it did. */
static _Noreturn void crash(void)
{
	prctl(PR_SET_DUMPABLE, 0);
	raise(SIGSEGV);
	abort();
}

static bool answered(int fd, bool stored, bool stores, const char *answer)
{
	char request[64];
	const ssize_t size = recv(fd, request, sizeof request, 0);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (size <= 0)
		return false;
	if (request[0] == 'c')
		crash();
	if (stores && !stored)
		store(fd);
	return send(fd, answer, strlen(answer), MSG_NOSIGNAL) > 0;
}

int main(int argc, char **argv)
{
	const bool is_ours = from_environment("LISTEN_PID") == getpid();
	const int given = is_ours ? (int)from_environment("LISTEN_FDS") : 0;
	const bool stores = from_environment("FDSTORE") > 0;
	char answer[32];

	if (argc < 2)
		abort();
	snprintf(answer, sizeof answer, "%d\n", (int)getpid());
	if (argc > 2 || given > 0)
		watch(argc > 2 ? atoi(argv[2]) : FIRST_FD, false);
	else
		watch(bound_here(atoi(argv[1])), false);
	for (int i = 1; i < given; i++)
		watch(FIRST_FD + i, true);
	for (;;) {
		if (poll(watched, count, -1) < 0)
			abort();
		for (nfds_t i = count; i-- > 1;) {
			if (!watched[i].revents)
				continue;
			if (answered(watched[i].fd, is_stored[i], stores, answer)) {
				is_stored[i] = true;
			} else {
				close(watched[i].fd);
				watched[i].fd = DROPPED;
			}
		}
		if (watched[0].revents) {
			const int fd = accept4(watched[0].fd, NULL, NULL, SOCK_CLOEXEC);

			if (fd >= 0 && stores) {
				watch(fd, false);
			} else if (fd >= 0) {
				answered(fd, false, false, answer);
				close(fd);
			}
		}
	}
}
