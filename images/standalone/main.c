/*
 * The standalone `rebound`: CPython, its modules and rebound's in one static program.
 *
 * It starts Python as the launcher does, isolated, without `site`, in UTF-8 mode, with all
 * signals blocked before; but nothing comes from a file system, and no signal disposition
 * is changed.
 */
#include "frozen.h"
#include "inherited.h"

#ifndef COMMIT	/* build.sh tells which one, for `rebound -v --version` */
#define COMMIT "unknown"
#endif

/* The rest of libpython's lists, which would bring in modules that are not in use. */
static const struct _module_alias no_aliases[] = {{0}};
static const struct _frozen no_modules[] = {{0}};
const struct _module_alias *_PyImport_FrozenAliases = no_aliases;
const struct _frozen *_PyImport_FrozenTest = no_modules;
const struct _frozen *PyImport_FrozenModules;

int _Py_Deepfreeze_Init(void)
{
	return 0;
}

void _Py_Deepfreeze_Fini(void)
{
}

static PyStatus add_option(PyConfig *config, const char *option)
{
	wchar_t *wide = Py_DecodeLocale(option, NULL);
	PyStatus status;

	if (!wide)
		return PyStatus_NoMemory();
	status = PyWideStringList_Append(&config->xoptions, wide);
	PyMem_RawFree(wide);
	return status;
}

static PyStatus start_python(int argc, char **argv, const struct inherited *inherited)
{
	PyPreConfig before;
	PyConfig config;
	PyStatus status;

	PyPreConfig_InitIsolatedConfig(&before);
	before.utf8_mode = 1;	/* any bytes in the arguments come out as they went in */
	status = Py_PreInitialize(&before);
	if (PyStatus_Exception(status))
		return status;

	PyConfig_InitIsolatedConfig(&config);
	config.site_import = 0;
	config.install_signal_handlers = 0;
	config.pathconfig_warnings = 0;
	config.module_search_paths_set = 1;	/* there are none */
	/* What getpath would otherwise look for on disk. */
	status = PyConfig_SetString(&config, &config.home, L"/");
	if (!PyStatus_Exception(status))
		status = PyConfig_SetString(&config, &config.executable, L"/");
	if (!PyStatus_Exception(status))
		status = PyConfig_SetBytesArgv(&config, argc, argv);
	if (!PyStatus_Exception(status))
		status = add_option(&config, inherited->signals);
	if (!PyStatus_Exception(status))
		status = add_option(&config, "commit=" COMMIT);
	if (!PyStatus_Exception(status) && inherited->lc_ctype)
		status = add_option(&config, inherited->lc_ctype);
	if (!PyStatus_Exception(status))
		status = Py_InitializeFromConfig(&config);
	PyConfig_Clear(&config);
	return status;
}

int main(int argc, char **argv)
{
	struct inherited inherited = take_inherited();
	PyStatus status = start_python(argc, argv, &inherited);
	PyObject *cli, *result;

	if (PyStatus_Exception(status)) {
		fprintf(stderr, "rebound: cannot start Python: %s\n",
			status.err_msg ? status.err_msg : "?");
		return OWN_ERROR;
	}
	PyGC_Disable();	/* importing makes no garbage worth the time to look for it */
	cli = PyImport_ImportModule("rebound.cli");
	PyGC_Enable();
	result = cli ? PyObject_CallMethod(cli, "main", NULL) : NULL;
	if (!result) {
		PyErr_Print();
		return OWN_ERROR;
	}
	/* Python is not finalised: nothing is buffered, and the kernel frees memory faster. */
	return (int)PyLong_AsLong(result);
}
