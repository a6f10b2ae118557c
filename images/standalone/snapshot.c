/*
 * Takes and restores the snapshot, see snapshot.h.
 *
 * It relies on what CPython keeps to itself; docs/design.md lists it.  So it knows one version.
 */
#include "frozen.h"
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <internal/pycore_code.h>
#include <internal/pycore_interp.h>
#include <internal/pycore_opcode.h>
#include <internal/pycore_pystate.h>
#include <internal/pycore_runtime.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if PY_VERSION_HEX >> 16 != 0x030b
#error "the snapshot knows Python 3.11 only: read docs/design.md, 'The snapshot', first"
#endif

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

extern char **environ;
extern char snapshot_start[], heap_start[], heap_end[];	/* snapshot.ld */

int snapshot_is_taken;

/* Whether it is being taken: what the C library takes before is its own business. */
static int keeps;

/* What is renewed at each start; borrowed from their modules. */
static PyObject *environment, *options, *signal_module;

static _Noreturn void refuse(const char *why)
{
	fprintf(stderr, "rebound: no snapshot: %s\n", why);
	_exit(1);
}

/*
 * The heap: all memory that Python takes until the snapshot is taken.  A block is a header, and
 * as many bytes as that says at a multiple of 16.  What is free is zero, so that nothing forgotten
 * gets into the snapshot: an address of the process that took it, or a difference between two
 * builds.
 *
 * Afterwards it only shrinks: memory comes from the C library and from Python's own allocator,
 * and what is freed in here stays as it is.  So what is written later lies close together, and
 * a page of the snapshot is copied only where a kept object changes.
 */
#define ALIGNMENT 16
#define CLASSES 33	/* up to 512 bytes; class 0 has all that is larger */

struct header {
	unsigned size;
	unsigned number;	/* counted from the first one, and the same in each run */
};

struct free_block {
	struct free_block *next;
};

static char *written_top;	/* the end of the blocks that are written to, which come first */
static char *heap_rest;		/* where the others begin, and */
static char *heap_top;		/* end */
static unsigned blocks;		/* how many there have been */
static struct free_block *free_blocks[CLASSES];

/*
 * The blocks that a start writes to, a bit each: they come first, and together, so that few pages
 * are copied.  See written.py.
 */
#define MOST_BLOCKS (1 << 18)

static struct {
	unsigned long size;
	unsigned char blocks[MOST_BLOCKS / 8];
} written;

static int in_heap(const void *block)
{
	return (const char *)block >= heap_start && (const char *)block < heap_end;
}

static struct header *header_of(const void *block)
{
	return (struct header *)block - 1;
}

