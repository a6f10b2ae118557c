"""Starting a process where posix_spawn is refused, and where all is; and that both ways are alike."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.helpers import DEADLINE, JSON, REBOUND, denied, events, program, run

FORK = denied("clone3:EPERM")
SETPGID = denied("setpgid:EPERM")


def logged(*args, **options):
    """Run rebound to its end; give the result, and what of it is in the log."""
    result = run(*JSON, *args, **options)
    return result, lambda name: events(result.stderr, name)


# --- posix_spawn is refused -----------------------------------------------------------------


@pytest.mark.parametrize("error", ["EPERM", "EACCES", "EINVAL"])
def test_a_refused_posix_spawn_is_said_once_and_fork_does(error):
    result, log = logged("-r2", "sh", "-c", "exit 9", wrapper=denied(f"clone3:{error}"))
    assert result.returncode == 9
    assert len(log("exited")) == 3
    (said,) = log("no_posix_spawn")
    assert said["level"] == "info"
    assert said["msg"].startswith("posix_spawn: ")


def test_where_the_c_library_falls_back_itself_nothing_is_said():
    result, log = logged("true", wrapper=denied("clone3:ENOSYS"))
    assert (result.returncode, log("no_posix_spawn")) == (0, [])


def test_once_refused_it_is_not_tried_again(tmp_path):
    trace = tmp_path / "trace"
    strace = ["strace", "-o", str(trace), "--trace=clone3,clone", "--inject=clone3:error=EPERM"]
    result, log = logged("-r2", "false", wrapper=strace)
    assert (result.returncode, len(log("no_posix_spawn"))) == (1, 1)
    calls = [line.partition("(")[0] for line in trace.read_text().splitlines()]
    assert calls[:4] == ["clone3", "clone", "clone", "clone"]


def test_a_refusal_that_comes_later_is_survived():
    """A filter may be added to a process that runs."""
    strace = ["strace", "-o", "/dev/null", "--inject=clone3:error=EPERM:when=2+"]
    result, log = logged("-r2", "sh", "-c", "exit 9", wrapper=strace)
    assert (result.returncode, len(log("no_posix_spawn"))) == (9, 1)


@pytest.mark.parametrize("error", ["EPERM", "EACCES", "ENOSYS"])
def test_a_refused_fork_is_no_fault_of_the_command(start, error):
    """Another way was not left: it is tried again, and a stop ends that."""
    wrapper = denied("clone3:EPERM", f"clone:{error}")
    rebound = start(*JSON, "--max-delay", "10ms", "sleep", "1000", wrapper=wrapper)
    rebound.wait_until(lambda: len(rebound.events("start_failed")) > 2)
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143
    assert rebound.events("start_failed")[0]["error"].startswith("fork: ")
    assert not rebound.events("exec_failed")
    assert not rebound.events("no_posix_spawn")


def test_what_comes_before_the_exec_is_named(start, way):
    """In glibc's errno it could be anything: a refused group is no refused exec."""
    rebound = start("-g", *JSON, "sleep", "1000", wrapper=[*way, *SETPGID])
    rebound.wait_until(lambda: rebound.events("start_failed"))
    assert rebound.events("start_failed")[0]["error"] == "setpgid: Operation not permitted"
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143


# --- The exec, in both ways ------------------------------------------------------------------

SCRIPT = "#!/bin/sh\nexit 42\n"


@pytest.fixture
def places(tmp_path):
    """Directories and files for each thing that a search along PATH may meet."""
    for name in ("empty", "good", "locked", "nonsense", "directory/tool"):
        (tmp_path / name).mkdir(parents=True)
    files = {"good": (SCRIPT, 0o755), "locked": (SCRIPT, 0o644), "nonsense": ("\x7fELF", 0o755)}
    for directory, (text, mode) in files.items():
        (tmp_path / directory / "tool").write_text(text)
        (tmp_path / directory / "tool").chmod(mode)
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "tool").write_text("#!/bin/sh\nexit 43\n")
    (tmp_path / "tool").chmod(0o755)
    (tmp_path / "no-interpreter").write_text("#!/no/such/interpreter\n")
    (tmp_path / "no-interpreter").chmod(0o755)
    return tmp_path


EXECS = [
    ("tool", "empty:good", 42),
    ("tool", "good:nonsense", 42),
    ("tool", "locked:good", 42),
    ("tool", "locked:empty", 126),
    ("tool", "empty:locked:file", 126),
    ("tool", "directory:good", 42),
    ("tool", "file:good", 42),
    ("tool", "file", 126),
    ("tool", "no-such:good", 42),
    ("tool", "empty", 127),
    ("tool", "file:empty", 127),
    ("tool", "nonsense:good", 126),
    ("tool", "loop:good", 126),
    ("tool", "", 43),
    ("tool", "empty:", 43),
    ("tool", ":good", 43),
    ("tool", "good:", 42),
    ("x" * 300, "good", 126),
    ("sh", None, 0),
    ("no-such-command", None, 127),
    ("./tool", "good", 43),
    ("./no-such", "good", 127),
    ("./locked/tool", "good", 126),
    ("./nonsense/tool", "good", 126),
    ("./good", "good", 126),
    ("./file/tool", "good", 126),
    ("./no-interpreter", "good", 127),
]


