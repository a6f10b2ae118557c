"""Immutable value types, without `dataclasses`.

Importing `dataclasses` costs more time and memory than all the rest of rebound (it
brings `inspect`, `re` and `ast`), and every import before the command's first start
delays that start.  `typing.dataclass_transform` (PEP 681) tells type checkers that a
subclass of `Record` is like a frozen dataclass.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers read it as true; without it `typing` would be imported
if TYPE_CHECKING:
    from inspect import Signature
    from typing import dataclass_transform
else:

    def dataclass_transform(**_options: object) -> object:
        """Stand in for the decorator, which only type checkers look at."""
        return lambda cls: cls


class _Signature:
    """The parameters of a class, for `help` and editors.

    It is made on demand, by a caller who has loaded `inspect`: a start must not load that.
    """

    def __get__(self, _record: object, cls: type[Record]) -> Signature:
        from inspect import Parameter, Signature

        kind, empty = Parameter.POSITIONAL_OR_KEYWORD, Parameter.empty
        types = cls.__annotations__
        return Signature(
            [
                Parameter(name, kind, default=getattr(cls, name, empty), annotation=types[name])
                for name in cls._fields
            ]
        )


@dataclass_transform(frozen_default=True)
class Record:
    """Base of value types: fields are the class's annotations, in order.

    A class attribute of the same name is the field's default.  Equality, hash and repr
    go by the fields.  Raises `TypeError` for missing, unknown or surplus values.  A
    class with fields cannot be a base: type checkers would count its fields, too.
    """

    _fields: tuple[str, ...] = ()
    _required = 0
    __signature__ = _Signature()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls._fields or len(cls.__bases__) > 1:
            raise TypeError(f"{cls.__name__} must derive from one class, which has no fields")
        cls._fields = tuple(cls.__annotations__)
        cls._required = sum(not hasattr(cls, name) for name in cls._fields)

    if not TYPE_CHECKING:  # type checkers make a typed one for each class

        def __init__(self, *values: object, **named: object) -> None:
            fields = self._fields
            if not named and self._required <= len(values) <= len(fields):
                self.__dict__.update(zip(fields, values))  # noqa: B905  the short way, for speed
                return
            if len(values) > len(fields):
                raise TypeError(f"{type(self).__name__} takes at most {len(fields)} values")
            given = dict(zip(fields, values, strict=False))
            for name, value in named.items():
                if name in given:
                    raise TypeError(f"{type(self).__name__}: two values for {name!r}")
                if name not in fields:
                    allowed = f"its fields: {', '.join(fields)}"
                    raise TypeError(f"{type(self).__name__} has no field {name!r} ({allowed})")
                given[name] = value
            for name in fields:
                if name not in given and not hasattr(type(self), name):
                    raise TypeError(f"{type(self).__name__}: no value for {name!r}")
            self.__dict__.update(given)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self._fields)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record) or type(self) is not type(other):
            return False
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._fields)
        return f"{type(self).__name__}({values})"
