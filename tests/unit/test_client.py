"""What the client makes of an answer: whoever has written it, fields or a sentence."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rebound.control import client, status
from rebound.control.client import NoAnswer, read_answer
from rebound.core.columns import width
from rebound.core.jsontext import to_json

texts = st.text(st.characters(codec=None), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
RIGHT: dict[type, st.SearchStrategy[object]] = {
    str: texts,
    int: st.integers(0, 10**14),
    float: st.floats(0, 1e14),
    bool: st.booleans(),
    type(None): st.none(),
    list: st.lists(
        st.fixed_dictionaries(
            {
                "name": texts,
                "address": texts | st.none(),
                "waiting": st.integers(0, 10**14) | st.none(),
            }
        ),
        max_size=2,
    ),
    dict: st.dictionaries(texts, st.integers(0, 10**14), max_size=3),
}
SAMPLES = {str: "x", int: 7, float: 0.5, bool: True, type(None): None, list: [], dict: {}}
WELL_FORMED = {
    name: st.one_of([RIGHT[kind] for kind in kinds]) for name, kinds in status.FIELDS.items()
}
answers = st.fixed_dictionaries(WELL_FORMED)
nearly = st.fixed_dictionaries(
    {name: strategy | values for name, strategy in WELL_FORMED.items()},
    optional={"error": values, "more": values},
)


def look(line: bytes) -> None:
    """Read it, and do with it what the client does."""
    try:
        fields = read_answer(line)
    except NoAnswer:
        return
    assert fields.keys() == status.FIELDS.keys()
    shown = client._shown(fields)
    for rows in ([shown], [shown, shown]):
        for text in client._for_people(rows, 80).splitlines():
            assert text.isprintable()
            assert width(text) <= 80
    assert json.dumps(fields, indent=2, allow_nan=False).isascii()


@given(st.binary() | values.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b"1" * 5000)
@example(b"\xff\xfe{\0}\0")
@example(b'"\\ud800"')
def test_whatever_is_read_is_an_answer_or_none(line: bytes) -> None:
    look(line)


@given(nearly.map(lambda value: json.dumps(value).encode()))
def test_nearly_an_answer(line: bytes) -> None:
    look(line)


@given(answers)
def test_an_answer_is_read_as_it_was_meant(fields: dict[str, object]) -> None:
    line = to_json(fields).encode() + b"\n"
    assert read_answer(line) == json.loads(line)


WRONG = (
    '["x"]',
    '[{"name": "x"}]',
    '{"exit": -1}',
    '{"exit": {}}',
    "-1",
    "-0.5",
    "1e15",
    "1e999",
    "NaN",
    "Infinity",
    "-Infinity",
    "1" * 5000,
)


@pytest.mark.parametrize("name", status.FIELDS)
def test_each_field_is_there_and_of_its_type(name: str) -> None:
    """A truth value is no number."""
    kinds = status.FIELDS[name]
    right = {kind: value for kind, value in SAMPLES.items() if kind in kinds}
    fields = {name: SAMPLES[types[0]] for name, types in status.FIELDS.items()}
    for value in right.values():
        assert read_answer(json.dumps({**fields, name: value}).encode())[name] == value
    wrong = [json.dumps(value) for kind, value in SAMPLES.items() if kind not in kinds]
    for text in (*wrong, *WRONG):
        line = json.dumps({**fields, name: "WRONG"}).replace('"WRONG"', text)
        with pytest.raises(NoAnswer, match="cannot be read"):
            read_answer(line.encode())
    del fields[name]
    if name in status.SINCE_1_2:
        assert read_answer(json.dumps(fields).encode())[name] is None
        return
    with pytest.raises(NoAnswer, match="cannot be read"):
        read_answer(json.dumps(fields).encode())


@given(texts)
def test_an_error_is_the_answer(text: str) -> None:
    with pytest.raises(NoAnswer) as error:
        read_answer(json.dumps({"error": text}).encode())
    assert str(error.value) == text