@pytest.mark.parametrize(("command", "path", "status"), EXECS)
def test_the_command_is_searched_for_as_by_posix_spawnp(places, command, path, status, way):
    """And its end is told alike; a failed exec is none of posix_spawn, refused or not."""
    unset = ["env", "-u", "PATH"] if path is None else ["env", f"PATH={path}"]
    args = ["--restart", "never", command, *(["-c", "exit 0"] if command == "sh" else [])]
    result, log = logged(*args, wrapper=[*way, *unset], cwd=places)
    assert result.returncode == status
    started = status not in (126, 127)
    assert len(log("exec_failed")) == (not started)
    assert len(log("no_posix_spawn")) == (started and way == FORK)
    assert not log("start_failed")


def test_an_entry_of_path_that_is_too_long_is_passed_over(places):
    """glibc's posix_spawnp looks in the current directory instead."""
    wrapper = [*FORK, "env", f"PATH={'x' * 5000}:good"]
    assert logged("--restart", "never", "tool", wrapper=wrapper, cwd=places)[0].returncode == 42


def test_the_reason_is_the_execs_own(places, way):
    for command, reason in [
        ("./no-such", "No such file or directory"),
        ("./locked/tool", "Permission denied"),
        ("./nonsense/tool", "Exec format error"),
        ("./file/tool", "Not a directory"),
    ]:
        _, log = logged(command, wrapper=way, cwd=places)
        assert [line["error"] for line in log("exec_failed")] == [reason]


def test_an_exec_that_may_not_be_is_one(way, tmp_path):
    """EPERM of the exec: file capabilities that the bounding set does not allow (execve(2))."""
    tool = tmp_path / "tool"
    tool.write_bytes(Path("/bin/true").read_bytes())
    tool.chmod(0o755)
    # struct vfs_cap_data: revision 2, effective; CAP_NET_RAW permitted.
    os.setxattr(tool, "security.capability", bytes.fromhex("0100000200200000" + "00" * 12))
    drop = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"]
    result, log = logged(tool, wrapper=[*way, *drop])
    assert result.returncode == 126
    assert [line["error"] for line in log("exec_failed")] == ["Operation not permitted"]
    assert not log("no_posix_spawn")


def test_a_child_whose_exec_failed_is_no_zombie_and_no_adopted_process(start, tmp_path, way):
    command = tmp_path / "command"
    command.write_text(f"#!/bin/sh\nrm {command}\nexit 1\n")
    command.chmod(0o755)
    options = ["-v", *JSON, "--max-delay", "1ms"]
    rebound = start(*options, command, wrapper=way)
    rebound.wait_until(lambda: len(rebound.events("exec_failed")) > 5)
    assert not rebound.zombies()
    assert not rebound.events("reaped")
    rebound.send(signal.SIGTERM)
    assert rebound.wait() == 143


# --- What options do to a process, in each way -----------------------------------------------


def test_a_group_of_its_own_is_killed_with_it(start, way):
    rebound = start("-k", "sh", "-c", "sleep 1000 & echo ready; wait", wrapper=way)
    rebound.wait_ready()
    (shell,) = rebound.children()
    rebound.wait_until(shell.children)
    (sleep,) = shell.children()
    assert os.getpgid(sleep.pid) == shell.pid
    shell.kill()
    rebound.wait_ready(2)
    rebound.wait_until(lambda: not sleep.is_running())


def test_the_score_is_the_commands_alone(start, way):
    before = Path("/proc/self/oom_score_adj").read_text()
    show = "cat /proc/self/oom_score_adj; echo ready; exec sleep 1000"
    rebound = start("--oom-score-adj", "777", "sh", "-c", show, wrapper=way)
    rebound.wait_ready()
    assert rebound.lines("777")
    own = Path(f"/proc/{rebound.pid}/oom_score_adj")
    rebound.wait_until(lambda: own.read_text() == before)


@pytest.mark.parametrize("closed", ["", "0<&- 1>&-"], ids=["", "closed"])
@pytest.mark.parametrize("verbose", [[], ["-v"]], ids=["quiet", "verbose"])
def test_a_health_check_has_its_own_input_and_output(start, way, tmp_path, verbose, closed):
    """Even if their numbers are those of the pipe through which it would report.

    The first check of a run always has a pipe: what it says is wanted if it cannot be executed.
    """
    check = (
        f"ls -l --time-style=+ /proc/$$/fd >{tmp_path}/seen && mv {tmp_path}/seen {tmp_path}/fds"
    )
    options = [*verbose, "--health-interval", "50ms", "--health-cmd", check]
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    rebound = start(*options, "sleep", "1000", wrapper=[*way, *shell])
    fds = tmp_path / "fds"
    output = "pipe:" if verbose else "/dev/null"

    def has_its_own():
        links = [line.split()[-3::2] for line in fds.read_text().splitlines() if "->" in line]
        seen = {int(number): target.partition("[")[0] for number, target in links}
        # The shell has put aside its standard output, whose number is the file's now.
        put_aside = seen.pop(max(seen))
        expected = {0: "/dev/null", 1: str(tmp_path / "seen"), 2: output}
        return (seen, put_aside) == (expected, output)

    rebound.wait_until(fds.exists)
    rebound.wait_until(has_its_own)


def test_a_watchdog_knows_the_process(start, way):
    words = ["first[", "asleep", "]", "READY=1", "print:ready", "keep:0.05"]
    command = program("notifier.py", *words)
    rebound = start(*JSON, "--watchdog", "300ms", *command, wrapper=way)
    rebound.wait_ready()
    assert len(rebound.events("hung")) == 1


def test_python_in_the_child_says_nothing(way):
    """Its own output is not written twice, and the child leaves by the exec alone."""
    result = subprocess.run(
        [*way, REBOUND, *JSON, "-r1", "sh", "-c", "echo $PPID; exit 3"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert len(set(result.stdout.split())) == 1
    assert len(events(result.stderr, "starting")) == 1
