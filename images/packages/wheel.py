"""The wheels of rebound-init-bin: the one file as their script, for each Python and libc."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from images.packages.completions import fill
from images.packages.project import PROJECT, VERSION, commit_time
from images.packages.sbom import WHOLE

TAG = "py3-none-manylinux_2_17_{0}.manylinux2014_{0}.musllinux_1_1_{0}"
"""The platforms by the names that installers know: a static program runs on each C library."""

HERE = Path(__file__).parent


def build(target: str, source: Path, directory: Path) -> None:
    """Have hatchling build a source distribution or a wheel: the same for the same source."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(directory)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(commit_time())}
    subprocess.run(command, cwd=source, check=True, env=environment, stdout=subprocess.DEVNULL)


def wheel(file: Path, bill: Path, licenses: list[Path], work: Path, directory: Path) -> None:
    """Build the wheel of one architecture, the last part of the file's name."""
    architecture = file.name.rpartition("-")[2]
    general = [c for c in PROJECT["classifiers"] if not c.startswith(("Programming", "Typing"))]
    (work / "licenses").mkdir(parents=True)
    for path in licenses:
        shutil.copy(path, work / "licenses")
    shutil.copy(file, work / "rebound")
    shutil.copy(bill, work)
    shutil.copy(HERE / "wheel_hook.py", work)
    shutil.copy(HERE / "wheel.md", work / "README.md")
    values = {
        "version": VERSION,
        "description": PROJECT["description"],
        "license": WHOLE,
        "author": PROJECT["authors"][0]["name"],
        "email": PROJECT["authors"][0]["email"],
        "keywords": PROJECT["keywords"],
        "classifiers": general,
        "bill": bill.name,
        "tag": TAG.format(architecture),
    }
    # Texts and lists of them are written in JSON as in TOML.
    urls = "\n".join(f"{name} = {json.dumps(url)}" for name, url in PROJECT["urls"].items())
    texts = {name: json.dumps(value) for name, value in values.items()}
    (work / "pyproject.toml").write_text(fill("wheel.toml", urls=urls, **texts))
    build("wheel", work, directory)
