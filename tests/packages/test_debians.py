"""Fresh Debians with nothing but python3-pip: the Debian package and the wheel, there and gone."""

from __future__ import annotations

import shutil
import subprocess

import pytest
import uv

from tests import distros
from tests.packages.release import RELEASE

WORKS = """
status=0
said=$(rebound -q -r 1 sh -c 'echo run; exit 7' 2>/dev/null) || status=$?
[ "$status" = 7 ]
[ "$said" = "run
run" ]
rebound -v --version
"""

DEBIAN_PACKAGE = f"""
dpkg --install /release/*_{RELEASE.debian}.deb
cd /
{WORKS}
[ "$(command -v rebound)" = /usr/bin/rebound ]
dpkg --verify rebound-init
zcat /usr/share/man/man1/rebound.1.gz | grep -q 'Dt REBOUND 1'
if dpkg --install /release/*_{RELEASE.debian_other}.deb; then exit 1; fi
apt-get --yes purge rebound-init
[ -z "$(find / -xdev -name '*rebound*' -not -path '/release*' -not -path '/run/*' -not -path '/root/rebound*')" ]
"""

WHEEL = f"""
cd /
pip() {{ python3 -m pip "$@"; }}
pip install --no-index --find-links /release --break-system-packages rebound-init-bin
{WORKS}
[ "$(command -v rebound)" = /usr/local/bin/rebound ]
pip uninstall --yes --break-system-packages rebound-init-bin
[ ! -e /usr/local/bin/rebound ]
uv() {{ /uv --offline --no-config "$@" --python /usr/bin/python3 --break-system-packages; }}
uv pip install --no-index --find-links /release rebound-init-bin
{WORKS}
uv pip uninstall rebound-init-bin
[ ! -e /usr/local/bin/rebound ]
if uv pip install /release/*_{RELEASE.other}.whl; then exit 1; fi
if pip install --break-system-packages /release/*_{RELEASE.other}.whl; then exit 1; fi
"""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["bookworm", "trixie"])
def test_installed_used_and_removed(name, tmp_path):
    archive, root = tmp_path / "root.tar", tmp_path / "root"
    distros.make_root(name, archive)
    root.mkdir()
    subprocess.run(["tar", "--extract", "--file", archive, "--directory", root], check=True)
    archive.unlink()
    shutil.copytree(RELEASE.directory, root / "release")
    shutil.copy(uv.find_uv_bin(), root / "uv")
    try:
        for script in (DEBIAN_PACKAGE, WHEEL):
            distros.run(root, f"set -eux\n{script}", tmp_path / "log")
    finally:
        subprocess.run(["rm", "-rf", "--one-file-system", root], check=True)
