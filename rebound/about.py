"""What rebound is, and what it is made of: the texts of --version and --license."""

from __future__ import annotations

import sys

import rebound

_UNKNOWN = "unknown"

_LICENSE = """\
rebound {version}
{copyright}

rebound is under the Apache License 2.0.  It uses python-prctl, which is under
the GNU General Public License (GPL), version 3 or later.

The one file holds both, and parts of CPython (PSF-2.0), glibc (LGPL-2.1 or
later), libgcc (GPL-3.0 or later, with the GCC runtime library exception),
libffi (MIT) and libcap (BSD-3-Clause or GPL-2.0).  As a whole it is distributed
under the GPL, version 3 or later.  The full texts come with it: look into
share/doc/rebound or share/doc/rebound-init, or into the wheel's metadata.

The corresponding source of the one file: rebound at the commit that
`rebound -v --version` names, and the Debian source packages that the file
packages-x86_64 or packages-aarch64 beside the full texts lists.

There is no warranty, to the extent permitted by law.
"""

COPYRIGHT = "Copyright 2026 The rebound authors"


def version(*, verbose: bool) -> str:
    """Return the text of --version; with `verbose`, also the commit and the Python."""
    text = f"rebound {rebound.__version__}\n"
    if verbose:
        commit = sys._xoptions.get("commit")  # the one file's main.c tells it
        python = ".".join(map(str, sys.version_info[:3]))
        text += f"commit {commit or _UNKNOWN}\nPython {python}\n"
    return text


def licenses() -> str:
    """Return the text of --license: the short of the licences."""
    return _LICENSE.format(version=rebound.__version__, copyright=COPYRIGHT)
