"""Socket activation, as sd_listen_fds(3) defines it: descriptors from 3 on, and their names."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Descriptor = tuple[str, int]
    """A descriptor that a run is handed: its name, and its number in rebound."""

FIRST = 3
"""The number of the first descriptor that is handed over."""

UNNAMED = "unknown"
"""The name of a descriptor that has none."""

VARIABLES = (b"LISTEN_PID", b"LISTEN_FDS", b"LISTEN_FDNAMES", b"LISTEN_PIDFDID")
"""All variables of the protocol; the last one is new in systemd 259."""

_MOST_DIGITS = 6
_LONGEST_NAME = 255


def is_name(text: str) -> bool:
    """Return whether a descriptor may have this name, an empty one included.

    libsystemd refuses all descriptors if one name is wrong.
    """
    allowed = all(" " <= char < "\x7f" and char != ":" for char in text)
    return allowed and len(text) <= _LONGEST_NAME


def names_for_us(environment: Mapping[bytes, bytes], pid: int) -> list[str]:
    """Return the names of the descriptors that process `pid` was handed; empty if none."""
    count = environment.get(b"LISTEN_FDS", b"")
    if not is_for_us(environment, pid) or not count.isdigit() or len(count) > _MOST_DIGITS:
        return []
    names = environment.get(b"LISTEN_FDNAMES", b"").decode("latin-1").split(":")
    if len(names) != int(count):
        return [UNNAMED] * int(count)
    return [name if is_name(name) else UNNAMED for name in names]


def is_for_us(environment: Mapping[bytes, bytes], pid: int) -> bool:
    """Return whether the variables are meant for process `pid`, not for one above it."""
    return environment.get(b"LISTEN_PID") == b"%d" % pid


def environment_of(
    environment: Mapping[bytes, bytes], descriptors: Sequence[Descriptor]
) -> dict[bytes, bytes]:
    """Return the environment of a run that is handed these; it lacks only LISTEN_PID."""
    others = {name: value for name, value in environment.items() if name not in VARIABLES}
    names = ":".join(name for name, _fd in descriptors)
    return {
        **others,
        b"LISTEN_FDS": b"%d" % len(descriptors),
        b"LISTEN_FDNAMES": names.encode(),
    }
