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
#include <limits.h>
#include <sys/auxv.h>

#include "inherited.h"

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
	struct inherited inherited = take_inherited();
	char script[PATH_MAX], python[PATH_MAX];
	char **args = calloc((size_t)argc + 12, sizeof *args);
	size_t count = 0;

	find_script(script);
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
