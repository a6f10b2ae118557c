"""What is meant for the command does not touch rebound."""

from __future__ import annotations

import os
import resource
import signal
import subprocess

import pytest

from tests.helpers import PYTHON, REBOUND, program, run

SHOUT = "import os; os.write(1, b'sitecustomize\\n')"


def test_python_variables_reach_the_command_and_not_rebound(tmp_path, way):
    (tmp_path / "sitecustomize.py").write_text(SHOUT)
    variables = {
        "PYTHONPATH": str(tmp_path),
        "PYTHONHOME": "/nonexistent",
        "PYTHONINSPECT": "1",
        "PYTHONVERBOSE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONMALLOC": "debug",
    }
    wrapper = [*way, "env", *(f"{name}={value}" for name, value in variables.items())]
    result = run("-q", "env", wrapper=wrapper)
    assert result.stderr == ""
    assert "sitecustomize" not in result.stdout
    for name, value in variables.items():
        assert f"{name}={value}\n" in result.stdout


def test_the_command_runs_its_sitecustomize(tmp_path):
    """The negative control: PYTHONPATH does what it should where it should."""
    (tmp_path / "sitecustomize.py").write_text(SHOUT)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    assert run("-q", PYTHON[0], "-c", "pass", env=env).stdout == "sitecustomize\n"