static size_t rounded(size_t wanted)
{
	const size_t header = sizeof(struct header);

	return (wanted + header + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT - header;
}

static int fits(size_t size, size_t wanted)
{
	return size >= wanted && size <= wanted + wanted / 4;
}

static struct free_block **blocks_like(size_t size)
{
	const size_t class = (size + sizeof(struct header)) / ALIGNMENT;

	return &free_blocks[class < CLASSES ? class : 0];
}

/* The memory is zero. */
static void *heap_malloc(void *unused, size_t wanted)
{
	const size_t size = rounded(wanted);
	struct free_block **at = blocks_like(size);
	const unsigned number = blocks++;
	char *block, **top = &heap_top;

	(void)unused;
	if (number < MOST_BLOCKS && written.blocks[number / 8] >> number % 8 & 1 &&
	    (!heap_rest || size + sizeof(struct header) <= (size_t)(heap_rest - written_top))) {
		top = &written_top;
	} else {
		while (*at && !fits(header_of(*at)->size, size))
			at = &(*at)->next;
		if (*at) {
			block = (char *)*at;
			*at = (*at)->next;
			memset(block, 0, sizeof(struct free_block));
			header_of(block)->number = number;
			return block;
		}
	}
	if (!heap_top) {
		written_top = heap_start + sizeof(struct header);
		heap_rest = written_top + (written.size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
		heap_top = heap_rest;
	}
	if (wanted > INT_MAX || size + sizeof(struct header) > (size_t)(heap_end - *top))
		refuse("the heap of snapshot.ld is full");
	block = *top + sizeof(struct header);
	*top = block + size;
	*header_of(block) = (struct header){size, number};
	return block;
}

static void *heap_calloc(void *unused, size_t count, size_t size)
{
	size_t wanted;

	if (__builtin_mul_overflow(count, size, &wanted))
		return NULL;
	return heap_malloc(unused, wanted);
}

static void heap_free(void *unused, void *block)
{
	struct free_block *freed = block, **others;

	(void)unused;
	if (!block)
		return;
	memset(block, 0, header_of(block)->size);
	if ((char *)block < written_top)
		return;
	others = blocks_like(header_of(block)->size);
	freed->next = *others;
	*others = freed;
}

static void *heap_realloc(void *unused, void *block, size_t wanted)
{
	void *copy;

	if (block && wanted <= header_of(block)->size) {
		blocks++;	/* whether it fits depends on what lies where; the numbers must not */
		memset((char *)block + wanted, 0, header_of(block)->size - wanted);
		return block;
	}
	copy = heap_malloc(unused, wanted);
	if (block)
		memcpy(copy, block, header_of(block)->size);
	heap_free(unused, block);
	return copy;
}

/* Python's own allocator of small objects, and its mmap(2): in use from the snapshot on. */
static PyMemAllocatorEx python;
static PyObjectArenaAllocator arenas;

static void *kept_realloc(void *unused, void *block, size_t wanted)
{
	void *copy;

	(void)unused;
	if (!in_heap(block))
		return python.realloc(python.ctx, block, wanted);
	copy = python.malloc(python.ctx, wanted);
	if (copy)
		memcpy(copy, block, wanted < header_of(block)->size ? wanted : header_of(block)->size);
	return copy;
}

static void kept_free(void *unused, void *block)
{
	(void)unused;
	if (!in_heap(block))
		python.free(python.ctx, block);
}

static void kept_arena_free(void *unused, void *arena, size_t size)
{
	(void)unused;
	if (!in_heap(arena))
		arenas.free(arenas.ctx, arena, size);
}

static void heap_arena_free(void *unused, void *arena, size_t size)
{
	(void)size;
	heap_free(unused, arena);
}

/* The C library's allocator, in the linker's words (--wrap). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);

void *__wrap_malloc(size_t size)
{
	return keeps ? heap_malloc(NULL, size) : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return keeps ? heap_calloc(NULL, count, size) : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
	void *copy;

	if (keeps && (!block || in_heap(block)))
		return heap_realloc(NULL, block, size);
	if (!in_heap(block))
		return __real_realloc(block, size);
	copy = __real_malloc(size);
	if (copy)
		memcpy(copy, block, size < header_of(block)->size ? size : header_of(block)->size);
	return copy;
}

void __wrap_free(void *block)
{
	if (!in_heap(block))
		__real_free(block);
	else if (keeps)
		heap_free(NULL, block);
}

/* --- The snapshot is taken ----------------------------------------------------------- */

void snapshot_prepare(const char *path)
{
	PyMemAllocatorEx heap = {NULL, heap_malloc, heap_calloc, heap_realloc, heap_free};
	PyObjectArenaAllocator heap_arenas = {NULL, heap_malloc, heap_arena_free};

	/* A build under nohup(1) ignores SIGHUP; the program does as its own parent says. */
	for (int signo = 1; signo < _NSIG; signo++)
		signal(signo, SIG_DFL);
	if (path) {
		const int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || read(fd, &written, sizeof written) < 0)
			refuse(strerror(errno));
		close(fd);
	}
	keeps = 1;
	PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, &python);
	PyObject_GetArenaAllocator(&arenas);
	PyMem_SetAllocator(PYMEM_DOMAIN_MEM, &heap);
	PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, &heap);
	PyObject_SetArenaAllocator(&heap_arenas);
}

