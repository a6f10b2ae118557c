"""The bill of materials of the one file, in CycloneDX 1.6."""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

from images.packages.project import AUTHOR, PROJECT, URLS, VERSION, commit_time

WHOLE = "GPL-3.0-or-later"
"""The licence of the one file: that of python-prctl, which is in it."""

LICENSES = {
    "gcc": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "glibc": "LGPL-2.1-or-later",
    "libcap": "BSD-3-Clause OR GPL-2.0-only",
    "libffi": "MIT",
    "python": "PSF-2.0",
    "python-prctl": WHOLE,
}
"""Those of the source packages; a package that is not here stops the build."""

LINE = re.compile(r"(?P<binary>\S+) \S+, source (?P<source>\S+) (?P<version>\S+)")
"""Of the list that images/standalone/build.sh writes."""


def component(line: str) -> dict[str, Any]:
    """Return a part of the file for a line of that list.  Raises `KeyError`."""
    match = LINE.fullmatch(line)
    if not match:
        raise ValueError(f"not a line of a list of packages: {line!r}")
    name, version = match["source"], match["version"]
    where = f"pkg:deb/debian/{quote(name, safe='')}@{quote(version, safe='')}?arch=source"
    return {
        "type": "library",
        "bom-ref": where,
        "name": name,
        "version": version,
        "licenses": [{"expression": LICENSES[re.sub(r"-?[0-9.]+$", "", name)]}],
        "purl": where,
    }


def sbom(file: Path, packages: str) -> str:
    """Return the bill of a file, made of these packages."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    source = f"pkg:pypi/{PROJECT['name']}@{VERSION}"
    libraries = [component(line) for line in packages.splitlines()]
    libraries.append(
        {
            "type": "library",
            "bom-ref": source,
            "name": PROJECT["name"],
            "version": VERSION,
            "licenses": [{"expression": PROJECT["license"]}],
            "purl": source,
        }
    )
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(commit_time())),
            "component": {
                "type": "application",
                "bom-ref": file.name,
                "name": file.name,
                "version": VERSION,
                "description": PROJECT["description"],
                "authors": [{"name": AUTHOR}],
                "licenses": [{"expression": WHOLE}],
                "hashes": [{"alg": "SHA-256", "content": digest}],
                "externalReferences": [{"type": "vcs", "url": URLS["Source"]}],
            },
        },
        "components": libraries,
        "dependencies": [
            {"ref": file.name, "dependsOn": [library["bom-ref"] for library in libraries]}
        ],
    }
    return json.dumps(bill, indent=2) + "\n"
