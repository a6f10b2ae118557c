/*
 * What the machines need and busybox lacks: namespaces, signals with values, messages.
 *
 *   tool enter SHAPE CGROUP PIDFILE COMMAND…   runs it in a cgroup and a container's shape; its status
 *   tool mark TEXT                             says a mark, "@@ SCENARIO: TEXT"
 *   tool send PID SIGNAL VALUE                 queues a signal that carries a value
 *   tool receive                               says each signal with its value; ends on TERM, with status 7
 *   tool notify MESSAGE                        sends it to $NOTIFY_SOCKET
 *   tool daemon                                leaves a daemon, which says when it is asked to stop
 *   tool orphans COUNT                         leaves so many processes that end at once
 *   tool eat [MILLISECONDS]                    takes memory until it is killed, 1 MB each so many
 *
 * SHAPE is `child`: no namespaces; `host`: PIDs and mounts, but the cgroups of the machine;
 * `ro`, `rw`: a cgroup namespace, too, and its cgroup2 mounted read-only or writable.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASKED 7

static void must(int result, const char *what)
{
	if (result < 0)
		err(1, "%s", what);
}

/* Says a mark, each in one write: on stdout, and in a file for the scenario itself. */
static int mark(const char *text)
{
	char line[256];
	int size = snprintf(line, sizeof line, "@@ %s: %s\n", getenv("SCENARIO"), text);
	int file = open(getenv("MARKS"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);

	must(file, "$MARKS");
	must(write(1, line, size), "stdout");
	must(write(file, line, size), "$MARKS");
	close(file);
	return 0;
}

static void put(const char *path, int number)
{
	FILE *file = fopen(path, "w");

	if (!file || fprintf(file, "%d\n", number) < 0 || fclose(file))
		err(1, "%s", path);
}

static pid_t make_process(void)
{
	pid_t pid = fork();

	must(pid, "fork");
	return pid;
}

static void furnish(const char *shape)
{
	int own_cgroups = shape[0] == 'r';
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private mounts");
	must(mount("proc", "/proc", "proc", flags, NULL), "proc");
	must(mount("run", "/run", "tmpfs", flags, NULL), "run");
	if (own_cgroups) {
		must(umount2("/sys/fs/cgroup", MNT_DETACH), "the machine's cgroups");
		must(mount("cgroup", "/sys/fs/cgroup", "cgroup2", flags, NULL), "cgroup2");
		flags |= MS_BIND | MS_REMOUNT | (strcmp(shape, "ro") ? 0 : MS_RDONLY);
		must(mount(NULL, "/sys/fs/cgroup", NULL, flags, NULL), "cgroup2, again");
	}
}

static int enter(const char *shape, const char *cgroup, const char *pid_file, char **command)
{
	char procs[256];
	int is_child = !strcmp(shape, "child"), start[2], status;
	char go;
	pid_t pid;

	snprintf(procs, sizeof procs, "%s/cgroup.procs", cgroup);
	if (!is_child)
		must(unshare(CLONE_NEWPID), "PID namespace");
	must(pipe(start), "pipe");
	pid = make_process();
	if (!pid) {
		if (read(start[0], &go, 1) != 1)
			_exit(1);
		close(start[0]);
		close(start[1]);
		/* The root of a cgroup namespace is the cgroup of whoever makes it. */
		if (!is_child)
			must(unshare(CLONE_NEWNS | (shape[0] == 'r' ? CLONE_NEWCGROUP : 0)), "unshare");
		if (!is_child)
			furnish(shape);
		execvp(command[0], command);
		err(127, "%s", command[0]);
	}
	put(procs, pid);
	put(pid_file, pid);
	must(write(start[1], "", 1), "pipe");
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			err(1, "wait");
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int send_signal(pid_t pid, int signo, int value)
{
	union sigval with = {.sival_int = value};

	must(sigqueue(pid, signo, with), "sigqueue");
	return 0;
}

static int receive(void)
{
	char text[64];
	siginfo_t info;
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	mark("receives");
	for (;;) {
		int signo = sigwaitinfo(&all, &info);

		if (signo == SIGTERM) {
			mark("asked to stop");
			return ASKED;
		}
		if (signo < 0 || signo == SIGCONT || signo == SIGCHLD)
			continue;
		if (info.si_code == SI_QUEUE)
			snprintf(text, sizeof text, "signal %d, value %d", signo, info.si_value.sival_int);
		else
			snprintf(text, sizeof text, "signal %d", signo);
		mark(text);
	}
}

static int notify(const char *message)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t size;

	if (!path)
		errx(1, "no NOTIFY_SOCKET");
	must(fd, "socket");
	size = offsetof(struct sockaddr_un, sun_path) + strlen(path);
	strncpy(address.sun_path, path, sizeof address.sun_path - 1);
	if (path[0] == '@')
		address.sun_path[0] = 0;
	must(sendto(fd, message, strlen(message), 0, (struct sockaddr *)&address, size), path);
	return 0;
}

/* Ends once the daemon is an orphan that can be asked to stop. */
static int leave_daemon(void)
{
	sigset_t stop;
	int ready[2], signo;
	pid_t parent;
	char go;

	must(pipe(ready), "pipe");
	if (make_process()) {
		close(ready[1]);
		return read(ready[0], &go, 1) != 1;
	}
	setsid();
	parent = getpid();
	if (make_process())
		_exit(0);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	while (getppid() == parent)
		usleep(1000);
	must(write(ready[1], "", 1), "pipe");
	close(ready[0]);
	close(ready[1]);
	sigwait(&stop, &signo);
	mark("the daemon shuts down");
	return 0;
}

static int leave_orphans(int count)
{
	while (count--) {
		pid_t pid = make_process();

		if (!pid) {
			make_process();
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	return 0;
}

static void eat(int milliseconds)
{
	for (;;) {
		char *page = malloc(1 << 20);

		if (page)
			memset(page, 1, 1 << 20);
		usleep(milliseconds * 1000);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (argc > 5 && !strcmp(what, "enter"))
		return enter(argv[2], argv[3], argv[4], argv + 5);
	if (argc == 3 && !strcmp(what, "mark"))
		return mark(argv[2]);
	if (argc == 5 && !strcmp(what, "send"))
		return send_signal(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
	if (argc == 2 && !strcmp(what, "receive"))
		return receive();
	if (argc == 3 && !strcmp(what, "notify"))
		return notify(argv[2]);
	if (argc == 2 && !strcmp(what, "daemon"))
		return leave_daemon();
	if (argc == 3 && !strcmp(what, "orphans"))
		return leave_orphans(atoi(argv[2]));
	if (argc >= 2 && !strcmp(what, "eat"))
		eat(argc > 2 ? atoi(argv[2]) : 0);
	errx(2, "see the source");
}
