"""Restart, crash-loop protection, and the exit status."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.helpers import JSON, events, program, run

COUNT = 'echo run >>runs; exec sh -c "$0"'


def counted_runs(directory) -> int:
    return len((directory / "runs").read_text().splitlines())


@pytest.mark.parametrize("status", range(256))
def test_every_exit_status_comes_through(status):
    assert run("-q", "--restart", "never", "sh", "-c", f"exit {status}").returncode == status


@pytest.mark.parametrize(
    "signo",
    sorted(
        signal.valid_signals()
        - {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
        - {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
    ),
)
def test_death_by_a_signal_is_128_and_its_number(signo):
    assert (
        run("-q", "--restart", "never", "sh", "-c", f"kill -{signo} $$").returncode == 128 + signo
    )


def test_restarts_until_it_ends_well(tmp_path):
    result = run(*JSON, "sh", "-c", "echo run >>runs; [ $(wc -l <runs) = 4 ]", cwd=tmp_path)
    assert result.returncode == 0
    assert counted_runs(tmp_path) == 4
    ends = [(end["reason"], end["restarts"]) for end in events(result.stderr, "exited")]
    assert ends == [("exit:1", 1), ("exit:1", 2), ("exit:1", 3), ("exit:0", 3)]


def test_max_restarts_of_three_are_four_runs(tmp_path):
    result = run(*JSON, "-r", 3, "sh", "-c", COUNT, "exit 42", cwd=tmp_path)
    assert (result.returncode, counted_runs(tmp_path)) == (42, 4)
    assert len(events(result.stderr, "giving_up")) == 1
    assert [end["restarts"] for end in events(result.stderr, "exited")] == [1, 2, 3, 3]


def test_giving_up_after_a_signal(tmp_path):
    result = run(*JSON, "-r", 1, "sh", "-c", COUNT, "kill -SEGV $$", cwd=tmp_path)
    assert (result.returncode, counted_runs(tmp_path)) == (128 + signal.SIGSEGV, 2)
    ends = events(result.stderr, "exited")
    assert [end["signal"] for end in ends] == ["SIGSEGV"] * 2
    assert all(end["max_rss"] > 100_000 for end in ends)


@pytest.mark.parametrize("option", ["-0", "--restart=always"])
def test_restart_on_zero(tmp_path, option):
    assert run(option, "-r", 2, "sh", "-c", COUNT, "exit 0", cwd=tmp_path).returncode == 0
    assert counted_runs(tmp_path) == 3


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("options", [[], ["-0"]])
def test_death_by_term_or_int_is_an_end(tmp_path, signo, options):
    result = run(*JSON, *options, "sh", "-c", COUNT, f"kill -{signo} $$", cwd=tmp_path)
    assert (result.returncode, counted_runs(tmp_path)) == (128 + signo, 1)
    [end] = events(result.stderr, "exited")
    assert (end["signal"], end["restarts"]) == (signo.name, 0)


@pytest.mark.parametrize(
    ("options", "script", "status", "runs"),
    [
        (["-e", "3,SIGUSR1"], "exit 3", 0, 1),
        (["-e", "3,SIGUSR1"], "kill -USR1 $$", 0, 1),
        (["-e", "143"], "kill -TERM $$", 0, 1),
        (["-e", "3", "-0", "-r", "2"], "exit 3", 0, 3),
        (["-e", "3", "-r", "1"], "exit 4", 4, 2),
        (["-n", "78,SIGQUIT"], "exit 78", 78, 1),
        (["-n", "78,SIGQUIT"], "kill -QUIT $$", 131, 1),
        (["-n", "0", "-0"], "exit 0", 0, 1),
        (["-n", "78", "-r", "1"], "exit 1", 1, 2),
    ],
)
def test_success_and_no_restart_lists(tmp_path, options, script, status, runs):
    result = run(*options, "sh", "-c", COUNT, script, cwd=tmp_path)
    assert (result.returncode, counted_runs(tmp_path)) == (status, runs)


def test_the_fifth_rapid_failure_is_the_first_that_is_delayed(start):
    rebound = start(*JSON, *program("record_signals.py", 1), wrapper=[])
    for times in range(1, 6):
        rebound.wait_ready(times)
        rebound.children()[0].kill()
    [delayed] = rebound.wait_until(lambda: rebound.events("delayed"))
    assert 0.9 <= delayed["delay"] <= 1
    assert len(rebound.lines("ready")) == 5
    rebound.wait_ready(6)
    assert len(rebound.events("delayed")) == 1
    assert delayed["ts"] >= rebound.events("exited")[4]["ts"]


def delays(*args):
    """How often a restart was held back."""
    return len(events(run(*JSON, *args).stderr, "delayed"))


def test_burst_sets_the_first_delay_and_zero_none():
    assert delays("-b", 2, "-r", 2, "--max-delay", "1ms", "false") == 1
    assert delays("-b", 0, "-r", 50, "false") == 0


def test_a_long_run_is_no_rapid_failure():
    assert delays("--reset-after", 0, "-r", 20, "false") == 0


def test_a_restart_delay_is_no_run_time():
    # Were the delay run time, then with this --reset-after no failure would be rapid.
    options = ["-d", "100ms", "--reset-after", "90ms", "-b", 2, "--max-delay", "200ms"]
    assert delays(*options, "-r", 3, "false") == 2


def test_at_most_so_many_restarts_within_a_time(tmp_path):
    # Each run outlives the window: the restarts before it do not count any more.
    script = "echo run >>runs; [ $(wc -l <runs) = 6 ] && exit 0; sleep 0.1; exit 1"
    result = run("-r", "1/50ms", "-b", 0, "sh", "-c", script, cwd=tmp_path)
    assert (result.returncode, counted_runs(tmp_path)) == (0, 6)
    assert run("-r", "1/1h", "-b", 0, "sh", "-c", COUNT, "exit 9", cwd=tmp_path).returncode == 9


def test_each_run_is_the_same(tmp_path):
    """Environment, arguments, directory and umask are as for a direct execution."""
    script = 'env -0 >>env; printf "%s\\0" "$0" "$@" >>args; pwd >>dir; umask >>mask; exit 1'
    command = ["sh", "-c", script, "zero", "", "a b", "new\nline", "\udcff\udc80", "-r"]
    env = {"PATH": os.environ["PATH"], "A.b": "1", "PWD": "/wrong", "BYTES": "\udcff"}
    places = {"cwd": tmp_path, "env": env, "umask": 0o27}

    def written() -> list[bytes]:
        return [(tmp_path / name).read_bytes() for name in ("env", "args", "dir", "mask")]

    for restarts in range(3):
        # All but these two, with which rebound tells the run of the ones before.
        told = {"REBOUND_RESTARTS": str(restarts)}
        told |= {"REBOUND_LAST_EXIT": "exit:1"} if restarts else {}
        subprocess.run(command, check=False, **{**places, "env": {**env, **told}})
    expected = written()
    for path in tmp_path.iterdir():
        path.unlink()
    assert run("-q", "-r", 2, *command, **places).returncode == 1
    assert written() == expected


@pytest.mark.parametrize("locale", [{}, {"LC_ALL": "C"}, {"LC_CTYPE": "POSIX"}, {"LC_CTYPE": ""}])
def test_nothing_is_added_to_the_environment(locale):
    """PEP 538: Python sets LC_CTYPE in the C locale."""
    env = {"ONLY": "this", **locale}
    expected = "".join(f"{name}={value}\n" for name, value in env.items())
    assert run("-q", "/usr/bin/env", env=env).stdout == expected + "REBOUND_RESTARTS=0\n"


def test_each_run_is_told_of_the_ones_before():
    """And not of those of a rebound outside."""
    script = "echo $REBOUND_RESTARTS $REBOUND_LAST_EXIT; case $REBOUND_RESTARTS in "
    script += "0) exit 3;; 1) kill -SEGV $$;; 2) kill -KILL $$;; 3) kill -RTMIN $$;; esac"
    env = {**os.environ, "REBOUND_RESTARTS": "7", "REBOUND_LAST_EXIT": "oom"}
    result = run("-b0", "sh", "-c", script, env=env)
    ends = ["", " exit:3", " signal:SIGSEGV", " signal:SIGKILL", " signal:SIGRTMIN"]
    assert result.stdout.splitlines() == [f"{run}{end}" for run, end in enumerate(ends)]


def test_rebound_options_come_first_and_stay_here():
    env = {"PATH": os.environ["PATH"], "REBOUND_OPTIONS": " -r 5  -q -e 7 "}
    assert run("-r", 1, "sh", "-c", "env; exit 7", env=env).returncode == 0
    result = run("-r", 1, "sh", "-c", "env; exit 8", env=env)
    assert (result.returncode, result.stderr.count("\n")) == (8, 1)
    assert "REBOUND_OPTIONS" not in result.stdout
    assert result.stdout.count("PATH=") == 2


def test_statuses_that_are_restarted_in_any_case(tmp_path):
    """Also after exit status 0, with --restart never; -r still gives up."""
    options = ["--restart", "never", "--force-restart", "0,QUIT", "-r", 2]
    result = run(*JSON, *options, "sh", "-c", COUNT, "kill -QUIT $$", cwd=tmp_path)
    assert (result.returncode, counted_runs(tmp_path)) == (128 + signal.SIGQUIT, 3)
    assert len(events(result.stderr, "giving_up")) == 1
    result = run(*JSON, *options, "sh", "-c", "exit 131")
    assert (result.returncode, len(events(result.stderr, "exited"))) == (131, 1)


def test_a_run_ends_after_its_time(start, mode):
    """And the next begins at once, as often as it likes: it is no failure."""
    options = ["--max-runtime", "300ms", "--restart", "never", "-r", 1]
    rebound = start(*JSON, *options, *program("notifier.py", "announce", "asleep"), wrapper=mode)
    rebound.wait_ready(4)
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    times = [end["run_time"] for end in rebound.events("exited")[:-1]]
    assert all(time >= 0.27 for time in times)
    assert len(rebound.events("max_runtime")) >= 3
    assert not rebound.events("delayed")
