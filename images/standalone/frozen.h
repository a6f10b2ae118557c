/*
 * What freeze.py generates: all that takes the place of libpython's own lists of modules,
 * so that only what is in use is in the program; and the functions for ctypes.
 */
#define _GNU_SOURCE
#define Py_BUILD_CORE
#include <Python.h>
#include <internal/pycore_import.h>

/* The modules' code: only as long as they are loaded.  The snapshot is without it. */
#define FROZEN_CODE __attribute__((section("frozen_code")))

struct c_function {
	const char *name;
	void *address;
};

/* The functions that rebound asks ctypes for; the last has no name. */
extern const struct c_function c_functions[];