/* What a process has, but no file can hold. */
static void refuse_leftovers(void)
{
	if (PyThreadState_Next(PyInterpreterState_ThreadHead(PyInterpreterState_Main())))
		refuse("a module has started a thread");
	for (int fd = STDERR_FILENO + 1; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			refuse("a module has opened a descriptor");
}

static int open_for_writing(const char *path, const char *suffix)
{
	char name[4096];
	int fd;

	snprintf(name, sizeof name, "%s%s", path, suffix);
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		refuse(strerror(errno));
	return fd;
}

static void write_all(int fd, const char *data, size_t size)
{
	while (size) {
		const ssize_t written = write(fd, data, size);

		if (written < 0)
			refuse(strerror(errno));
		data += written;
		size -= written;
	}
}

/* Where the process has memory: no address of it may be in the snapshot, see snapshot.py. */
static void write_map(const char *path)
{
	const int from = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	const int to = open_for_writing(path, ".map");
	char part[4096];
	ssize_t size;

	if (from < 0)
		refuse("no /proc/self/maps");
	while ((size = read(from, part, sizeof part)) > 0)
		write_all(to, part, size);
	close(to);
	close(from);
}

static char *next_block(char *block)
{
	block = block ? block + header_of(block)->size + sizeof(struct header)
		      : heap_start + ALIGNMENT;
	if (!header_of(block)->size && block < heap_rest)
		block = heap_rest + sizeof(struct header);	/* the room was too large */
	return block < heap_top ? block : NULL;
}

static PyCodeObject *as_code(char *block)
{
	PyCodeObject *code = (PyCodeObject *)block;
	const size_t size = header_of(block)->size;

	return size >= sizeof *code && Py_IS_TYPE(code, &PyCode_Type) &&
			       fits(size, rounded(offsetof(PyCodeObject, co_code_adaptive) +
						  Py_SIZE(code) * sizeof(_Py_CODEUNIT)))
		       ? code
		       : NULL;
}

/*
 * Instructions that Python has made special for what they have seen, as PEP 659 has it, are made
 * general again: they have seen the thread's identity, which is an address.
 */
static void forget_seen(void)
{
	for (char *block = next_block(NULL); block; block = next_block(block)) {
		PyCodeObject *code = as_code(block);
		_Py_CODEUNIT *at = code ? _PyCode_CODE(code) : NULL;
		_Py_CODEUNIT *const end = code ? at + Py_SIZE(code) : NULL;

		for (; at < end; at++) {
			const int opcode = _PyOpcode_Deopt[_Py_OPCODE(*at)];

			*at = _Py_MAKECODEUNIT(opcode, _Py_OPARG(*at));
			for (int caches = _PyOpcode_Caches[opcode]; caches; caches--)
				*++at = _Py_MAKECODEUNIT(0, 0);
		}
		if (code)
			code->co_warmup = QUICKENING_INITIAL_WARMUP_VALUE;
	}
}

/* The numbers and sizes of all blocks, and the names of functions, from which to count. */
static void write_blocks(const char *path)
{
	const int to = open_for_writing(path, ".blocks");

	for (char *block = next_block(NULL); block; block = next_block(block)) {
		struct header *header = header_of(block);
		PyCodeObject *code = as_code(block);

		dprintf(to, "%td %u %u %s %s\n", block - snapshot_start, header->size, header->number,
			code ? PyUnicode_AsUTF8(code->co_filename) : "",
			code ? PyUnicode_AsUTF8(code->co_qualname) : "");
		header->number = 0;
	}
	close(to);
}

int snapshot_take(const char *path)
{
	static const struct _frozen no_modules[] = {{0}};
	PyObject *posix = PyImport_ImportModule("posix"), *gc = PyImport_ImportModule("gc");
	PyThreadState *thread = PyThreadState_Get();
	PyMemAllocatorEx kept = python;
	PyObjectArenaAllocator kept_arenas = arenas;
	PyObject *done;
	int fd;

	if (!posix || !gc)
		return -1;
	signal_module = PyImport_ImportModule("_signal");
	environment = PyObject_GetAttrString(posix, "environ");	/* os.environ changes it, too */
	options = PySys_GetObject("_xoptions");
	if (!signal_module || !environment || !options)
		return -1;
	PyDict_Clear(environment);
	PyType_ClearCache();	/* a new entry would write to the names of an old one, anywhere */
	PyGC_Collect();
	done = PyObject_CallMethod(gc, "freeze", NULL);	/* no collection writes to these objects */
	if (!done)
		return -1;
	Py_DECREF(done);
	refuse_leftovers();
	forget_seen();

	/* They are loaded, and snapshot.py cuts their code off. */
	_PyImport_FrozenBootstrap = _PyImport_FrozenStdlib = no_modules;
	/* Addresses of this process; snapshot_restore has those of its own. */
	_PyRuntime.main_thread = thread->thread_id = thread->native_thread_id = 0;
	kept.realloc = kept_realloc;
	kept.free = kept_free;
	kept_arenas.free = kept_arena_free;
	PyMem_SetAllocator(PYMEM_DOMAIN_MEM, &kept);
	PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, &kept);
	PyObject_SetArenaAllocator(&kept_arenas);
	keeps = 0;
	snapshot_is_taken = 1;

	memset(&written, 0, sizeof written);
	write_blocks(path);
	fd = open_for_writing(path, "");
	write_all(fd, snapshot_start, heap_top - snapshot_start);
	close(fd);
	write_map(path);
	return 0;
}

/* --- It is restored ------------------------------------------------------------------ */

/*
 * Has the kernel copy at once what each start writes to, instead of page after page.  Linux before
 * 5.14 does not know how, and does without.
 */
