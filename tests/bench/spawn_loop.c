/*
 * spawn_loop [-l PORT] COMMAND [ARGS…] - run a command again and again: the least that a
 * restart costs.  With a port each run inherits the same socket that listens there, as
 * descriptor 3.
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void listen_at(int port)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = {htonl(INADDR_LOOPBACK)},
	};
	const int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) ||
	    listen(fd, SOMAXCONN) || (fd != 3 && dup2(fd, 3) != 3))
		abort();
}

int main(int argc, char **argv)
{
	char **command = argv + 1;

	if (argc > 3 && strcmp(argv[1], "-l") == 0) {
		listen_at(atoi(argv[2]));
		command += 2;
	}
	if (!*command)
		abort();
	for (;;) {
		pid_t pid;

		if (posix_spawnp(&pid, command[0], NULL, NULL, command, environ))
			abort();
		waitpid(pid, NULL, 0);
	}
}
