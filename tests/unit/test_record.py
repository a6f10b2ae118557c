"""Records: immutable values that go by their fields."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rebound.core.record import Record


class Point(Record):
    """A record with a required field and one with a default."""

    x: int
    y: int = 7


class Place(Record):
    """The same fields, but another type."""

    x: int
    y: int = 7


class Empty(Record):
    """A record without fields."""


@pytest.mark.parametrize(
    "point", [Point(1, 2), Point(1, y=2), Point(x=1, y=2), Point(y=2, x=1)], ids=repr
)
def test_values_may_be_given_in_order_or_by_name(point: Point) -> None:
    """As for a dataclass."""
    assert (point.x, point.y) == (1, 2)


@pytest.mark.parametrize("point", [Point(1), Point(x=1)], ids=repr)
def test_a_class_attribute_is_the_default(point: Point) -> None:
    """Whichever way the other field is given."""
    assert point.y == 7


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (Point, "'x'"),
        (lambda: Point(y=2), "'x'"),  # type: ignore[call-arg]
        (lambda: Point(1, 2, 3), "at most 2"),  # type: ignore[call-arg]
        (lambda: Point(1, 2, 3, y=4), "at most 2"),  # type: ignore[call-arg, misc]
        (lambda: Point(1, x=2), "two values for 'x'"),  # type: ignore[misc]
        (
            lambda: Point(1, z=2),  # type: ignore[call-arg]
            r"Point has no field 'z' \(its fields: x, y\)",
        ),
        (lambda: Empty(1), "at most 0"),  # type: ignore[call-arg]
    ],
)
def test_missing_unknown_and_surplus_values_are_refused(
    make: Callable[[], Record], complaint: str
) -> None:
    """The error says which."""
    with pytest.raises(TypeError, match=complaint):
        make()


def test_fields_are_not_inherited() -> None:
    """A type checker would count those of the base, which at run time are not there."""
    with pytest.raises(TypeError, match="must derive from one class, which has no fields"):

        class _Point3D(Point):
            z: int  # type: ignore[misc]

    with pytest.raises(TypeError, match="must derive from one class, which has no fields"):

        class _NamedPoint(Empty, Point):
            pass


def test_a_class_without_fields_may_be_a_base() -> None:
    """As the one of all events."""

    class Pair(Empty):
        x: int
        y: int = 7

    assert repr(Pair(1)).endswith("Pair(x=1, y=7)")
    assert isinstance(Pair(1), Empty)
    assert Empty() == Empty()


def test_fields_cannot_be_assigned() -> None:
    """Neither known nor new ones; nor deleted, by which the default would come back."""
    point = Point(1, 2)
    for name in ("x", "z"):
        with pytest.raises(AttributeError, match="Point is immutable"):
            setattr(point, name, 3)
    with pytest.raises(AttributeError, match="Point is immutable"):
        del point.y
    assert point == Point(1, 2)


def test_equality_and_hash_go_by_type_and_fields() -> None:
    """A default counts like a value that was given."""
    assert Point(1) == Point(1, 7)
    assert Point(1, 2) != Point(2, 1)
    assert Point(1, 2) != Place(1, 2)
    assert Point(1, 2) != (1, 2)
    assert len({Point(1), Point(1, 7), Point(1, 2), Place(1, 2), Empty(), Empty()}) == 4


def test_repr_is_the_call_that_makes_it() -> None:
    """So that a failed assertion can be read."""
    assert repr(Point(1, 2)) == "Point(x=1, y=2)"
    assert repr(Empty()) == "Empty()"
