/*
 * scrape PORT CLIENTS PAUSE - so many clients scrape /metrics again and again, each PAUSE
 * microseconds after its last answer; until it is killed.
 */
#define _GNU_SOURCE
#include "shared.h"
#include <netinet/in.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <signal.h>

static const char request[] = "GET /metrics HTTP/1.1\r\nHost: rebound\r\nConnection: close\r\n\r\n";
static struct sockaddr_in server = {.sin_family = AF_INET};

static void scrape(void)
{
	char answer[65536];
	ssize_t got;
	size_t size = 0;
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof server))
		abort();
	if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0)
		abort();
	while ((got = recv(fd, answer + size, sizeof answer - size, 0)) > 0)
		size += (size_t)got;
	/* Of so many clients none is sent away, and each answer arrives whole. */
	if (got < 0 || size < 6 || memcmp(answer + size - 6, "# EOF\n", 6))
		abort();
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		abort();
	const struct timespec gap = {.tv_nsec = 1000 * atol(argv[3])};

	server.sin_port = htons((uint16_t)atoi(argv[1]));
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int client = atoi(argv[2]); client; client--) {
		if (checked_fork())
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			scrape();
			if (gap.tv_nsec)
				nanosleep(&gap, NULL);
		}
	}
	rest();
}
