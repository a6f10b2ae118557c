"""Takes the place of `rebound-python` in `nox -s coverage`: runs it, and notes what it runs.

A process of its own, isolated and without `site`, can be told of that in no other way; not by a
variable of the environment, which is the command's.
"""

import os
import runpy
import sys

_prefix = __file__.rpartition("/")[0].rpartition("/")[0]
sys.path.append(f"{_prefix}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages")

from coverage import Coverage  # noqa: E402 - not before it can be found

_measured = Coverage(
    data_file=f"{_prefix}/coverage/data",
    data_suffix=True,
    config_file=False,
    branch=True,
    include=["*/site-packages/rebound/*"],
)


def _save_and_exit(status: int) -> None:
    _measured.stop()
    try:
        _measured.save()
    except Exception:
        # A test with a read-only root, or no descriptor left: without these figures, then.
        pass
    _exit(status)


# rebound ends by this, in the end.
_exit, os._exit = os._exit, _save_and_exit  # type: ignore[assignment]
_measured.start()
runpy.run_path(f"{__file__}-unmeasured")
