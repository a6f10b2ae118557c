"""Development sessions: `nox` runs lint, types and tests; CONTRIBUTING.md tells of the others."""

from __future__ import annotations

import platform
import random
import shutil
import subprocess
import sys
from pathlib import Path

import nox

PROJECT = nox.project.load_toml("pyproject.toml")

nox.options.sessions = ["lint", "types", "tests"]
nox.options.error_on_missing_interpreters = True

UNMEASURED = [
    "tests/faults/test_pairs.py",
    "tests/e2e/test_fd_store_hostile.py",
    "tests/e2e/test_faults.py::test_orphans_that_end_quickly_are_let_gather",
]
"""Tests that `coverage` leaves out.  The calls that it makes itself would count as rebound's, and
it makes rebound too slow for floods of messages and of orphans."""

ARCHITECTURES = ["x86_64", "aarch64"]
"""Those that the one file is built for."""

LONG = ("test_debians.py", "test_image.py", "test_reproducible.py")
"""Tests of the packages that take a minute or two."""

GROUPS = ("test", "coverage", "bench", "demo", "lint", "packages", "types")
"""The groups of pyproject.toml that sessions install."""

CONSTRAINTS = "tests/constraints.txt"
"""The versions of what is in these groups, and of what that needs.  `lock` renews them."""

GITHUB = {
    "dependabot": "dependabot.yml",
    "github-issue-config": "ISSUE_TEMPLATE/config.yml",
    "github-issue-forms": "ISSUE_TEMPLATE/[!c]*.yml",
    "github-workflows": "workflows/*.yml",
}
"""The schemas of the files in .github/."""


def runs(version: str) -> bool:
    """Return whether this version of Python is here: pyenv has a `python3.13` that may refuse."""
    try:
        found = subprocess.run([f"python{version}", "-c", ""], capture_output=True, check=False)
    except OSError:
        return False
    return found.returncode == 0


RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHERS = [v for v in nox.project.python_versions(PROJECT) if v != RUNNING and runs(v)]
"""The further Pythons that are here, of those that the classifiers name."""


def install(session: nox.Session, group: str, *packages: str) -> None:
    """Install one of the dependency groups, in the versions that are locked.

    A constraint of this machine's pip holds, too.
    """
    dependencies = nox.project.dependency_groups(PROJECT, group)
    session.install("--constraint", CONSTRAINTS, *dependencies, *packages)


