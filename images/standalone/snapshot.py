"""Puts the snapshot into the program: runs it twice, checks what it has written, and patches it.

    snapshot.py PROGRAM OUTPUT [RUNNER…]

RUNNER goes before the program, where it is another architecture's: `qemu-aarch64-static`.
"""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import tempfile
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

SECTION = ".snapshot"
PT_LOAD = 1
ELSEWHERE = 1 << 28
HEADER = 8
MOST_BLOCKS = 1 << 18
WRITTEN = Path(__file__).with_name("written.txt")
WORD = 8


class SnapshotError(Exception):
    """The program must not be built of this snapshot."""


class Block(NamedTuple):
    """A piece of Python's memory."""

    at: int
    size: int
    number: int
    """Counted in the order in which they are taken: the same in each run, wherever it lies."""
    function: str
    """Whose code it is; mostly it is none."""


class Snapshot(NamedTuple):
    """What the program has written: the contents of the section, and where else it had memory."""

    data: bytes
    foreign: list[tuple[int, int, str]]
    blocks: list[Block]


class Elf:
    """The headers of a program of 64 bits, little-endian (elf(5))."""

    _HEADER = "<16s2HI3QI6H"
    _SEGMENT = "<2I6Q"
    _SECTION = "<2I4Q2I2Q"

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        header = struct.unpack_from(self._HEADER, data)
        self._segments_at, self._sections_at = header[5:7]
        segments, sections, names = header[10], header[12], header[13]
        self.segments = [
            list(struct.unpack_from(self._SEGMENT, data, self._segments_at + 56 * number))
            for number in range(segments)
        ]
        self.sections = [
            list(struct.unpack_from(self._SECTION, data, self._sections_at + 64 * number))
            for number in range(sections)
        ]
        start = self.sections[names][4]
        self.names = [
            data[start + section[0] : data.index(b"\0", start + section[0])].decode()
            for section in self.sections
        ]

    @property
    def addresses(self) -> range:
        """Where the program itself is in memory."""
        loaded = [segment for segment in self.segments if segment[0] == PT_LOAD]
        return range(loaded[0][3], loaded[-1][3] + loaded[-1][6])

    def with_more_memory(self, size: int) -> bytes:
        """Return the program with so many zeros behind it, so that its heap begins later."""
        data = bytearray(self.data)
        last = max(at for at, segment in enumerate(self.segments) if segment[0] == PT_LOAD)
        segment = [*self.segments[last][:6], self.segments[last][6] + size, self.segments[last][7]]
        struct.pack_into(self._SEGMENT, data, self._segments_at + 56 * last, *segment)
        return bytes(data)

    def replace_last(self, name: str, contents: bytes) -> bytes:
        """Return the program with other contents of a section, which is the last in memory."""
        contents += bytes(-len(contents) % 16)
        number = self.names.index(name)
        _, _, _, address, offset, size = self.sections[number][:6]
        saved = size - len(contents)
        segment = next(segment for segment in self.segments if segment[3] == address)
        if saved < 0 or self.addresses.stop != address + size:
            raise SnapshotError(f"{name} is too small, or something lies behind it")
        segment[5] = segment[6] = self.sections[number][5] = len(contents)
        moved = saved // 16 * 16  # all sections stay aligned
        for section in self.sections:
            if section[4] > offset:
                section[4] -= moved
        data = self.data
        for at, header in enumerate(self.segments):
            struct.pack_into(self._SEGMENT, data, self._segments_at + 56 * at, *header)
        for at, header in enumerate(self.sections):
            struct.pack_into(self._SECTION, data, self._sections_at + 64 * at, *header)
        struct.pack_into("<Q", data, 40, self._sections_at - moved)
        end = offset + size
        return bytes(data[:offset] + contents + bytes(saved - moved) + data[end:])


