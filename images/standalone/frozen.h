/* What freeze.py generates. */
struct c_function {
	const char *name;
	void *address;
};

/* The functions that rebound asks ctypes for; the last has no name. */
extern const struct c_function c_functions[];
