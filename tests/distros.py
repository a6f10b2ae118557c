"""Runs the README's command lines on fresh Debians: `python -m tests.distros [NAME…]`.

Each command line gets a machine of its own: a root directory by mmdebstrap, with nothing but
its smallest variant, python3 and pip, in namespaces for mounts and processes.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

REPOSITORY = Path(__file__).parent.parent

DISTRIBUTIONS = ("bookworm", "trixie", "sid")
"""With Python 3.11, 3.13, and the newest that Debian has."""

COMMANDS = ("main job", "tests")
"""The markers above the README's command lines."""

MOST_LINES = 20
"""How much the first one may print before rebound does."""

SHOWN = (
    ": starting ",
    "restarting (1)",
    "database still runs",
    "asking adopted",
    "shut down clean",
)
"""What the first one shows, in this order."""

LEFT_OUT = (".git", ".nox", ".venv", ".hypothesis", ".*_cache", "__pycache__", "build", "dist")
"""What a checkout has not."""

CERTIFICATES = (
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "PIP_CLIENT_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
)
"""Variables that name a file of certificates, for this machine's way to the packages."""

PIP_FILES = ("PIP_BUILD_CONSTRAINT", "PIP_CONSTRAINT", "PIP_FIND_LINKS", "PIP_REQUIREMENT")
"""Settings of pip that name files, directories, or URLs, which may be file://."""

PIP_INDEXES = ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL")
"""Settings of pip that name indexes: if file://, directories of links to what is beside them."""

ACQUIRE = re.compile(r"Acquire::(Check-|Retries|https?::)")
"""The settings of this machine's apt that its mirror may need; /etc/apt/apt.conf.d, as a rule."""

ENTER = """
mount --make-rprivate /
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$1/dev/pts"
mount -t tmpfs tmpfs "$1/dev/shm"
mount --rbind /sys "$1/sys"
root=$1 command=$2
shift 2
for directory; do
	mount --bind -o ro "$directory" "$root$directory"
done
cd "$root"
mount --move . /
exec chroot . sh -c "cd /root/rebound; $command"
"""
"""What PID 1 of the machine does: a shell, since it reaps, with $1 the root, $2 the command.

The rest are directories of this machine, for the packages in them: they may be large.

The root is a mount of its own, and moved to /: else nobody could unshare(1) or nsenter(1) there.
"""


class Failed(Exception):
    """In one line, what is missing or does not work."""


def ask(*command: str) -> list[str]:
    """Give the lines that a command says."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\n")


def mirror(label: str = "Debian") -> str:
    """Give the URI from which this machine takes Debian; or, by its label, Debian-Security."""
    where = ("Origin: Debian", f"Label: {label}", "Component: main", "Created-By: Packages")
    for uri in ask("apt-get", "indextargets", *where, "--format", "$(REPO_URI)"):
        if uri:
            return uri
    raise Failed(f"no mirror of {label}: apt knows none, not even after `apt-get update`?")


def make_root(name: str, archive: Path) -> None:
    """Have mmdebstrap make a root directory, as an archive."""
    # As in Docker's images: packages' services are not started.
    policy = 'printf "#!/bin/sh\\nexit 101\\n" >"$1/usr/sbin/policy-rc.d"'
    hook = f'--customize-hook={policy}; chmod 755 "$1/usr/sbin/policy-rc.d"'
    run_mmdebstrap(name, archive, "--include=python3,python3-pip", hook)


def run_mmdebstrap(name: str, archive: Path, *options: str) -> None:
    """Make a root directory of a release, as an archive.  Raises `Failed`."""
    dump = ask("apt-config", "dump", "--format", '%f "%v";%n', "Acquire")
    settings = [f"--aptopt={setting}" for setting in dump if ACQUIRE.match(setting)]
    command = ["mmdebstrap", "--variant=minbase", *options, *settings]
    try:
        made = subprocess.run(
            [*command, name, archive, mirror()], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise Failed("needs mmdebstrap") from None
    if made.returncode:
        errors = [line for line in made.stderr.splitlines() if line.startswith("E:")]
        raise Failed(f"cannot be had from this machine's mirror: {(errors or ['?'])[0]}")


def pip_variables(settings: Sequence[str]) -> dict[str, str]:
    """Return the variables that say to pip what lines of `pip config list` say."""
    found = {}
    for section in ("global", "install", ":env:"):  # the later ones count
        for setting in settings:
            name, _, value = setting.partition("=")
            if name.startswith(f"{section}."):
                variable = name.removeprefix(f"{section}.").upper().replace("-", "_")
                found[f"PIP_{variable}"] = ast.literal_eval(value)
    return found


def taken_along(variables: dict[str, str]) -> list[str]:
    """Return the paths on this machine that its variables name, what lies in others after those."""

    def paths(names: Sequence[str]) -> list[str]:
        words = " ".join(variables.get(name, "") for name in names).split()
        urls = [(word, urlsplit(word)) for word in words]
        return [url2pathname(url.path) if url.scheme == "file" else word for word, url in urls]

    found = {variables[name] for name in CERTIFICATES if name in variables}
    found |= {*paths(PIP_FILES), *(os.path.dirname(p.rstrip("/")) for p in paths(PIP_INDEXES))}
    return sorted(path for path in found if path.startswith("/") and path != "/")


def environment() -> dict[str, str]:
    """Give the variables for the machine: pip's configuration is among them, whole."""
    here = {
        name: value
        for name, value in os.environ.items()
        if name in CERTIFICATES or name.lower().endswith("_proxy")
    }
    here |= pip_variables(ask(sys.executable, "-m", "pip", "config", "list"))
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    fixed = {"PATH": path, "HOME": "/root", "CI": "true", "DEBIAN_FRONTEND": "noninteractive"}
    return here | fixed


