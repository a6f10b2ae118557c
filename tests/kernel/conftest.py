"""Each test here in a process of its own: masks, subreapers and children are process-wide."""

from __future__ import annotations

import os
import tempfile
import traceback
from contextlib import suppress

import psutil
import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    """Fork, run the test in the child, and fail with its traceback if it fails."""
    with tempfile.TemporaryFile() as report:
        pid = os.fork()
        if not pid:
            try:
                arguments = pyfuncitem._fixtureinfo.argnames
                pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in arguments})
            except BaseException:
                report.write(traceback.format_exc().encode())
                report.flush()
            finally:
                # This must never return, whatever happens: it would run further tests, too.
                try:
                    _kill_children()
                finally:
                    os._exit(0)
        _, status = os.waitpid(pid, 0)
        report.seek(0)
        text = report.read().decode()
    if status or text:
        pytest.fail(text or f"the test's process ended with wait status {status}", pytrace=False)
    return True


def _kill_children() -> None:
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.kill()
