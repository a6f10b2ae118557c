"""Writes written.txt: which pieces of Python's memory a start writes to, see docs/design.md.

    written.py PROGRAM [ROUNDS]

PROGRAM is `without-snapshot` of the build.  In each round some pieces lie elsewhere, among others;
those in a page that rebound has not written to are none of them.
"""

from __future__ import annotations

import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from snapshot import SECTION, WRITTEN, Block, Elf, Snapshot, named, take

PAGE = 4096
COMMAND = """
[ "$REBOUND_RESTARTS" -lt 2 ] && exit 1
trap '' TERM HUP; setsid sleep 1000 & trap - TERM HUP
echo $!; exec sleep 1000
"""
"""Crashes twice; then it runs, and leaves a process behind that does not end when asked to."""
IDLE = 0.4
"""Seconds after which rebound is idle again."""
SHARE = 0.06
"""So many of the candidates are tried in a round: few enough to be alone in their pages."""


def written_pages(program: bytes, snapshot: Snapshot) -> set[int]:
    """Start, restart and stop; return the pages of the snapshot that rebound has copied."""
    elf = Elf(program)
    first = elf.sections[elf.names.index(SECTION)][3] // PAGE
    count = -(-len(snapshot.data) // PAGE)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "rebound")
        path.write_bytes(elf.replace_last(SECTION, snapshot.data))
        path.chmod(0o755)
        command = [path, "-q", "-b0", "--", "/bin/sh", "-c", COMMAND]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, **streams) as process:
            left_behind = int(process.stdout.readline()) if process.stdout else 0
            time.sleep(IDLE)
            process.terminate()
            time.sleep(IDLE)
            with open(f"/proc/{process.pid}/pagemap", "rb") as pagemap:
                pagemap.seek(first * 8)
                entries = struct.unpack(f"<{count}Q", pagemap.read(count * 8))
            os.kill(left_behind, signal.SIGKILL)
    present, of_a_file = 1 << 63, 1 << 61
    return {page for page, entry in enumerate(entries) if entry & present and not entry & of_a_file}


def pages(block: Block) -> range:
    """Return the pages that a block lies in."""
    return range(block.at // PAGE, (block.at + block.size - 1) // PAGE + 1)


def unwritten(program: bytes, snapshot: Snapshot) -> set[int]:
    """Return the numbers of blocks of which no page is written to."""
    written = written_pages(program, snapshot)
    return {block.number for block in snapshot.blocks if written.isdisjoint(pages(block))}


def main() -> None:
    """Run the command line."""
    program = Path(sys.argv[1]).read_bytes()
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 120
    chance = random.Random(0)  # noqa: S311  it chooses what is tried
    plain = take(program, [])
    # A large one has pages of its own anyway, of which few may be written to.
    left = {block.number: block for block in plain.blocks if block.size < PAGE}
    for number in unwritten(program, plain) & left.keys():
        del left[number]
    for turn in range(rounds):
        tried = {number for number in left if chance.random() < SHARE}
        others = [block for number, block in left.items() if number not in tried]
        for number in tried & unwritten(program, take(program, [], others)):
            del left[number]
        sys.stdout.write(f"round {turn}: {len(left)} pieces\n")
        sys.stdout.flush()
    listed = defaultdict(list)
    for name, count, block in named(plain.blocks):
        if block.number in left:
            listed[name].append(count)
    lines = (f"{name}: {' '.join(map(str, counts))}\n" for name, counts in sorted(listed.items()))
    WRITTEN.write_text("".join(lines))


if __name__ == "__main__":
    main()