def take(
    program: bytes, runner: Sequence[str], written: Collection[Block] | None = None
) -> Snapshot:
    """Run the program once, with nothing of ours; have the blocks `written` lie together.

    Raises `SnapshotError`.
    """
    own = Elf(program).addresses
    with tempfile.TemporaryDirectory() as directory:
        path, output = Path(directory, "program"), Path(directory, "snapshot")
        path.write_bytes(program)
        path.chmod(0o755)
        command = [*runner, path, output]
        if written is not None:
            layout = Path(directory, "written")
            layout.write_bytes(as_bits(written))
            command.append(layout)
        ran = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={},
            check=False,
        )
        if ran.returncode or ran.stderr:
            raise SnapshotError(f"the program ended with {ran.returncode}: {ran.stderr}")
        maps, data = Path(f"{output}.map").read_text(), output.read_bytes()
        lines = Path(f"{output}.blocks").read_text().splitlines()
    mappings = [
        (int(start, 16), int(end, 16), name or "anonymous memory")
        for start, end, name in re.findall(
            r"^(\w+)-(\w+) \S+ \S+ \S+ \S+ *(.*)$", maps, re.MULTILINE
        )
    ]
    foreign = [each for each in mappings if each[0] >= own.stop or each[1] <= own.start]
    fields = (line.split(" ", maxsplit=3) for line in lines)
    blocks = [
        Block(int(at), int(size), int(number), name.strip()) for at, size, number, name in fields
    ]
    return Snapshot(data, foreign, blocks)


def as_bits(written: Collection[Block]) -> bytes:
    """Return what the program reads: the room that these blocks take, and a bit for each."""
    bits = bytearray(MOST_BLOCKS // 8)
    for block in written:
        bits[block.number // 8] |= 1 << block.number % 8
    return struct.pack("<Q", sum(block.size + HEADER for block in written)) + bits


def named(blocks: Iterable[Block]) -> Iterator[tuple[str, int, Block]]:
    """Give each block the name of the last function before it, and count from there.

    So a name holds although other functions change, and for each architecture.
    """
    seen: Counter[str] = Counter()
    name, start = "", 0
    for block in sorted(blocks, key=lambda block: block.number):
        if block.function:
            seen[block.function] += 1
            times = seen[block.function]
            name, start = block.function + (f" #{times}" if times > 1 else ""), block.number
        yield name, block.number - start, block


def read_written(blocks: Iterable[Block]) -> list[Block]:
    """Return the blocks that are listed in written.txt; what it does not know does no harm."""
    listed = {}
    for line in WRITTEN.read_text().splitlines():
        name, _, numbers = line.rpartition(": ")
        listed[name] = set(map(int, numbers.split()))
    return [block for name, count, block in named(blocks) if count in listed.get(name, ())]


def foreign_words(snapshot: Snapshot) -> dict[int, str]:
    """Return the words, by place, that are addresses of memory that only their process had."""
    words = array("Q", snapshot.data[: len(snapshot.data) // WORD * WORD])
    return {
        number * WORD: name
        for number, word in enumerate(words)
        for start, end, name in snapshot.foreign
        if start <= word < end
    }


def check(first: Snapshot, second: Snapshot) -> None:
    """Raise `SnapshotError` for a snapshot that another process could not start from."""
    again = foreign_words(second)
    for at, name in foreign_words(first).items():
        # Some bytes may look like an address once; in the second process that has moved.
        if at in again:
            raise SnapshotError(f"the word at byte {at:#x} is an address in {name}")
    if first.data != second.data:
        pairs = enumerate(zip(first.data, second.data, strict=False))
        where = next((at for at, (one, other) in pairs if one != other), len(first.data))
        raise SnapshotError(f"two snapshots differ, first at byte {where:#x}")


def with_snapshot(program: bytes, runner: Sequence[str]) -> bytes:
    """Return the program with its snapshot in it, which is checked.  Raises `SnapshotError`."""
    elf = Elf(program)
    written = read_written(take(program, runner).blocks)
    first = take(program, runner, written)
    # Without address randomization both would have their heap in the same place.
    check(first, take(elf.with_more_memory(ELSEWHERE), runner, written))
    return elf.replace_last(SECTION, first.data)


def main() -> None:
    """Run the command line."""
    program, output, *runner = sys.argv[1:]
    try:
        data = with_snapshot(Path(program).read_bytes(), runner)
    except SnapshotError as error:
        sys.exit(f"snapshot: {error}")
    Path(output).write_bytes(data)
    Path(output).chmod(0o755)


if __name__ == "__main__":
    main()
