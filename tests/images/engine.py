"""Images and containers under test, through podman or docker."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

import psutil

from tests.helpers import eventually

ENGINE = os.environ.get("CONTAINER_ENGINE") or ("podman" if shutil.which("podman") else "docker")

os.environ["CONTAINERS_CONF"] = str(Path(__file__).parent / "containers.conf")


def engine(*args: object, **options: object) -> str:
    """Run the engine; give what it printed.  Raises `CalledProcessError`, its stderr is ours."""
    defaults = {"check": True, "stdout": subprocess.PIPE, "text": True}
    return subprocess.run([ENGINE, *map(str, args)], **{**defaults, **options}).stdout  # type: ignore[call-overload, no-any-return]


class Container:
    """A container that runs; removed, with its volumes, at the end."""

    def __init__(self, image: str, *command: object, options: tuple[object, ...] = ()) -> None:
        detached = ("run", "--detach", "--network", "none")
        self.id = engine(*detached, *options, image, *command).strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        if failed:
            print(self.output)
        engine("rm", "--force", "--volumes", self.id)

    @property
    def output(self) -> str:
        """All that was written to stdout and stderr."""
        return engine("logs", self.id, stderr=subprocess.STDOUT)

    def lines(self, start: str) -> list[str]:
        """The lines of the output that start so."""
        return [line for line in self.output.splitlines() if line.startswith(start)]

    def wait_ready(self, times: int = 1) -> None:
        """Wait until the command has announced itself so often."""
        eventually(lambda: len(self.lines("ready")) >= times)

    def wait_well(self, *rebound: str) -> None:
        """Wait until `rebound --status`, as a HEALTHCHECK would run it, says that all is well."""
        status = [ENGINE, *rebound, "--status"]
        eventually(lambda: subprocess.run(status, check=False).returncode == 0)

    @property
    def init(self) -> psutil.Process:
        """Its PID 1, as seen from here."""
        return psutil.Process(int(engine("inspect", "--format", "{{.State.Pid}}", self.id)))

    @property
    def rebound(self) -> psutil.Process:
        """Its rebound: PID 1, or the child of an init."""
        (found,) = (p for p in (self.init, *self.init.children()) if p.name() == "rebound")
        return found

    def stop(self) -> int:
        """Stop it as the engine does; give its exit status."""
        engine("stop", self.id)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; give its exit status."""
        return int(engine("wait", self.id))
