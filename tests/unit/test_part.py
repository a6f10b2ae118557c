"""A part does nothing by itself: what it does not define changes nothing."""

from __future__ import annotations

from rebound.core.events import Exited
from rebound.core.exitstatus import ExitStatus
from rebound.core.part import Part


def test_a_part_without_anything_of_its_own() -> None:
    part, ended = Part(), Exited(7, ExitStatus(signal=9))
    environment = {b"PATH": b"/bin"}
    part.prepare(environment)
    part.began(7)
    part.settled()
    part.started()
    part.child_changed()
    part.dying(7, ended.status)
    part.gone()
    part.close()
    assert environment == {b"PATH": b"/bin"}
    assert (part.pid, part.needs_waitid, dict(part.actions)) == (0, False, {})
    assert not part.reaped(ended)
    assert not part.continued()
    assert part.killed(ended) is ended