@pytest.mark.parametrize("name", ["signal", "os", "_signal", "rebound", "ctypes", "select"])
def test_modules_in_the_current_directory_are_not_taken(tmp_path, name):
    (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from here')")
    result = run("-q", "-r", 1, "false", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert "taken" not in result.stderr


def test_through_symlinks(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.symlink_to(REBOUND)
    second.symlink_to(first.name)
    for link in (first, second, f"./{second.name}"):
        result = subprocess.run([link, "-q", "-r", "1", "sh", "-c", "exit 7"], cwd=tmp_path)
        assert result.returncode == 7


def test_through_path_and_with_an_empty_environment():
    env = {"PATH": f"{os.path.dirname(REBOUND)}:{os.environ['PATH']}"}
    assert subprocess.run([os.path.basename(REBOUND), "-q", "true"], env=env).returncode == 0
    assert run("-q", "/bin/true", env={}).returncode == 0


def test_arguments_and_environment_of_any_bytes(way):
    odd = bytes(set(range(1, 256)))
    command = [*way, REBOUND, "-q", "/usr/bin/printf", "%s", odd]
    for env in ({}, {"LC_ALL": "C"}, {"LC_ALL": "de_DE.ISO-8859-1"}, {b"X\xff": odd}):
        assert subprocess.run(command, env=env, capture_output=True).stdout == odd
    command = [*way, "env", "-i", b"X\xff=" + odd, REBOUND, "-q", "/usr/bin/env"]
    result = subprocess.run(command, capture_output=True)
    assert result.stdout == b"X\xff=" + odd + b"\nREBOUND_RESTARTS=0\n"


@pytest.mark.parametrize(
    "line",
    [f"#!{REBOUND} sh", f"#!/usr/bin/env -S {REBOUND} --quiet --max-restarts=1 sh"],
    ids=["one-word", "env-S"],
)
def test_named_in_the_first_line_of_a_script(tmp_path, line):
    """The kernel says then that the script was executed (AT_EXECFN)."""
    path = tmp_path / "script"
    path.write_text(f'{line}\necho "$0 $*"; exit 7\n')
    path.chmod(0o755)
    env = {**os.environ, "REBOUND_OPTIONS": "--max-restarts=1"}
    result = subprocess.run([path, "a", "b"], capture_output=True, text=True, env=env)
    assert (result.returncode, result.stdout) == (7, f"{path} a b\n" * 2)


def test_an_empty_environment_stays_empty(way):
    """In the C locale Python sets LC_CTYPE; and without a PATH the C library has a default."""
    result = run("-q", "env", wrapper=[*way, "env", "-i"])
    assert result.stdout == "REBOUND_RESTARTS=0\n"


def test_entries_of_the_environment_that_are_no_variables_are_left_out(way):
    """As docs/options.md says: no `=`, nothing before it, or a second one of the same name."""
    entries = ["A=1", "NO_SIGN", "=x", "", "=", "A=2", "REBOUND_RESTARTS=7", "EMPTY=", "B==="]
    entries += ["REBOUND_RESTARTS=8", "REBOUND_LAST_EXIT=exit:7", "REBOUND_LAST_EXIT=exit:8"]
    wrapper = [*way, *program("exec_with.py", *entries, "--")]
    result = run("-q", "/usr/bin/env", wrapper=wrapper)
    assert result.stdout.splitlines() == ["A=1", "REBOUND_RESTARTS=0", "EMPTY=", "B==="]


DESCRIBE = """
for what in status limits cgroup oom_score_adj timerslack_ns environ cmdline mountinfo; do
    cat /proc/self/$what
done
cut -d' ' -f5-8,19 /proc/self/stat; pwd; umask; ls -l --time-style=+ /proc/$$/fd
"""
OF_A_PROCESS: tuple[str, ...] = (
    "State:",
    "Pid:",
    "Tgid:",
    "PPid:",
    "NSpid:",
    "NStgid:",
    "Vm",
    "Rss",
    "SigQ:",
)
OF_A_PROCESS += ("voluntary", "nonvoluntary", "REBOUND_RESTARTS=", "Hugetlb", "REBOUND_OPTIONS=")
OF_A_PROCESS += ("LISTEN_PID=", "LISTEN_FDS=1", "LISTEN_FDNAMES=unknown")
"""What two processes may differ in."""
OF_GLIBC = 1 << 32 - 1 | 1 << 33 - 1
"""Its posix_spawn leaves the two signals that it keeps for itself ignored."""


def test_a_command_is_as_if_executed_directly(way, tmp_path):
    """Each thing that the kernel tells of a process, beside a bare exec."""

    def prepare():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGRTMIN])
        for signo in (signal.SIGHUP, signal.SIGPIPE, signal.SIGQUIT, signal.SIGRTMAX):
            signal.signal(signo, signal.SIG_IGN)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (1, 2))
        os.umask(0o27)
        os.nice(3)

    def described(command):
        out = tmp_path / "out"
        with open(out, "w") as file, open(tmp_path / "passed", "w") as passed:
            subprocess.run(
                [*command, "sh", "-c", DESCRIBE],
                preexec_fn=prepare,
                pass_fds=[passed.fileno()],
                cwd=tmp_path,
                stdin=subprocess.DEVNULL,
                stdout=file,
            )
        lines = out.read_text().replace("\0", "\n").splitlines()
        lines = [line for line in lines if not line.startswith(OF_A_PROCESS)]
        lines = [line for line in lines if "3 -> socket:" not in line]  # what `way` hands over
        (ignored,) = [line for line in lines if line.startswith("SigIgn:")]
        lines[lines.index(ignored)] = f"SigIgn: {int(ignored.split()[1], 16) & ~OF_GLIBC:x}"
        return lines

    bare = described(way)
    assert "SigIgn: 8000000000001005" in bare or way
    assert described([*way, REBOUND, "-q"]) == bare


def test_signals_of_the_c_library_that_are_blocked_do_not_trouble_it(way):
    """What Python cannot name, 32 and 33, it warned of at each start."""
    mask = (
        "import ctypes, os, sys; mask = ctypes.c_ulong(1 << 9 | 3 << 31); libc = ctypes.CDLL(None)"
    )
    number = {"x86_64": 14, "aarch64": 135}[os.uname().machine]  # rt_sigprocmask
    mask += f"; libc.syscall({number}, 2, ctypes.byref(mask), None, 8)"
    mask += "; os.execvp(sys.argv[1], sys.argv[1:])"
    wrapper = [*way, *PYTHON, "-c", mask]
    result = run("-q", "grep", "SigBlk", "/proc/self/status", wrapper=wrapper)
    assert result.stderr == ""
    assert int(result.stdout.split()[1], 16) & ~OF_GLIBC == 1 << 9
