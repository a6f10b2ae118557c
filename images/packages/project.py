"""What the packages say of rebound: from pyproject.toml, the package, and its commit."""

from __future__ import annotations

import functools
import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import rebound

ROOT = Path(__file__).parents[2]

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION = rebound.__version__
AUTHOR = PROJECT["authors"][0]["name"]
MAINTAINER = f"{AUTHOR} <{PROJECT['authors'][0]['email']}>"
URLS = PROJECT["urls"]

DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}
"""The architectures, and what Debian calls them."""

LONG = """\
Put rebound in front of a container's command: it restarts the command when it crashes, forwards
signals to it, reaps orphans, and ends when the command ends well or the container is stopped. It
is like tini or dumb-init, plus restart, plus time for what the command left behind, such as a
database, to shut down clean."""


@functools.cache
def commit_time() -> int:
    """Return SOURCE_DATE_EPOCH, or else when the commit was made: seconds since the epoch."""
    told = os.environ.get("SOURCE_DATE_EPOCH")
    if told:
        return int(told)
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    try:
        return int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    except (OSError, subprocess.CalledProcessError):
        raise SystemExit("no commit here: SOURCE_DATE_EPOCH must say the time") from None
