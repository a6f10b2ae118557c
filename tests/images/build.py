"""Builds images from the Dockerfiles, where no registry can be reached on stand-ins for their bases.

A stand-in never bears the name of what it stands for: just these builds are told to take it.
"""

from __future__ import annotations

import platform
import re
import subprocess

from tests.helpers import REPOSITORY
from tests.images.engine import ENGINE, engine

IMAGES = REPOSITORY / "images"

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

STAND_INS = {"DEBIAN": "debian", "DEBIAN_SLIM": "debian", "ALPINE": "alpine"}
"""For which build argument of the Dockerfiles which one stands in."""


ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

TOLD = {
    "BUILDPLATFORM": f"linux/{ARCHITECTURES.get(platform.machine(), platform.machine())}",
    "REVISION": "0123456789" * 4,
}
"""Build arguments for the Dockerfiles that name them.  podman 4 does not set the first itself."""


def run(*command: str, **options: object) -> bool:
    """Whether a command succeeded; if not, it has said why."""
    return not subprocess.run(command, stdout=subprocess.DEVNULL, **options).returncode  # type: ignore[call-overload]


def bases(dockerfile: str) -> dict[str, str]:
    """Return the build arguments of a Dockerfile, and the bases that they are by default."""
    return dict(re.findall(r"^ARG (\w+)=(\S+)$", dockerfile, re.MULTILINE))


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


class Builder:
    """Builds images, each on top of what was built before."""

    def __init__(self) -> None:
        self.dockerfiles = {
            path.parent.name: path.read_text() for path in IMAGES.glob("*/Dockerfile")
        }
        self.images = {
            name: base for text in self.dockerfiles.values() for name, base in bases(text).items()
        }
        """What the build arguments of the Dockerfiles are."""
        for argument, base in self.images.items():
            if not is_available(base):
                image = self.images[argument] = stand_in(STAND_INS[argument])
                print(f"{base} cannot be pulled; made with mmdebstrap, {image} stands in")

    def build(self, image: str, name: str, *options: str) -> None:
        """Build images/NAME/Dockerfile; further options are the engine's."""
        self._build(image, self.dockerfiles[name], str(IMAGES / name / "Dockerfile"), *options)

    def build_text(self, image: str, text: str, *options: str) -> None:
        """Build the text of a Dockerfile."""
        self._build(image, text, "-", *options)

    def _build(self, image: str, text: str, file: str, *options: str) -> None:
        print(f"building {image}", flush=True)
        # The network is the host's: a bridge may need what a virtual machine does not allow.
        arguments = {argument: self.images[argument] for argument in bases(text)}
        arguments |= {name: value for name, value in TOLD.items() if f"\nARG {name}\n" in text}
        told = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        command = ("build", "--network", "host", "-t", image, "-f", file, *told, *options)
        engine(*command, str(REPOSITORY), input=text if file == "-" else None, stdout=None)
