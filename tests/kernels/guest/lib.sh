# What scenarios have in common.  Each has a cgroup of its own, and a log in JSON.
cgroup=/sys/fs/cgroup/$SCENARIO
files=${MARKS%/*}

# mark TEXT: says what was reached.
mark() { tool mark "$*"; }

# eventually COMMAND: waits until it succeeds; the scenario itself has a deadline.
eventually() { until "$@" 2>/dev/null; do usleep 20000; done; }

marked() { grep -q ": $*\$" "$MARKS"; }

# logged EVENT [TEXT]: whether rebound's log has the event, with such fields.
logged() { grep -q "\"event\": \"$1\".*${2-}" "$files/log"; }

# supervise SHAPE ARGUMENT…: runs rebound in a shape (see tool.c), and marks its exit status.
supervise() {
	mkdir -p "${leaf:=$cgroup}"
	shape=$1
	shift
	tool enter "$shape" "$leaf" "$files/pid" \
		rebound -v --log-format json --log-file "$files/log" "$@"
	mark "status $?"
}

# signal NAME: to rebound, from outside of its container.
signal() { kill "-$1" "$(cat "$files/pid")"; }

# limit CGROUP: gives it 40 MB, and no swap.
limit() {
	echo 40M >"$1/memory.max"
	[ ! -e "$1/memory.swap.max" ] || echo 0 >"$1/memory.swap.max"
}
