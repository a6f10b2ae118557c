/*
 * A command that makes hardly a system call, so that a seccomp profile meets rebound alone.
 *
 * It crashes in its first run.  In the next it leaves a child that says when it is asked to
 * stop; says that it is ready, and waits.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say(const char *line)
{
	if (write(1, line, strlen(line)) < 0)
		_exit(1);
}

static void asked(int signo)
{
	say("asked\n");
	_exit(signo);
}

int main(void)
{
	const char *restarts = getenv("REBOUND_RESTARTS");

	if (restarts && !strcmp(restarts, "0"))
		_exit(9);
	if (!fork())
		signal(SIGTERM, asked);
	else
		say("ready\n");
	for (;;)
		pause();
}
