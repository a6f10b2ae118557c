"""Fixtures for all tests."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import hypothesis
import pytest

from tests import helpers

# No timed assertions: machines are shared.  The seed is given by the session, see noxfile.py.
hypothesis.settings.register_profile("rebound", deadline=None, print_blob=True)
hypothesis.settings.load_profile("rebound")

# A shell starts background jobs with SIGINT and SIGQUIT ignored, and rebound heeds that.
signal.pthread_sigmask(signal.SIG_SETMASK, [])
for signo in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(signo) == signal.SIG_IGN:
        signal.signal(signo, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def run_directory() -> Iterator[Path]:
    """Where rebound makes its sockets, unless a test says otherwise: not in the system's /run.

    As there every user may pass through, which is not so for the directories of pytest.
    """
    with open_directory() as directory:
        os.environ["REBOUND_RUN_DIR"] = str(directory)
        yield directory


@contextmanager
def open_directory() -> Iterator[Path]:
    """Make a directory that all users may enter, and remove it."""
    directory = Path(tempfile.mkdtemp(prefix="rebound-run"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., helpers.Supervised]]:
    """Start rebound with these arguments; whatever runs at the test's end is killed."""
    with ExitStack() as stack:

        def start(*args: object, **options: object) -> helpers.Supervised:
            directory = tmp_path / f"rebound{len(list(tmp_path.glob('rebound*')))}"
            directory.mkdir()
            return stack.enter_context(helpers.Supervised(directory, args, **options))  # type: ignore[arg-type]

        yield start


@pytest.fixture(params=list(helpers.MODES))
def mode(request: pytest.FixtureRequest) -> list[str]:
    """Each of: as an ordinary process, as PID 1, nested below tini."""
    return helpers.MODES[request.param]


@pytest.fixture(params=list(helpers.WAYS))
def way(request: pytest.FixtureRequest) -> list[str]:
    """Each of: processes are started by posix_spawn, by fork, and with a descriptor handed over."""
    return helpers.WAYS[request.param]


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """No test leaves a descriptor open here: an unclosed one would reach later commands."""
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) <= len(before)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test that was skipped has not passed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
