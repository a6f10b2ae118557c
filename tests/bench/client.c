/*
 * client FILE PORT CRASHES GAP PATIENCE - connect to a server once a millisecond, come what may.
 *
 * An open loop: however long an answer takes, the next connect is made in its time, and one
 * that is late since this program did not run is made up for at once.  It crashes the server
 * CRASHES times, by a connection of its own, each GAP milliseconds after the first answer of a
 * run; after PATIENCE milliseconds no more than the first time.  Then it appends three numbers
 * to FILE for each connect: when it was made, when it ended, and how.  A crash ends with the
 * first answer of the next run.
 */
#define _GNU_SOURCE
#include "shared.h"
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define MILLISECOND INT64_C(1000000)
#define GIVES_UP (1000 * MILLISECOND) /* as a Kubernetes probe does */
#define DEADLINE (20000 * MILLISECOND) /* for the next run to answer */
#define EVENTS 256

enum { PENDING = -1, SERVED, REFUSED, RESET, TIMED_OUT, CRASH }; /* as in crashes.py */

struct attempt {
	int64_t began, ended, outcome;
};

static struct attempt *attempts;
static struct {
	int fd;
	bool is_asked, is_crash;
} *connections;
static size_t count, oldest;
static int poller;
static struct sockaddr_in server = {.sin_family = AF_INET};

static int answering; /* the pid of the last run that answered */
static int crashed;   /* that of the run that is to die, or is dead */
static size_t last_crash;
static int64_t crash_due = INT64_MAX, gap;
static int64_t phase; /* by how much later, so that crashes fall all over the millisecond */

static void end(size_t at, int64_t outcome)
{
	/* Reset it: what is closed in the usual way would use up the ports. */
	const struct linger at_once = {.l_onoff = 1};

	setsockopt(connections[at].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(connections[at].fd);
	if (connections[at].is_crash) {
		if (outcome != RESET)
			abort();
		outcome = CRASH;
	}
	attempts[at].ended = now_ns();
	attempts[at].outcome = outcome;
}

static void fail(size_t at)
{
	switch (errno) {
	case ECONNREFUSED:
		return end(at, REFUSED);
	case ECONNRESET:
	case EPIPE:
		return end(at, RESET);
	case ETIMEDOUT:
		return end(at, TIMED_OUT);
	}
	abort();
}

static void ask(size_t at)
{
	const char *request = connections[at].is_crash ? "crash\n" : "ask\n";
	struct epoll_event wanted = {.events = EPOLLIN, .data.u64 = at};

	if (send(connections[at].fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return fail(at);
	connections[at].is_asked = true;
	if (epoll_ctl(poller, EPOLL_CTL_MOD, connections[at].fd, &wanted))
		abort();
}

static void attempt(bool is_crash)
{
	static size_t room;
	struct epoll_event wanted = {.events = EPOLLOUT, .data.u64 = count};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (count == room) {
		room = room ? 2 * room : 65536;
		attempts = realloc(attempts, room * sizeof *attempts);
		connections = realloc(connections, room * sizeof *connections);
	}
	if (fd < 0 || !attempts || !connections || epoll_ctl(poller, EPOLL_CTL_ADD, fd, &wanted))
		abort();
	attempts[count] = (struct attempt){.began = now_ns(), .outcome = PENDING};
	connections[count].fd = fd;
	connections[count].is_asked = false;
	connections[count].is_crash = is_crash;
	if (connect(fd, (const struct sockaddr *)&server, sizeof server) == 0)
		ask(count);
	else if (errno != EINPROGRESS)
		fail(count);
	count++;
}

static void read_answer(size_t at)
{
	char answer[32] = "";
	const ssize_t size = recv(connections[at].fd, answer, sizeof answer - 1, 0);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size < 0)
		return fail(at);
	if (size == 0)
		return end(at, RESET); /* the server died with the request in hand */
	end(at, SERVED);
	answering = atoi(answer);
	if (answering != crashed && crash_due == INT64_MAX) {
		crash_due = now_ns() + gap + phase;
		if (crashed)
			attempts[last_crash].ended = now_ns();
	}
}

static void go_on(size_t at)
{
	socklen_t size = sizeof errno;

	if (connections[at].is_asked)
		return read_answer(at);
	if (getsockopt(connections[at].fd, SOL_SOCKET, SO_ERROR, &errno, &size))
		abort();
	if (errno)
		fail(at);
	else
		ask(at);
}

/* Whether any connect is still to be answered; what has waited for too long is not. */
static bool some_pending(void)
{
	const int64_t now = now_ns();

	for (; oldest < count; oldest++) {
		if (attempts[oldest].outcome != PENDING)
			continue;
		if (now - attempts[oldest].began < GIVES_UP)
			return true;
		end(oldest, TIMED_OUT);
	}
	return false;
}

int main(int argc, char **argv)
{
	struct epoll_event ready[EVENTS];
	struct rlimit files;

	if (argc != 6)
		abort();
	const int fd = open_numbers(argv[1]), most = atoi(argv[3]);
	const int64_t patience = atoi(argv[5]) * MILLISECOND, began = now_ns();
	int64_t last_told = began;
	int crashes = 0;

	server.sin_port = htons((uint16_t)atoi(argv[2]));
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	gap = atoi(argv[4]) * MILLISECOND;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	poller = epoll_create1(EPOLL_CLOEXEC);

	bool is_over = false;
	for (int64_t due = began; some_pending() || !is_over;) {
		const bool is_last = crashes == most || (crashes && now_ns() - began > patience);

		if (crash_due == INT64_MAX && now_ns() - last_told > DEADLINE)
			abort();
		if (now_ns() >= crash_due) {
			last_told = now_ns();
			crash_due = INT64_MAX;
			is_over = is_last;
			if (!is_over) {
				phase = ++crashes * MILLISECOND / most;
				crashed = answering;
				last_crash = count;
				attempt(true);
			}
		}
		for (; due <= now_ns() && !is_over; due += MILLISECOND)
			attempt(false);

		const int64_t next = due < crash_due ? due : crash_due;
		const int64_t left = is_over ? MILLISECOND : next - now_ns();
		const struct timespec pause = {.tv_nsec = left > 0 ? left : 0};
		const int found = epoll_pwait2(poller, ready, EVENTS, &pause, NULL);

		for (int i = 0; i < found; i++)
			go_on((size_t)ready[i].data.u64);
	}
	for (size_t at = 0; at < count; at++)
		report(fd, (const int64_t *)&attempts[at], sizeof *attempts);
}
