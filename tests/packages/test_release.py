"""All of the release: its sums, its bills of materials, and that anybody can make the same."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import rebound
from images.packages.project import DEBIAN
from tests.packages.release import RELEASE, commit, said, the


def sums():
    lines = (RELEASE.directory / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def test_the_sums_are_of_all_files():
    names = {path.name for path in RELEASE.directory.iterdir()} - {"SHA256SUMS"}
    assert sums().keys() == names
    subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=RELEASE.directory, check=True
    )
    kinds = {re.sub(r"x86_64|aarch64|amd64|arm64", "ARCH", name) for name in names}
    assert len(kinds) * 2 - 1 == len(names)  # the source distribution is for both


@pytest.mark.parametrize("architecture", DEBIAN)
def test_the_bill_of_materials(architecture):
    name = f"rebound-linux-{architecture}"
    text = the(f"{name}.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    [digest] = bill["metadata"]["component"]["hashes"]
    assert digest["content"] == hashlib.sha256(the(name).read_bytes()).hexdigest()
    parts = {re.sub(r"[-0-9.]+$", "", part["name"]) for part in bill["components"]}
    expected = {"gcc", "glibc", "libcap", "libffi", "python", "python-prctl", "rebound-init"}
    assert parts == expected


def test_the_validation_of_bills_finds_mistakes():
    """Negative control."""
    bill = json.loads(the(f"rebound-linux-{RELEASE.machine}.cdx.json").read_text())
    bill["components"][0]["type"] = "wheel"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill))


@pytest.mark.parametrize("architecture", DEBIAN)
def test_a_wheel_holds_the_licences_and_the_bill(architecture):
    with zipfile.ZipFile(the(f"rebound_init_bin-*_{architecture}.whl")) as wheel:
        files = {name.partition("/")[2]: wheel.read(name) for name in wheel.namelist()}
    metadata = HeaderParser().parsestr(files["METADATA"].decode())
    assert "Requires-Dist" not in metadata
    assert metadata["License-Expression"] == "GPL-3.0-or-later"
    licenses = {f"licenses/{name}" for name in metadata.get_all("License-File", [])}
    assert licenses <= files.keys()
    assert {"GPL-3", "LGPL-2.1", "LICENSE", "NOTICE"} < {x.rpartition("/")[2] for x in licenses}
    tags = set(re.findall(r"^Tag: (.*)$", files["WHEEL"].decode(), re.MULTILINE))
    libcs = ("manylinux_2_17", "manylinux2014", "musllinux_1_1")
    assert tags == {f"py3-none-{libc}_{architecture}" for libc in libcs}
    assert "Root-Is-Purelib: false" in files["WHEEL"].decode()
    name = f"rebound-linux-{architecture}"
    assert files["scripts/rebound"] == the(name).read_bytes()
    assert files[f"sboms/{name}.cdx.json"] == the(f"{name}.cdx.json").read_bytes()


def test_the_source_distribution_makes_a_wheel_of_the_same_metadata(tmp_path):
    """Of rebound-init, the library: its version is read of the package."""
    sdist = the("rebound_init-*.tar.gz")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", tmp_path]
    subprocess.run([*pip, *options, sdist], check=True)
    with tarfile.open(sdist) as archive:
        (name,) = (n for n in archive.getnames() if re.fullmatch("[^/]+/PKG-INFO", n))
        file = archive.extractfile(name)
        assert file
        source = file.read()
    (path,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        (name,) = (n for n in wheel.namelist() if n.endswith("/METADATA"))
        assert wheel.read(name) == source
        licenses = {n.rpartition("/")[2] for n in wheel.namelist() if "/licenses/" in n}
    metadata = HeaderParser().parsestr(source.decode())
    assert metadata["Version"] == rebound.__version__
    assert licenses == {"LICENSE", "NOTICE"}


@pytest.mark.parametrize("architecture", DEBIAN)
def test_a_tarball_is_a_prefix(architecture, tmp_path):
    archive = the(f"rebound-*-linux-{architecture}.tar.gz")
    with tarfile.open(archive) as tar:
        assert {member.uid for member in tar} == {0}
        names = {member.name.partition("/")[2] for member in tar}
        tar.extractall(tmp_path, filter="data")
    assert {"bin/rebound", "share/man/man1/rebound.1"} < names
    assert {"share/doc/rebound/NOTICE", f"share/doc/rebound/packages-{architecture}"} < names
    (prefix,) = tmp_path.iterdir()
    qemu = [] if architecture == RELEASE.machine else [f"qemu-{architecture}-static"]
    text = said(*qemu, prefix / "bin/rebound", "-v", "--version")
    assert text.splitlines()[:2] == [f"rebound {rebound.__version__}", f"commit {commit()}"]
    assert re.fullmatch(r"Python 3\.\d+\.\d+", text.splitlines()[2])


def test_the_debian_package_compresses_its_documents():
    deb = the(f"*_{RELEASE.debian}.deb")
    tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], check=True, capture_output=True)
    page = subprocess.run(
        ["tar", "-xO", "./usr/share/man/man1/rebound.1.gz"],
        input=tar.stdout,
        check=True,
        capture_output=True,
    )
    assert gzip.decompress(page.stdout).startswith(b'.\\" Generated')
