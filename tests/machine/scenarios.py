"""What is tried in the machine: a name, a shell script (see guest/lib.sh), the expected marks."""

from __future__ import annotations

from tests.kernels.scenarios import Scenario

SYSTEMD = (
    Scenario(
        "announces",  # ready when the command is; a crash that systemd does not see; a drain
        """
        systemctl start --no-block announces
        eventually marked 1 "the daemon runs"
        mark "$(show announces ActiveState)"
        touch $files/go
        eventually is announces ActiveState active
        mark "$(systemctl status announces | grep -o 'Status: .*')"
        crash
        eventually marked 1 "run 1"
        eventually is announces StatusText serves
        mark "$(show announces ActiveState NRestarts)"
        systemctl stop announces
        mark "$(show announces ActiveState Result)"
        """,
        (
            "run 0",
            "the daemon runs",
            "ActiveState=activating",
            'Status: "serves"',
            "run 1",
            "NRestarts=0 ActiveState=active",
            "the daemon stops",
            "Result=success ActiveState=inactive",
        ),
    ),
    Scenario(
        "watchdog",  # rebound sends the keep-alives that systemd wants; if it hangs it sends none
        """
        systemctl start watchdog
        rebound=$(value watchdog MainPID)
        sleep 17
        [ "$(value watchdog MainPID)" = "$rebound" ] || mark "another process"
        mark "$(show watchdog ActiveState NRestarts)"
        kill -STOP $rebound
        eventually is watchdog ActiveState failed
        mark "$(show watchdog Result)"
        """,
        ("NRestarts=0 ActiveState=active", "Result=watchdog"),
    ),
    Scenario(
        "store",  # systemd's store keeps what the command stores, even without rebound
        """
        systemctl start store
        eventually is store NFileDescriptorStore 2
        crash
        eventually marked 1 "run 1 has other=43 state=42"
        systemctl restart store
        eventually marked 1 "run 0 has other=43 state=42"
        kill -KILL $(value store MainPID)
        eventually marked 2 "run 0 has other=43 state=42"
        eventually is store ActiveState active
        mark "$(show store NRestarts)"
        kill -USR1 $(cat $files/pid)
        eventually is store NFileDescriptorStore 1
        mark "one is removed"
        systemctl stop store
        mark "$(show store ActiveState NFileDescriptorStore)"
        systemctl start store
        eventually marked 1 "run 0 has state=42"
        systemctl stop store
        """,
        (
            "run 0 has nothing",
            "run 1 has other=43 state=42",
            "run 0 has other=43 state=42",
            "run 0 has other=43 state=42",
            "NRestarts=1",
            "one is removed",
            "NFileDescriptorStore=1 ActiveState=inactive",
            "run 0 has state=42",
        ),
    ),
    Scenario(
        "socket",  # a client that comes while the command restarts waits
        """
        ask() { /opt/tests/programs/ask $files/api "$1"; }
        systemctl start socket.socket
        mark "$(show socket.service ActiveState)"
        mark "$(ask hello)"
        mark "$(ask crash)"
        mark "$(ask hello)"
        mark "$(show socket.service ActiveState NRestarts)"
        systemctl stop socket.socket socket.service
        mark "$(show socket.service Result)"
        """,
        (
            "ActiveState=inactive",
            "run 0 has api",
            "no answer",
            "run 1 has api",
            "NRestarts=0 ActiveState=active",
            "Result=success",
        ),
    ),
    Scenario(
        "oom-continue",
        """
        systemd-run --quiet --unit=$SCENARIO --setenv=SCENARIO=$SCENARIO \
            -p MemoryMax=64M -p MemorySwapMax=0 -p OOMPolicy=continue -p SuccessExitStatus=143 \
            rebound /opt/tests/programs/eats
        eventually marked 1 "run 1 oom"
        eventually sh -c "journalctl -u $SCENARIO | grep -q 'out of memory'"
        mark "$(journalctl -u $SCENARIO -o cat | grep -o 'killed by signal 9.*memory,')"
        mark "$(show $SCENARIO ActiveState NRestarts)"
        systemctl stop $SCENARIO
        """,
        (
            "run 0 ",
            "run 1 oom",
            "killed by signal 9 (SIGKILL), out of memory,",
            "NRestarts=0 ActiveState=active",
        ),
    ),
    Scenario(
        "oom-kill",  # memory.oom.group: all are killed, rebound too
        """
        systemd-run --quiet --unit=$SCENARIO --setenv=SCENARIO=$SCENARIO \
            -p MemoryMax=64M -p MemorySwapMax=0 -p OOMPolicy=kill \
            rebound /opt/tests/programs/eats
        eventually is $SCENARIO ActiveState failed
        mark "$(show $SCENARIO Result ExecMainStatus)"
        """,
        ("run 0 ", "Result=oom-kill ExecMainStatus=9"),
    ),
    Scenario(
        "oom-stop",  # systemd's default: an out-of-memory kill of the command ends the service
        """
        systemd-run --quiet --unit=$SCENARIO -p MemoryMax=64M -p MemorySwapMax=0 \
            rebound python3 -c 'b"x" * (300 << 20)'
        eventually is $SCENARIO ActiveState failed
        mark "$(show $SCENARIO OOMPolicy Result)"
        """,
        ("Result=oom-kill OOMPolicy=stop",),
    ),
    Scenario(
        "memory-delegated",  # the kernel holds the limit
        """
        systemd-run --quiet --unit=$SCENARIO --setenv=SCENARIO=$SCENARIO -p Delegate=yes \
            -p MemoryMax=64M -p MemorySwapMax=0 -p OOMPolicy=continue -p SuccessExitStatus=143 \
            rebound --max-memory 50% /opt/tests/programs/eats
        eventually marked 1 "run 1 oom"
        cgroup=/sys/fs/cgroup/system.slice/$SCENARIO.service
        mark "$(cat $cgroup/rebound-command/memory.max)"
        mark "$(show $SCENARIO ActiveState NRestarts)"
        systemctl stop $SCENARIO
        mark "$(show $SCENARIO Result)"
        """,
        (
            "run 0 ",
            "run 1 oom",
            "33554432",
            "NRestarts=0 ActiveState=active",
            "Result=success",
        ),
    ),
    Scenario(
        "memory-not-delegated",  # the cgroup of the service is systemd's
        """
        systemd-run --quiet --unit=$SCENARIO -p SuccessExitStatus=143 \
            rebound --max-memory 50% sleep 1000
        eventually sh -c "journalctl -u $SCENARIO -o cat | grep -q starting"
        mark "$(journalctl -u $SCENARIO -o cat | grep -o 'looking.*delegated')"
        mark "$(ls /sys/fs/cgroup/system.slice/$SCENARIO.service | grep -c rebound)"
        systemctl stop $SCENARIO
        """,
        ("looking once a second, as the command gets no cgroup: the cgroup is not delegated", "0"),
    ),
)

