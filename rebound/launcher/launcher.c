/*
 * The command `rebound`: starts the Python that rebound was installed for, with rebound.
 *
 * A #! line cannot do it.  pip writes the interpreter into it but no -I, without which
 * Python runs what PYTHONPATH and its kin bring, and they are meant for the command.  A
 * shell in between loses environment variables whose names are no identifiers, and adds
 * PWD.  And neither can hold the signals that arrive while Python starts.  This can: it
 *
 *   - blocks all signals; pending signals and the mask survive execve(2);
 *   - notes the mask and the ignored signals, since Python ignores SIGPIPE and SIGXFSZ;
 *   - notes LC_CTYPE, which Python sets in the C locale (PEP 538);
 *   - takes the interpreter from the first line of `rebound-python`, which pip installs
 *     beside this file and whose "#!python" it replaces;
 *   - execs it isolated (-I) and without `site` (-S), in UTF-8 mode, so that any bytes in
 *     the arguments come out as they went in.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef __linux__
#error "rebound needs Linux: signalfd, pidfd, epoll, and a subreaper"
#endif

#define OWN_ERROR 125
#define LAST_SIGNAL 64
#define SIGSET_BYTES (LAST_SIGNAL / 8)

static _Noreturn void fail(const char *what, const char *path)
{
	fprintf(stderr, "rebound: %s %s: %s\n", what, path, strerror(errno));
	_exit(OWN_ERROR);
}

/* The system calls themselves: the C library hides signals 32 and 33, its own. */
static unsigned long long block_signals(void)
{
	unsigned long long all = ~0ULL, before = 0;

	if (syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, &before, SIGSET_BYTES))
		fail("cannot block", "signals");
	return before;
}

static unsigned long long ignored_signals(void)
{
	unsigned long long ignored = 0;

	for (int signo = 1; signo <= LAST_SIGNAL; signo++) {
		/* struct kernel_sigaction: its first word is the handler */
		unsigned long action[16] = {0};

		if (syscall(SYS_rt_sigaction, signo, NULL, action, SIGSET_BYTES) == 0 &&
		    action[0] == (unsigned long)SIG_IGN)
			ignored |= 1ULL << (signo - 1);
	}
	return ignored;
}

/* PATH_MAX bytes at `script` become the path of rebound-python. */
static void find_script(char *script)
{
	/* As execve(2) was told: unlike /proc/self/exe always there, unlike argv[0] true. */
	const char *self = (const char *)getauxval(AT_EXECFN);
	const char suffix[] = "-python";

	if (!self || !realpath(self, script))
		fail("cannot find itself at", self ? self : "?");
	if (strlen(script) + sizeof suffix > PATH_MAX) {
		errno = ENAMETOOLONG;
		fail("cannot find the script beside", script);
	}
	strcat(script, suffix);
}

/*
 * "#!/path/python", or, where the path has blanks or is too long for the kernel, as pip and
 * uv write it, "#!/bin/sh" and in the next line "'''exec' "/path/python" "$0" "$@"".
 */
static void read_interpreter(const char *script, char *path)
{
	char line[PATH_MAX + 32];
	FILE *file = fopen(script, "re");
	const char *start = NULL, *end = "\n";

	if (!file)
		fail("cannot read", script);
	if (fgets(line, sizeof line, file) && !strncmp(line, "#!/", 3)) {
		start = line + 2;
		if (!strcmp(start, "/bin/sh\n")) {
			start = fgets(line, sizeof line, file) ? strchr(line, '/') : NULL;
			end = "\"'\n";
		}
	}
	fclose(file);
	if (!start || strcspn(start, end) >= PATH_MAX) {
		errno = ENOEXEC;
		fail("no interpreter in the first line of", script);
	}
	memcpy(path, start, strcspn(start, end));
	path[strcspn(start, end)] = '\0';
}

int main(int argc, char **argv)
{
	const unsigned long long mask = block_signals();
	char script[PATH_MAX], python[PATH_MAX], told[64];
	const char *lc_ctype = getenv("LC_CTYPE");
	char *lc_option = NULL;
	char **args = calloc((size_t)argc + 12, sizeof *args);
	size_t count = 0;

	find_script(script);
	read_interpreter(script, python);
	snprintf(told, sizeof told, "rebound=%llx,%llx", mask, ignored_signals());
	if (!args || (lc_ctype && asprintf(&lc_option, "lc_ctype=%s", lc_ctype) < 0)) {
		errno = ENOMEM;
		fail("cannot start", python);
	}
	args[count++] = python;
	args[count++] = "-IS";
	args[count++] = "-X";
	args[count++] = "utf8";
	args[count++] = "-X";
	args[count++] = told;
	if (lc_option) {
		args[count++] = "-X";
		args[count++] = lc_option;
	}
	args[count++] = script;
	for (int i = 1; i < argc; i++)
		args[count++] = argv[i];
	execv(python, args);
	fail("cannot run its interpreter", python);
}
