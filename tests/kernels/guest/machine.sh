# The command of the rebound that is PID 1 of the machine.  Its end is the kernel's panic.
. /lib.sh

drive() {
	eventually marked receives
	tool send 1 40 4711
	eventually marked "signal 40, value 4711"
	rebound --status
	mark "rebound --status: $?"
	tool orphans 50
	kill -TERM 1
}

case $REBOUND_RESTARTS in
0)
	tool daemon
	mark "PID $PPID is $(cat /proc/1/comm)"
	kill -SEGV $$
	;;
1)
	mark "run 1 after $REBOUND_LAST_EXIT"
	tool notify READY=1
	exec sleep 1000
	;;
2)
	mark "run 2 after $REBOUND_LAST_EXIT"
	tool notify WATCHDOG_USEC=600000000
	tool notify READY=1
	drive &
	exec tool receive
	;;
esac