UNITS = (
    Scenario(
        "sdnotify",
        """
        systemctl start --no-block sdnotify
        eventually test -e $files/checked
        mark "$(show sdnotify ActiveState)"
        touch $files/go
        eventually is sdnotify ActiveState active
        mark "$(show sdnotify ActiveState)"
        systemctl stop sdnotify
        mark "$(show sdnotify ActiveState Result)"
        """,
        ("ActiveState=activating", "ActiveState=active", "Result=success ActiveState=inactive"),
    ),
    Scenario(
        "container-socket",  # socket activation, through podman
        """
        ask() { /opt/tests/programs/ask $files/api "$1"; }
        systemctl start web.socket
        mark "$(ask hello)"
        mark "$(ask crash)"
        mark "$(ask hello)"
        mark "$(show web ActiveState NRestarts)"
        systemctl stop web.socket web.service
        mark "$(show web Result)"
        """,
        (
            "run 0 has api",
            "no answer",
            "run 1 has api",
            "NRestarts=0 ActiveState=active",
            "Result=success",
        ),
    ),
)

PODMAN = (
    Scenario(
        "images",
        """
        run() { podman run --rm --network=none localhost/rebound-machine:"$@" 2>/dev/null; }
        mark "scratch: $(run scratch --version | cut -d ' ' -f 1)"
        for image in alpine debian; do
            said=$(run $image -r1 sh -c 'echo "run $REBOUND_RESTARTS,"; exit 9')
            mark "$image:" $said "status $?"
        done
        """,
        (
            "scratch: rebound",
            "alpine: run 0, run 1, status 9",
            "debian: run 0, run 1, status 9",
        ),
    ),
    Scenario(
        "health",  # the image's HEALTHCHECK, by a timer of systemd
        """
        podman run --quiet --detach --name=health --network=none \
            --env=REBOUND_OPTIONS='--restart-delay 1000s' \
            localhost/rebound-machine:health sh -c 'echo $$ >/tmp/pid; exec sleep 1000' >/dev/null
        podman wait --interval=1s --condition=healthy health >/dev/null
        mark "healthy; $(podman inspect --format '{{.Config.Healthcheck.Test}}' health)"
        podman exec health sh -c 'kill -SEGV $(cat /tmp/pid)'
        podman wait --interval=1s --condition=unhealthy health >/dev/null
        id=$(podman inspect --format '{{.Id}}' health)
        mark "unhealthy; timers: $(systemctl list-units --type=timer | grep -c " $id")"
        podman rm --force health >/dev/null
        """,
        ("healthy; [CMD rebound --status]", "unhealthy; timers: 1"),
    ),
    Scenario(
        "memory-container",  # podman exec joins the cgroup of PID 1: its own cannot be had
        """
        podman run --quiet --detach --name=memory --network=none --memory=128m --memory-swap=128m \
            --security-opt=unmask=/sys/fs/cgroup \
            --volume=/usr/local/bin/rebound:/rebound:ro --entrypoint=/rebound \
            localhost/rebound-machine:debian --max-memory 32M \
            sh -c '[ $REBOUND_RESTARTS != 0 ] || exec tail /dev/zero; exec sleep 1000' >/dev/null
        inside() { podman exec memory "$@"; }
        ended() { inside /rebound --status --json | grep -o '"last_exit": "[^"]*"'; }
        eventually ended
        mark "$(ended)"
        mark "$(inside cat /sys/fs/cgroup/rebound-command/memory.max /proc/self/cgroup | paste -s)"
        podman rm --force --time=5 memory >/dev/null
        """,
        ('"last_exit": "oom"', "33554432\t0::/rebound-rest"),
    ),
)