def rebound(session: nox.Session) -> dict[str, str]:
    """Name the program under test to the tests."""
    return {"REBOUND": str(Path(session.bin) / "rebound")}


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format, spelling and prose, and what GitHub is to do."""
    install(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check", "--diff")
    session.run("codespell")
    documents = ["README.md", "CHANGELOG.md", *map(str, Path(".github").glob("*.md"))]
    documents += map(str, Path("docs").rglob("*.md"))
    session.run("proselint", "check", "--config", "tests/proselint.json", *documents)
    for schema, files in GITHUB.items():
        paths = sorted(map(str, Path(".github").glob(files)))
        session.run("check-jsonschema", "--quiet", f"--builtin-schema=vendor.{schema}", *paths)
    session.run("zizmor", "--offline", "--quiet", "--no-progress", ".github")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of the package and its tests, and that wrong uses are refused."""
    install(session, "types")
    session.run("mypy")
    session.run("pyright", "--project", "pyproject.toml")  # not what lies in a folder above


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests on the installed package, as root; arguments go to pytest."""
    run_tests(session)
    if OTHERS:
        session.log(f"`nox -s pythons` runs them on what else is here: {', '.join(OTHERS)}")


@nox.session(python=OTHERS, default=False)
def pythons(session: nox.Session) -> None:
    """Run the tests on each other Python that is here."""
    run_tests(session)


def run_tests(session: nox.Session) -> None:
    """Install the package beside what its tests need, and run them."""
    install(session, "test", ".")
    # Another one each time, and shown, so that a failure can be had again.
    seed = random.randrange(2**32)
    pytest = ("pytest", "--numprocesses=4", f"--hypothesis-seed={seed}")
    session.run(*pytest, *session.posargs, env=rebound(session))


@nox.session
def coverage(session: nox.Session) -> None:
    """Say which statements and branches of the package no test reaches; fails below 95 %."""
    install(session, "coverage", ".")
    data = Path(session.virtualenv.location, "coverage")
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    data.chmod(0o1777)  # some tests have rebound run as another user
    script = Path(session.bin, "rebound-python")
    if "unmeasured" not in (text := script.read_text()):  # with `nox -R` it stays from before
        Path(f"{script}-unmeasured").write_text(text)
    script.write_text(f"#!{session.bin}/python\n{Path('tests/measured.py').read_text()}")
    # Not --ignore, which testpaths override.
    deselected = [f"--deselect={tests}" for tests in UNMEASURED]
    session.run(
        *("coverage", "run", f"--data-file={data}/data", "-m"),
        *("pytest", "--numprocesses=4", *deselected, *session.posargs),
        env=rebound(session) | {"REBOUND_GRACE": "3", "REBOUND_DEADLINE": "60"},
    )
    session.run("coverage", "combine", f"--data-file={data}/data", "--quiet", str(data))
    session.run("coverage", "report", f"--data-file={data}/data")


@nox.session
@nox.parametrize("architecture", ARCHITECTURES)
def standalone(session: nox.Session, architecture: str) -> None:
    """Build the file for images without Python; run the same end-to-end tests on it, as root."""
    session.run("images/standalone/build.sh", architecture, external=True)
    file = Path("dist", f"rebound-linux-{architecture}").resolve()
    if architecture == platform.machine():
        install(session, "test", ".")  # the package: for the negative controls
        tests = session.posargs or ["tests/e2e", "tests/standalone"]
        session.run("pytest", "--numprocesses=4", *tests, env={"REBOUND": str(file)})
    else:
        # qemu-user has no subreapers; but Python starts, and all modules are imported.
        for option in ("--version", "--help"):
            session.run(f"qemu-{architecture}-static", str(file), option, external=True)


@nox.session(venv_backend="none")
def wheel(session: nox.Session) -> None:
    """Build the wheels, of the very requirements that are locked in images/wheel/."""
    session.run("images/wheel/build.sh", external=True)


@nox.session
def packages(session: nox.Session) -> None:
    """Make the wheels, Debian packages and tarballs of the one file, and try them; as root.

    In dist/release/ is then all that a release is.  With --quick of the files that `standalone`
    has built, and without what takes minutes: fresh Debians, the build elsewhere, the image of the
    other architecture.
    """
    install(session, "packages")
    arguments = list(session.posargs)
    if "--quick" in arguments:
        arguments.remove("--quick")
        arguments += [f"--ignore=tests/packages/{name}" for name in LONG]
    else:
        for architecture in ARCHITECTURES:
            session.run("images/standalone/build.sh", architecture, external=True)
    session.run("python", "-m", "images.packages")
    release = Path("dist/release")
    wheels, debs = (sorted(map(str, release.glob(f"*.{kind}"))) for kind in ("whl", "deb"))
    session.run("twine", "check", "--strict", *wheels, *map(str, release.glob("rebound_init-*")))
    session.run("check-wheel-contents", *wheels)
    session.run("lintian", "--allow-root", "--fail-on=error,warning", *debs, external=True)
    pytest = ("pytest", "--numprocesses=2", "--dist=worksteal")
    session.run(*pytest, "tests/packages", *arguments)


@nox.session
def lock(session: nox.Session) -> None:
    """Lock the newest versions: of the tools, and with hashes of what the wheels are built of."""
    session.install("uv")
    newest = ("--upgrade", "--universal", "--python-version=3.11")
    command = ("uv", "pip", "compile", "--quiet", "--custom-compile-command=nox -s lock", *newest)
    hashed = (*command, "--generate-hashes")
    session.run(*hashed, "--output-file=images/wheel/build.txt", "--group=pyproject.toml:build")
    session.run(*hashed, "--output-file=images/wheel/run.txt", "pyproject.toml")
    groups = [f"--group=pyproject.toml:{group}" for group in GROUPS]
    session.run(*command, f"--output-file={CONSTRAINTS}", *groups)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure beside the peers and the floors; --quick, --check, --update, --help.

    Needs root, gcc and strace, and Debian's tini, dumb-init, catatonit, runit and s6; what is
    missing is said in the table, as is the one file where it was not built (see standalone).
    """
    install(session, "bench", ".")
    session.run("python", "-m", "tests.bench", *session.posargs, env=rebound(session))


@nox.session
def demo(session: nox.Session) -> None:
    """Record the README's picture of a terminal; as root."""
    install(session, "demo", ".")
    session.run("python", "-m", "tests.demo", env=rebound(session))


@nox.session
def soak(session: nox.Session) -> None:
    """Everything at random for so many seconds, memory and descriptors watched; as root."""
    install(session, "test", ".")
    seconds = session.posargs or ["600"]
    session.run("python", "-m", "tests.soak", *seconds, env=rebound(session))


@nox.session
def faults(session: nox.Session) -> None:
    """Make each system call fail in each way, as root; writes dist/faults.md."""
    install(session, "test", ".")
    session.run("python", "-m", "tests.faults", *session.posargs, env=rebound(session))


@nox.session
def images(session: nox.Session) -> None:
    """Build the images and test them, with podman or docker, as root; needs no registry."""
    install(session, "test")
    session.run("python", "-m", "tests.images")
    session.run("pytest", "tests/images", *session.posargs)


@nox.session
def distros(session: nox.Session) -> None:
    """Run the README's command lines on fresh Debians, or those named; as root, with mmdebstrap."""
    session.run("python", "-m", "tests.distros", *session.posargs)


@nox.session
def kernels(session: nox.Session) -> None:
    """Boot other kernels in qemu, and try rebound there; --architecture, --tests, --help.

    Needs an apt that knows Debian's mirror, cpio, gcc and qemu; keeps the kernels in ~/.cache.
    """
    session.run("python", "-m", "tests.kernels", *session.posargs)


@nox.session
def machine(session: nox.Session) -> None:
    """Boot a whole Debian 13 in qemu, and try rebound below systemd and podman; --renew, --help.

    As root; needs an apt that knows Debian's mirror, mmdebstrap, podman, qemu and what builds the
    one file; keeps the disk in ~/.cache.
    """
    install(session, "test")
    session.run("python", "-m", "tests.machine", *session.posargs)
