/*
 * A command that makes hardly a system call, so that a seccomp profile meets rebound alone.
 *
 * It crashes in its first run.  In the next it leaves a child that says when it is asked to
 * stop; says that it is ready, and waits.  Where it may store descriptors, it does; whether that
 * succeeds is no matter.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
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

static void store(const char *path, char *message, int fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct iovec text = {.iov_base = message, .iov_len = strlen(message)};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct msghdr all = {
		.msg_name = &address, .msg_namelen = sizeof(address),
		.msg_iov = &text, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	const int sender = socket(AF_UNIX, SOCK_DGRAM, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	sendmsg(sender, &all, MSG_DONTWAIT);
	close(sender);
}

int main(void)
{
	const char *restarts = getenv("REBOUND_RESTARTS");
	const char *path = getenv("FDSTORE") ? getenv("NOTIFY_SOCKET") : NULL;
	int ends[2];

	if (path && !pipe(ends)) {
		store(path, "FDSTORE=1", 1);
		store(path, "FDSTORE=1", ends[0]);
		store(path, "FDSTORE=1", ends[0]);
		store(path, "READY=1", 1);
		close(ends[0]);
		close(ends[1]);
	}
	if (restarts && !strcmp(restarts, "0"))
		_exit(9);
	if (!fork())
		signal(SIGTERM, asked);
	else
		say("ready\n");
	for (;;)
		pause();
}