KUBE = (
    Scenario(
        "pod",  # docs/kubernetes: postgres.yaml is made of it, see pod.py
        """
        inside() { podman exec --interactive postgres-0-postgres "$@"; }
        api() { inside python3 -IS - 127.0.0.1:8080 "$@" </opt/tests/programs/asker.py; }
        field() { api GET /status | grep -o "\\"$1\\": [0-9]*" | tail -n 1; }
        rebound_says() { python3 /opt/tests/programs/asker.py $address:9180 GET /status | grep -q "$1"; }
        written() { [ "$(cat $files/results/acknowledged)" -gt "$1" ]; }
        probe() { python3 -c "import urllib.request as u; u.urlopen('http://$address:9180/$1')"; }

        mkdir -m 1777 $files/results
        podman kube play --quiet /opt/tests/postgres.yaml >/dev/null
        podman kube play --quiet /opt/tests/client.yaml >/dev/null
        infra=$(podman pod inspect --format '{{.InfraContainerID}}' postgres-0)
        address=$(podman inspect $infra \
            --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}')
        eventually probe readyz
        mark "ready"
        eventually written 0
        inside pg_isready --quiet --host=127.0.0.1 || mark "the database takes no clients"
        database=$(field postmaster)
        for crash in 1 2 3 4 5; do
            api POST /crash >/dev/null
            eventually rebound_says "\\"state\\": \\"RUNNING\\".*\\"restarts\\": $crash,"
            eventually written $(($(cat $files/results/acknowledged) + 1))
        done
        [ "$(field postmaster)" = "$database" ] || mark "another database"
        mark "$(field runs), $(podman inspect --format '{{.RestartCount}}' postgres-0-postgres)"
        eventually probe readyz
        probe livez && mark "ready again"
        [ ! -e $files/results/disconnected ] || mark "the client was disconnected"
        podman kube down /opt/tests/postgres.yaml >/dev/null
        in_database() {
            podman run --rm --network=none --volume=data-postgres-0:/var/lib/postgresql \
                --interactive localhost/rebound-machine:client "$@"
        }
        mark "$(in_database pg_controldata | sed -n 's/.*cluster state: *//p')"
        query="SELECT 'lost ' || (max(n) - count(*)) || ' of ' || max(n) FROM rows"
        answer=$(echo "$query" | in_database postgres --single -j postgres | sed -n 's/.*"\\(lost.*\\)".*/\\1/p')
        acknowledged=$(cat $files/results/acknowledged)
        [ "${answer#* of }" -ge "$acknowledged" ] || mark "of $acknowledged rows some are lost"
        mark "${answer% of *}"
        podman kube down /opt/tests/client.yaml >/dev/null
        podman volume rm data-postgres-0 >/dev/null
        """,
        ("ready", '"runs": 6, 0', "ready again", "shut down", "lost 0"),
    ),
    Scenario(
        "image-volume",  # the variant: rebound is of another image than its command
        """
        podman kube play --quiet /opt/tests/image-volume.yaml >/dev/null
        said() { podman logs postgres-0-postgres 2>&1 | grep "$1"; }
        eventually said "^run 1"
        mark "$(said "^run" | paste -s -d ,)"
        mark "$(podman exec postgres-0-postgres cat /proc/1/cmdline | tr '\\0' ' ' | cut -d ' ' -f 1)"
        podman kube down /opt/tests/image-volume.yaml >/dev/null
        """,
        ("run 0 of user 999,run 1 of user 999", "/rebound/usr/local/bin/rebound"),
    ),
)

MACHINES = {"systemd": (SYSTEMD, UNITS), "podman": (PODMAN, KUBE)}
"""What is played on which machine, in lanes: one scenario of a lane after the other, the lanes
beside each other."""

END = Scenario("machine", "guest/play", ("all was played",))
"""The last mark, of either machine."""
