/*
 * The standalone `rebound`: CPython, its modules and rebound's in one static program.
 *
 * It starts Python as the launcher does, isolated, without `site`, in UTF-8 mode, with all
 * signals blocked before; but nothing comes from a file system, and no signal disposition
 * is changed.
 */
#include "frozen.h"
#include "inherited.h"
#include "snapshot.h"

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
#ifdef SNAPSHOT
	/* The hashes are in the snapshot: docs/design.md says why it is harmless to know them. */
	config.use_hash_seed = 1;
	config.hash_seed = 1;
#endif
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

/* rebound uses descriptors only; Python's own last words go to stderr. */
static int drop_streams(void)
{
	static const char *const names[] = {"stdin", "__stdin__", "stdout", "__stdout__"};

	for (int which = 0; which < 4; which++)
		if (PySys_SetObject(names[which], Py_None) < 0)
			return -1;
	return 0;
}

static int report_error(void)
{
	PyErr_Print();
	return OWN_ERROR;
}

#ifdef SNAPSHOT
static int load(const char *name)
{
	PyObject *module = PyImport_ImportModule(name);

	Py_XDECREF(module);	/* it stays in sys.modules */
	return module ? 0 : -1;
}

/* Whatever is asked for later is there then: the snapshot has nothing to load it from. */
static int load_all_modules(void)
{
	for (const struct _frozen *module = _PyImport_FrozenStdlib; module->name; module++)
		if (load(module->name) < 0)
			return -1;
	for (const struct _inittab *module = PyImport_Inittab; module->name; module++)
		if (load(module->name) < 0)
			return -1;
	return 0;
}
#endif

static PyObject *cli;

static int load_python(int argc, char **argv, const struct inherited *inherited)
{
	PyStatus status = start_python(argc, argv, inherited);

	if (PyStatus_Exception(status)) {
		fprintf(stderr, "rebound: cannot start Python: %s\n",
			status.err_msg ? status.err_msg : "?");
		return OWN_ERROR;
	}
	PyGC_Disable();	/* importing makes no garbage worth the time to look for it */
	cli = PyImport_ImportModule("rebound.cli");
	PyGC_Enable();
	return cli && drop_streams() == 0 ? 0 : report_error();
}

#ifdef SNAPSHOT
/* Once, while the program is built: writes the snapshot to the file that is its first argument. */
static int take_snapshot(int argc, char **argv)
{
	const struct inherited nothing = {"rebound=0,0", NULL};

	if (argc < 2)
		return OWN_ERROR;
	snapshot_prepare(argc > 2 ? argv[2] : NULL);
	if (load_python(0, NULL, &nothing))
		return OWN_ERROR;
	return load_all_modules() < 0 || snapshot_take(argv[1]) < 0 ? report_error() : 0;
}
#endif

int main(int argc, char **argv)
{
	struct inherited inherited;
	PyObject *result;

#ifdef SNAPSHOT
	if (!snapshot_is_taken)
		return take_snapshot(argc, argv);
	inherited = take_inherited();
	if (snapshot_restore(argc, argv, inherited.signals, inherited.lc_ctype) < 0)
		return report_error();
#else
	inherited = take_inherited();
	if (load_python(argc, argv, &inherited))
		return OWN_ERROR;
#endif
	result = PyObject_CallMethod(cli, "main", NULL);
	if (!result)
		return report_error();
	/* Python is not finalised: nothing is buffered, and the kernel frees memory faster. */
	return (int)PyLong_AsLong(result);
}
