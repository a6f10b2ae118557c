"""The images: rebound as PID 1 and below an init, on glibc, on musl, and on nothing at all."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psutil
import pytest

from tests.helpers import eventually
from tests.images.build import TOLD
from tests.images.engine import ENGINE, Container, engine

IMAGES = ("debian", "alpine", "scratch")
COPIED = ("debian-to-alpine", "alpine-to-debian")

NO_PROGRAMS = tuple(
    f"--volume={shutil.which('busybox')}:/bin/{name}:ro" for name in ("sh", "sleep")
)
"""What the empty image needs for these tests: a busybox, which is static."""

ORPHANS = "for i in 1 2 3; do (sleep 999 &); done; echo ready; exec sleep 1000"


@pytest.fixture(params=IMAGES)
def name(request):
    return request.param


@pytest.fixture
def contain(name: str) -> Iterator[Callable[..., Container]]:
    """Start a container of the image with these arguments."""
    with ExitStack() as stack:

        def contain(*args: object, options: tuple[object, ...] = ()) -> Container:
            if name == "scratch":
                options = (*NO_PROGRAMS, *options)
            return stack.enter_context(Container(f"rebound:{name}", *args, options=options))

        yield contain


@pytest.fixture(params=[(), ("--init",)], ids=["pid1", "nested"])
def nesting(request):
    return request.param


def test_restarts_after_a_crash_and_ends_when_stopped(contain, nesting):
    container = contain("sh", "-c", "echo ready; exec sleep 1000", options=nesting)
    container.wait_ready()
    rebound = container.rebound
    assert (rebound == container.init) == (not nesting)
    (command,) = rebound.children()
    command.kill()
    container.wait_ready(times=2)
    (restarted,) = container.rebound.children()
    assert restarted != command
    assert container.rebound == rebound
    assert container.stop() == 128 + 15
    assert len(container.lines("ready")) == 2


def orphans(init: psutil.Process) -> list[psutil.Process]:
    found = eventually(
        lambda: [p for p in init.children() if p.cmdline()[-1:] == ["999"]][2:] and init.children()
    )
    return [p for p in found if p.cmdline()[-1:] == ["999"]]


def test_orphans_are_adopted_and_reaped(contain, nesting):
    container = contain("sh", "-c", ORPHANS, options=nesting)
    container.wait_ready()
    for orphan in orphans(container.rebound):
        orphan.kill()
    eventually(lambda: len(container.rebound.children()) == 1)


@pytest.mark.parametrize("name", ["debian"])
def test_without_rebound_they_stay_zombies(contain):
    container = contain("-c", ORPHANS, options=("--entrypoint=sh", "--stop-signal=KILL"))
    container.wait_ready()
    killed = orphans(container.init)
    for orphan in killed:
        orphan.kill()
    eventually(lambda: all(orphan.status() == psutil.STATUS_ZOMBIE for orphan in killed))


def test_a_stopped_container_waits_for_its_daemons(contain, nesting):
    daemon = "trap 'echo daemon has stopped; exit' TERM; echo ready; sleep 1000 & wait"
    command = 'trap "exit 3" TERM; (sh -c "$0" &); sleep 1000 & wait'
    container = contain("sh", "-c", command, daemon, options=nesting)
    container.wait_ready()
    assert container.stop() == 3
    assert container.lines("daemon has stopped")


def test_exit_status(contain):
    for status, *command in (
        (0, "sh", "-c", "exit 0"),
        (42, "sh", "-c", "exit 42"),
        (128 + 9, "sh", "-c", "kill -KILL $$"),
        (127, "no-such-command"),
        (126, "/"),
        (125, "--no-such-option"),
    ):
        assert contain("--restart=never", *command).wait() == status


def test_needs_no_writable_path_no_root_and_no_capability(contain):
    hardened = (
        *("--read-only", "--user=65534:65534", "--cap-drop=all"),
        "--security-opt=no-new-privileges",
        # podman would make /run, all the same.
        *(("--read-only-tmpfs=false",) if "podman" in ENGINE else ()),
    )
    container = contain("-r1", "sh", "-c", "echo ready; exit 9", options=hardened)
    assert container.wait() == 9
    assert len(container.lines("ready")) == 2
    # Nor does a HEALTHCHECK, nor root: also without capabilities.
    container = contain("-v", "sh", "-c", "echo ready; exec sleep 1000", options=hardened)
    container.wait_ready()
    eventually(lambda: container.lines("rebound: the socket for --status is abstract"))
    for times, user in enumerate((65534, 0), 2):
        inside = ("exec", f"--user={user}", container.id, "rebound")
        container.wait_well(*inside)
        assert engine(*inside, "--restart-now").startswith("restarted: sh ")
        container.wait_ready(times)


@pytest.mark.parametrize("name", COPIED)
def test_copied_into_an_image_of_another_libc(name):
    with Container(f"rebound-copied:{name}", "-r1", "sh", "-c", "echo ready; exit 9") as container:
        assert container.wait() == 9
        assert len(container.lines("ready")) == 2


def content(image: str) -> dict[str, bytes]:
    """The files that an image of ours adds to its base."""
    container = engine("create", image, "--version").strip()
    files = {}
    try:
        for path in ("/usr/local/bin/rebound", "/usr/local/share/doc/rebound"):
            tar = subprocess.check_output([ENGINE, "cp", f"{container}:{path}", "-"])
            with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
                for member in filter(tarfile.TarInfo.isfile, archive):
                    file = archive.extractfile(member)
                    assert file
                    files[member.name] = file.read()
    finally:
        engine("rm", container)
    return files


def test_all_hold_the_same_file_and_the_licences():
    """Those that it is copied into, too."""
    names = [f"rebound:{name}" for name in IMAGES] + [f"rebound-copied:{name}" for name in COPIED]
    debian, *others = map(content, (*names, "rebound-postgres"))
    assert all(other == debian for other in others)
    assert len(debian.pop("rebound")) < 6.8e6
    licences = {"LICENSE", "NOTICE", "GPL-3", "LGPL-2.1", "libc6-dev"}
    assert {f"rebound/{name}" for name in licences} < debian.keys()


@pytest.mark.parametrize("image", [*(f"rebound:{name}" for name in IMAGES), "rebound-postgres"])
def test_the_labels_say_what_it_is(image):
    labels = json.loads(engine("image", "inspect", "--format", "{{json .Config.Labels}}", image))
    version = engine("run", "--rm", "--entrypoint=/usr/local/bin/rebound", image, "-v", "--version")
    name, commit, _python = version.splitlines()
    prefix = "org.opencontainers.image"
    assert name == f"rebound {labels[f'{prefix}.version']}"
    assert commit == f"commit {labels[f'{prefix}.revision']}"
    assert commit == f"commit {TOLD['REVISION']}"
    assert labels.keys() >= {f"{prefix}.{key}" for key in ("source", "licenses", "description")}
