"""What a machine of each architecture takes."""

from __future__ import annotations

from typing import NamedTuple


class Architecture(NamedTuple):
    """One of them."""

    name: str
    """As uname(1) says it."""
    debian: str
    """As Debian says it."""
    qemu: tuple[str, ...]
    console: str

    @property
    def gcc(self) -> str:
        """The compiler for it."""
        return f"{self.name}-linux-gnu-gcc"


ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        Architecture("x86_64", "amd64", ("qemu-system-x86_64",), "ttyS0"),
        Architecture("aarch64", "arm64", ("qemu-system-aarch64", "-machine", "virt"), "ttyAMA0"),
    )
}