def furnish(root: Path, variables: dict[str, str]) -> list[str]:
    """Copy what a machine has from its network, and the checkout.

    Return the directories that are to be mounted.  What is not here is left to pip, which says
    there what it says here; what the machine has itself is not hidden.
    """
    directories = []
    for path in ["/etc/resolv.conf", "/etc/hosts", *taken_along(variables)]:
        copy = root / path.lstrip("/")
        if os.path.isdir(path) and not copy.exists():
            copy.mkdir(parents=True)
            directories.append(path)
        elif os.path.isfile(path):
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.unlink(missing_ok=True)
            shutil.copyfile(path, copy)
    ignore = shutil.ignore_patterns(*LEFT_OUT)
    shutil.copytree(
        REPOSITORY, root / "root/rebound", symlinks=True, ignore=ignore, dirs_exist_ok=True
    )
    return directories


def command_line(marker: str) -> str:
    """Give the README's command line below a marker."""
    readme = (REPOSITORY / "README.md").read_text()
    return readme.partition(f"<!-- {marker} -->\n```sh\n")[2].partition("\n```")[0]


def run(root: Path, command: str, log: Path) -> str:
    """Run a command line on a fresh machine; give its output, which is also in `log`."""
    variables = environment()
    directories = furnish(root, variables)
    enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", ENTER, "sh"]
    with open(log, "w") as file:
        ended = subprocess.run(
            [*enter, root, command, *directories],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    output = log.read_text(errors="replace")
    if ended.returncode:
        tail = "\n".join(output.splitlines()[-100:])
        raise Failed(f"exit status {ended.returncode} of: {command}\n{tail}\n(whole: {log})")
    return output


def unlike_the_picture(output: str) -> str:
    """Return what is wrong with the output of the first command line; empty if it is right."""
    before, found, rest = output.partition("rebound" + SHOWN[0])
    if not found:
        return "rebound did not start"
    if (lines := before.count("\n")) > MOST_LINES:
        return f"{lines} lines before rebound's first, more than {MOST_LINES}"
    for words in SHOWN[1:]:
        _, found, rest = rest.partition(words)
        if not found:
            return f"it does not show {words!r}, or not in its place"
    return ""


def check(name: str, markers: Sequence[str], directory: Path, logs: Path) -> str:
    """Run command lines on one distribution; give the line that sums it up."""
    began = time.monotonic()
    archive = directory / "root.tar"
    make_root(name, archive)
    for marker in markers:
        root = directory / marker.replace(" ", "-")
        root.mkdir()
        subprocess.run(["tar", "--extract", "--file", archive, "--directory", root], check=True)
        try:
            output = run(root, command_line(marker), logs / f"{name}-{root.name}.log")
            if marker == COMMANDS[0] and (wrong := unlike_the_picture(output)):
                raise Failed(f"{wrong}: {output}")
            version = ask("chroot", str(root), "python3", "-c", "import sys; print(sys.version)")
        finally:  # of its mounts nothing is left: they were in a namespace
            subprocess.run(["rm", "-rf", "--one-file-system", root], check=True)
    passed = re.findall(r"=+ (.*) in [0-9.]+s\b.* =+$", output, re.MULTILINE)
    minutes = (time.monotonic() - began) / 60
    done = ", ".join(passed or markers)
    return f"Python {version[0].split()[0]}: {done}; {minutes:.1f} minutes"


def main() -> int:
    """Check the distributions that the arguments name, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.distros", description=__doc__)
    parser.add_argument("names", nargs="*", default=DISTRIBUTIONS, metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="the main job alone, not the tests")
    options = parser.parse_args()
    markers = COMMANDS[:1] if options.quick else COMMANDS
    failed = 0
    logs = REPOSITORY / "build" / "distros"
    logs.mkdir(parents=True, exist_ok=True)
    for name in options.names:
        print(f"{shlex.quote(name)}: logs in {logs}", flush=True)
        with tempfile.TemporaryDirectory(prefix="rebound-distros-") as directory:
            try:
                said = check(name, markers, Path(directory), logs)
            except Failed as error:
                failed, said = 1, f"FAILED: {error}"
        print(f"{name}: {said}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
