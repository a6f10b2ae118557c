# What scenarios have in common.
files=${MARKS%/*}

# eventually COMMAND: waits until it succeeds; the scenario itself has a deadline.
eventually() { until "$@" >/dev/null 2>&1; do sleep 0.5; done; }

# marked TIMES TEXT: whether a mark came so often.
marked() { [ "$(grep -cx "$2" "$MARKS")" = "$1" ]; }

# show UNIT PROPERTY…: systemd's words about it in one line, in systemd's order.
show() {
	unit=$1
	shift
	# shellcheck disable=SC2046 # a list
	echo $(systemctl show "$unit" $(printf -- '--property=%s ' "$@"))
}

# value UNIT PROPERTY
value() { systemctl show "$1" --property="$2" --value; }

# is UNIT PROPERTY VALUE
is() { [ "$(value "$1" "$2")" = "$3" ]; }

# crash: the command of this scenario's rebound; its run has said which pid it has.
crash() { kill -SEGV "$(cat "$files/pid")"; }
