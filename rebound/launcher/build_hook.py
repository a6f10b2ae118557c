"""Compiles the launcher when a wheel is built, and marks the wheel for this platform.

python-prctl has no wheels and is compiled at installation anyway, so there is a C compiler.
"""

from __future__ import annotations

import shlex
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class LauncherHook(BuildHookInterface):  # type: ignore[misc]
    """Puts `rebound` and `rebound-python` into the wheel's scripts."""

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        """Compile; called by hatchling before it collects the files."""
        source = Path(self.root, "rebound/launcher")
        self._launcher = Path(self.directory, "rebound")
        self._launcher.parent.mkdir(parents=True, exist_ok=True)
        compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")[0]
        options = ["-std=c11", "-Os", "-s", "-Wall", "-Wextra", "-Werror"]
        try:
            subprocess.run(
                [compiler, *options, "-o", self._launcher, source / "launcher.c"], check=True
            )
        except FileNotFoundError:
            raise SystemExit(
                f"rebound's launcher (and python-prctl) need a C compiler: no {compiler} found"
            ) from None
        build_data["shared_scripts"] = {
            str(self._launcher): "rebound",
            str(source / "rebound-python"): "rebound-python",
        }
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"

    def finalize(self, _version: str, _build_data: dict[str, Any], _artifact: str) -> None:
        """Remove the compiled files."""
        self._launcher.unlink(missing_ok=True)
