"""Strict JSON: nothing that can't be forwarded as it was sent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.operations import parse_json as parse

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**100), 2**100)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(values, st.booleans())
def test_json_is_read_as_it_is(value: object, ascii_only: bool) -> None:  # noqa: FBT001 -- hypothesis draws it
    """Every JSON value is read without any change."""
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"phone":5550123',
        b'{"a":NaN}',
        b"-Infinity",
        b'{"a":1,"a":1}',
        b'[{"b":{"a":1,"a":2}}]',
        b'"\\ud800"',
        b'{"\\udfff":1}',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        b"9" * 60_000,
        b"1e999",
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b'{"a":' * 101 + b"1" + b"}" * 101,
        b"\x00",
        b"{} {}",
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    """Broken, ambiguous or unbounded JSON is one clean error, which repeats nothing of the body."""
    with pytest.raises(json.JSONDecodeError) as failed:
        parse(body)
    assert "5550123" not in str(failed.value)
    assert failed.value.doc == ""
