/* spawn_loop COUNT COMMAND [ARGS…] - run a command so often: the least that a restart costs. */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc < 3)
		abort();
	for (int count = atoi(argv[1]); count > 0; count--) {
		pid_t pid;

		if (posix_spawnp(&pid, argv[2], NULL, NULL, argv + 2, environ))
			abort();
		waitpid(pid, NULL, 0);
	}
	return 0;
}
