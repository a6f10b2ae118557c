"""Builds the images under test."""

from __future__ import annotations

from tests.images.build import STAND_INS, Builder
from tests.images.engine import engine

COPIED = """
FROM {rebound} AS rebound
FROM {base}
COPY --from=rebound /usr/local/bin/rebound /usr/local/bin/rebound
COPY --from=rebound /usr/local/share/doc/rebound /usr/local/share/doc/rebound
ENTRYPOINT ["rebound"]
"""
"""What the README tells to write: the second line is for those who pass the image on."""


def main() -> None:
    """Build all of them."""
    builder = Builder()
    for name in ("debian", "alpine", "scratch"):
        builder.build(f"rebound:{name}", name)
    engine("tag", "rebound:scratch", "rebound")
    builder.build("rebound-postgres", "postgres")
    for origin, argument in (("alpine", "DEBIAN_SLIM"), ("debian", "ALPINE")):
        text = COPIED.format(rebound=f"rebound:{origin}", base=builder.images[argument])
        builder.build_text(f"rebound-copied:{origin}-to-{STAND_INS[argument]}", text)


main()
