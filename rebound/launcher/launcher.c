/*
 * The command `rebound`: starts the Python that rebound was installed for, with rebound.
 *
 * A #! line cannot do this.  pip writes the interpreter into it, but not -I.  Without -I
 * Python obeys PYTHONPATH and the like, which are meant for the command.  A shell in between
 * loses environment variables whose names are not identifiers, and adds PWD.  Neither of them
 * keeps the signals that arrive while Python starts.  The launcher
 *
 *   - blocks all signals; pending signals and the mask survive execve(2);
 *   - notes the mask and the ignored signals, since Python ignores SIGPIPE and SIGXFSZ;
 *   - notes LC_CTYPE, which Python sets in the C locale (PEP 538);
 *   - takes the interpreter from the first line of `rebound-python`, which pip installs
 *     beside this file and whose "#!python" it replaces;
 *   - execs it isolated (-I) and without `site` (-S), in UTF-8 mode, which keeps every byte
 *     of the arguments.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <stdbool.h>
#include <sys/auxv.h>

#include "inherited.h"

/* Whether the PATH_MAX bytes at `script` become that of a rebound-python beside `self`. */
static bool is_beside(const char *self, char *script)
{
	const char suffix[] = "-python";

	if (!realpath(self, script))
		return false;
	if (strlen(script) + sizeof suffix > PATH_MAX) {
		errno = ENAMETOOLONG;
		return false;
	}
	strcat(script, suffix);
	/* A seccomp profile may refuse to tell: then reading the file shows it. */
	return access(script, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

/*
 * PATH_MAX bytes at `script` become the path of rebound-python, which is beside the launcher.
 * No name of the launcher is always right, so each counts only if there is such a file:
 *
 *   - /proc/self/exe is the launcher itself.  But /proc may be missing; below ld.so or an
 *     emulator the link leads to them; and it fails if the launcher has been replaced meanwhile;
 *   - AT_EXECFN is the path given to execve(2): if a #! line names the launcher, the script;
 *   - argv[0] is then the path in the #! line, see binfmt_script.c.  Otherwise the caller chose
 *     it: without a slash it was not a path, and must not lead into the working directory.
 */
static void find_script(char *script, const char *argv0)
{
	const char *told = (const char *)getauxval(AT_EXECFN);
	const char *names[] = {"/proc/self/exe", told, argv0 && strchr(argv0, '/') ? argv0 : NULL};
	int error = 0;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (names[i] && is_beside(names[i], script))
			return;
		if (!error)
			error = errno;
	}
	if (!realpath("/proc/self/exe", script))
		snprintf(script, PATH_MAX, "%s", told ? told : "?");
	errno = error;
	fail("cannot find the script beside", script);
}

/*
 * "#!/path/python".  If the path has blanks or is too long for the kernel, pip and uv write
 * "#!/bin/sh" and in the next line "'''exec' "/path/python" "$0" "$@"".
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
	struct inherited inherited = take_inherited();
	char script[PATH_MAX], python[PATH_MAX];
	char **args = calloc((size_t)argc + 12, sizeof *args);
	size_t count = 0;

	find_script(script, argv[0]);
	read_interpreter(script, python);
	if (!args) {
		errno = ENOMEM;
		fail("cannot start", python);
	}
	args[count++] = python;
	args[count++] = "-IS";
	args[count++] = "-X";
	args[count++] = "utf8";
	args[count++] = "-X";
	args[count++] = inherited.signals;
	if (inherited.lc_ctype) {
		args[count++] = "-X";
		args[count++] = inherited.lc_ctype;
	}
	args[count++] = script;
	for (int i = 1; i < argc; i++)
		args[count++] = argv[i];
	execv(python, args);
	fail("cannot run its interpreter", python);
}
