"""The JSON that rebound writes, read by Python's own reader."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from rebound.core.jsontext import to_json

texts = st.text(st.characters(codec=None), max_size=50)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.none() | st.booleans() | numbers | texts


@given(st.dictionaries(texts, values, max_size=5))
@example({'"\\\n': "\U0001f600 \udcff \x7f"})
def test_it_is_read_as_it_was_meant(fields: dict[str, object]) -> None:
    """In one line of ASCII."""
    text = to_json(fields)
    assert text.isascii()
    assert text.isprintable()
    # Not with the fields themselves: a reader makes one character of a surrogate pair.
    assert json.loads(text) == json.loads(json.dumps(fields))