static void copy_written(void *start, void *end)
{
	const size_t page = sysconf(_SC_PAGESIZE), from = (size_t)start / page * page;

	madvise((void *)from, ((size_t)end - from + page - 1) / page * page, MADV_POPULATE_WRITE);
}

static int renew_thread(void)
{
	PyThreadState *thread = PyThreadState_Get();
	Py_tss_t *key = &_PyRuntime.gilstate.autoTSSkey;

	/* The C library has no such key in this process. */
	key->_is_initialized = 0;
	if (PyThread_tss_create(key) || PyThread_tss_set(key, thread)) {
		PyErr_NoMemory();
		return -1;
	}
	thread->thread_id = PyThread_get_thread_ident();
	/* The thread's number in the kernel, the main thread's identity, and all locks. */
	PyOS_AfterFork_Child();
	return 0;
}

static int renew_arguments(int argc, char **argv)
{
	static const char *const names[] = {"argv", "orig_argv"};

	for (int which = 0; which < 2; which++) {
		PyObject *list = PyList_New(0);

		/* As PyConfig_SetBytesArgv has it: never empty, and any bytes come out as they were. */
		for (int i = 0; list && i < (argc ? argc : 1); i++) {
			PyObject *word = PyUnicode_DecodeFSDefault(argc ? argv[i] : "");

			if (!word || PyList_Append(list, word) < 0)
				Py_CLEAR(list);
			Py_XDECREF(word);
		}
		if (!list || PySys_SetObject(names[which], list) < 0)
			return -1;
		Py_DECREF(list);
	}
	return 0;
}

/* As posix makes it; the first one of a name counts. */
static int renew_environment(void)
{
	for (char **entry = environ; *entry; entry++) {
		const char *equals = strchr(*entry, '=');
		PyObject *name, *value, *kept = NULL;

		if (!equals)
			continue;
		name = PyBytes_FromStringAndSize(*entry, equals - *entry);
		value = PyBytes_FromString(equals + 1);
		if (name && value)
			kept = PyDict_SetDefault(environment, name, value);
		Py_XDECREF(name);
		Py_XDECREF(value);
		if (!kept)
			return -1;
	}
	return 0;
}

static int renew_option(const char *option)
{
	const char *equals = strchr(option, '=');
	PyObject *name = PyUnicode_FromStringAndSize(option, equals - option);
	PyObject *value = PyUnicode_DecodeFSDefault(equals + 1);
	const int failed = !name || !value || PyDict_SetItem(options, name, value) < 0;

	Py_XDECREF(name);
	Py_XDECREF(value);
	return failed ? -1 : 0;
}

static int set_handler(int signo, const char *name)
{
	PyObject *handler = PyObject_GetAttrString(signal_module, name);
	PyObject *old = handler ? PyObject_CallMethod(signal_module, "signal", "iO", signo, handler)
				: NULL;

	Py_XDECREF(handler);
	Py_XDECREF(old);
	if (!old && PyErr_ExceptionMatches(PyExc_OSError))
		PyErr_Clear();	/* a seccomp profile refuses: Python's own start ignores that, too */
	return PyErr_Occurred() ? -1 : 0;
}

/* In the snapshot none is ignored, and SIGINT has Python's handler, which it had in that process. */
static int renew_signals(unsigned long long ignored)
{
	struct sigaction action;

	for (int signo = 1; signo < _NSIG; signo++)
		if (ignored >> (signo - 1) & 1 && !sigaction(signo, NULL, &action) &&
		    set_handler(signo, "SIG_IGN") < 0)
			return -1;
	return ignored >> (SIGINT - 1) & 1 ? 0 : set_handler(SIGINT, "default_int_handler");
}

/* stderr is for Python's own last words only.  The number may become another file's. */
static int renew_stderr(void)
{
	if (fcntl(STDERR_FILENO, F_GETFD) >= 0)
		return 0;
	if (PySys_SetObject("stderr", Py_None) < 0)
		return -1;
	return PySys_SetObject("__stderr__", Py_None);
}

int snapshot_restore(int argc, char **argv, const char *signals, const char *lc_ctype)
{
	const unsigned long long ignored = strtoull(strchr(signals, ',') + 1, NULL, 16);

	copy_written(heap_start, written_top);
	copy_written(&_PyRuntime, &_PyRuntime + 1);
	if (renew_thread() < 0 || renew_arguments(argc, argv) < 0 || renew_environment() < 0 ||
	    renew_option(signals) < 0 || (lc_ctype && renew_option(lc_ctype) < 0) ||
	    renew_signals(ignored) < 0 || renew_stderr() < 0)
		return -1;
	return 0;
}
