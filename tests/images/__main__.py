"""Builds the images under test, where no registry can be reached on stand-ins for their bases.

A stand-in never bears the name of what it stands for: just these builds are told to take it.
"""

from __future__ import annotations

import os
import subprocess

from tests.helpers import REPOSITORY
from tests.images.engine import ENGINE, engine

PULL_TIMEOUT = 120.0
"""Seconds; a network may swallow what it does not let through."""

MMDEBSTRAP = {
    # As slim as debian:bookworm-slim: no documentation but the licences.
    "debian": (
        "--variant=minbase",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
    ),
    # As Alpine: musl is the only C library, and busybox all the commands.
    "alpine": (
        "--variant=extract",
        "--include=busybox-static,musl",
        '--extract-hook=chroot "$1" /bin/busybox --install -s',
    ),
}
"""How to make the stand-ins, of Debian's packages."""

BASES = {"debian:bookworm": "debian", "debian:bookworm-slim": "debian", "alpine:3": "alpine"}

COPIED = """
FROM {rebound} AS rebound
FROM {base}
COPY --from=rebound /usr/local/bin/rebound /usr/local/bin/rebound
ENTRYPOINT ["rebound"]
"""
"""What the README tells to write."""


def run(*command: str, **options: object) -> bool:
    """Whether a command succeeded; if not, it has said why."""
    return not subprocess.run(command, stdout=subprocess.DEVNULL, **options).returncode  # type: ignore[call-overload]


def is_available(image: str) -> bool:
    """Whether an image is here, or can be pulled."""
    if run(ENGINE, "image", "inspect", image, stderr=subprocess.DEVNULL):
        return True
    try:
        return run(ENGINE, "pull", f"docker.io/library/{image}", timeout=PULL_TIMEOUT)
    except subprocess.TimeoutExpired:
        return False


def stand_in(name: str) -> str:
    """Make a stand-in, unless there is one; give its name."""
    image = f"localhost/rebound-stand-in:{name}"
    if not run(ENGINE, "image", "inspect", image, stderr=subprocess.DEVNULL):
        command = ["mmdebstrap", "--quiet", *MMDEBSTRAP[name], "bookworm", "-"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as root:
            engine("import", "-", image, stdin=root.stdout)
        if root.returncode:
            engine("rmi", image)
            raise subprocess.CalledProcessError(root.returncode, command)
    return image


def main() -> None:
    """Build all, each on top of what was built before."""
    # The network is the host's: a bridge may need what a virtual machine does not allow.
    options = ["--network", "host"]
    for base, name in BASES.items():
        if not is_available(base):
            image = stand_in(name)
            print(f"{base} cannot be pulled; {image}, made with mmdebstrap, stands in for it")
            options += ["--build-context", f"{base}=docker-image://{image}"]

    def build(image: str, dockerfile: str, text: str | None = None) -> None:
        print(f"building {image}", flush=True)
        engine("build", *options, "-t", image, "-f", dockerfile, ".", input=text, stdout=None)

    os.chdir(REPOSITORY)
    for name in ("debian", "alpine", "scratch"):
        build(f"rebound:{name}", f"images/{name}/Dockerfile")
    engine("tag", "rebound:scratch", "rebound")
    build("rebound-postgres", "images/postgres/Dockerfile")
    for origin, base in (("alpine", "debian:bookworm-slim"), ("debian", "alpine:3")):
        text = COPIED.format(rebound=f"rebound:{origin}", base=base)
        build(f"rebound-copied:{origin}-to-{BASES[base]}", "-", text)


main()
