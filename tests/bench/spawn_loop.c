/* spawn_loop COMMAND [ARGS…] - run a command again and again: the least that a restart costs. */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc < 2)
		abort();
	for (;;) {
		pid_t pid;

		if (posix_spawnp(&pid, argv[1], NULL, NULL, argv + 1, environ))
			abort();
		waitpid(pid, NULL, 0);
	}
}
