/*
 * The snapshot: Python as it is once all modules are loaded, kept in the program.
 *
 * While the program is built it is run once, without SNAPSHOT_TAKEN; it writes down its state,
 * and snapshot.py puts that into the program.  From then on the kernel itself maps the state,
 * and each start only renews what belongs to the process.
 */
/* Whether this program holds a snapshot. */
extern int snapshot_is_taken;

/*
 * Before Python starts: has its memory come from the section that is kept.  The file says which
 * pieces of it are written to later; there may be none.
 */
void snapshot_prepare(const char *path);

/* Writes the state to a file, its map and pieces beside it; returns -1 with Python's error set. */
int snapshot_take(const char *path);

/*
 * Renews what belongs to the process; returns -1 with Python's error set.  The last two are the
 * -X options of inherited.h.
 */
int snapshot_restore(int argc, char **argv, const char *signals, const char *lc_ctype);
