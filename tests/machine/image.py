"""The machine's disk: Debian 13 with systemd and podman, which has the images under test."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.distros import REPOSITORY, run_mmdebstrap
from tests.images.build import Builder
from tests.images.engine import engine
from tests.kernels.machine import make_image
from tests.machine import cache

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "linux-image-cloud-amd64"),
    *("podman", "crun", "netavark", "aardvark-dns", "nftables", "catatonit"),
    *("python3", "python3-systemd"),
)

NOT_INSTALLED = ("doc", "info", "locale", "man")
"""Folders of /usr/share."""

MASKED = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer"),
    *("e2scrub_all.timer", "fstrim.timer", "systemd-tmpfiles-clean.timer"),
    *("getty@tty1.service", "serial-getty@ttyS0.service", "systemd-logind.service"),
    *("systemd-udevd.service", "systemd-udev-trigger.service", "systemd-pstore.service"),
    *("systemd-update-done.service", "systemd-journal-catalog-update.service"),
    *("ldconfig.service", "systemd-hwdb-update.service", "systemd-sysusers.service"),
    *("systemd-journal-flush.service", "systemd-random-seed.service"),
)
"""Units that nothing here needs: the machine boots, is looked at, and is gone."""

FILES = {
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",  # without one it is a first boot
    "etc/hostname": "machine\n",
    "etc/resolv.conf": "nameserver 127.0.0.1\n",  # podman's name server needs one
    "etc/systemd/system/tests.service": """\
[Unit]
Description=Plays the scenarios, which are on the second disk
Wants=dbus.socket
After=basic.target dbus.socket

[Service]
Type=exec
ExecStartPre=modprobe virtio_blk
ExecStartPre=tar --extract --file=/dev/vda --directory=/ --no-same-owner
ExecStart=/opt/tests/play
StandardInput=null
StandardOutput=tty
TTYPath=/dev/ttyS0
""",
    "etc/systemd/system/tests.target": "[Unit]\nRequires=sysinit.target tests.service\n",
}

SOURCES = (
    "LICENSE",
    "NOTICE",
    "rebound",
    "images",
    "tests/images/build.py",
    "tests/images/containers.conf",
)
"""Of what the images are made."""

NAME = "localhost/rebound-machine"
"""Of the images; their tags are the names of the Dockerfiles."""

HEALTH = f"""
FROM {NAME}:alpine
HEALTHCHECK --interval=4s --retries=1 CMD ["rebound", "--status"]
"""
"""As docs/containers.md says, but in less time."""

CLIENT = f"""
FROM {NAME}:postgres
ENTRYPOINT []
HEALTHCHECK NONE
"""
"""PostgreSQL's programs alone."""

LOADED = """
mount --make-rprivate /
mount --bind "$1" "$1"
mount --rbind /dev "$1/dev"
mount --rbind /sys "$1/sys"
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/run"
mount --bind "$2" "$1/mnt"
cd "$1"
mount --move . /
exec chroot . env --ignore-environment PATH=/usr/sbin:/usr/bin \\
    podman --cgroup-manager=cgroupfs load --quiet --input /mnt/images.tar
"""
"""Has the podman of the root directory $1 load images from directory $2."""

SIZE = "4G"
"""Of the disk; the file has holes where nothing is written."""


def disk(*, renew: bool) -> Path:
    """Return the directory with the disk, root.img, and its kernel, vmlinuz-VERSION."""
    settings = [*PACKAGES, *NOT_INSTALLED]
    debian = cache.kept("debian", cache.digest(*settings), _make_debian, renew=renew)
    sources = cache.digest_of_files(REPOSITORY / name for name in SOURCES)
    digest = cache.digest(sources, HEALTH, CLIENT)
    images = cache.kept("images", digest, _make_images, renew=renew)

    def make(directory: Path) -> None:
        _make_disk(debian / "root.tar", images, directory)

    settings = [debian.name, images.name, *MASKED, *map(str, FILES.items()), LOADED, SIZE]
    return cache.kept("disk", cache.digest(*settings), make, renew=renew)


def _make_debian(directory: Path) -> None:
    options = [f"--include={','.join(PACKAGES)}"]
    options += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in NOT_INSTALLED]
    os.environ["INITRD"] = "No"  # the kernel needs none here: ext4 and NVMe are in it
    run_mmdebstrap("trixie", directory / "root.tar", *options)


def _make_images(directory: Path) -> None:
    builder = Builder()
    docker = "--format=docker"  # HEALTHCHECK is docker's
    # The image `rebound` of this machine may be another build's.
    scratch = f"--build-context=rebound=container-image://{NAME}:scratch"
    for name in ("scratch", "alpine", "debian"):
        builder.build(f"{NAME}:{name}", name, docker)
    builder.build(f"{NAME}:postgres", "postgres", docker, scratch)
    builder.build_text(f"{NAME}:health", HEALTH, docker)
    builder.build_text(f"{NAME}:client", CLIENT, docker)
    tags = ("scratch", "alpine", "debian", "postgres", "health", "client")
    names = [f"{NAME}:{tag}" for tag in tags]
    archive = str(directory / "images.tar")
    engine("save", "--quiet", "--multi-image-archive", "--output", archive, *names)


def _make_disk(debian: Path, images: Path, directory: Path) -> None:
    with tempfile.TemporaryDirectory(dir=directory) as work:
        root = Path(work, "root")
        root.mkdir()
        subprocess.run(["tar", "--extract", "--file", debian, "--directory", root], check=True)
        for unit in MASKED:
            (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
        for name, text in FILES.items():
            file = root / name
            file.unlink(missing_ok=True)
            file.write_text(text)
        namespaces = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
        load = [*namespaces, "sh", "-euc", LOADED, "sh", str(root), str(images)]
        subprocess.run(load, check=True, stdout=subprocess.DEVNULL)
        [kernel] = (root / "boot").glob("vmlinuz-*")
        shutil.move(kernel, directory)
        make_image(root, directory / "root.img", SIZE)
