from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.webservices.messages.normalise import integer, text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (134, 134),
        ("134", 134),
        ("-1", -1),
        (134.0, 134),
        (2**63 - 1, 2**63 - 1),
        (str(2**63 - 1), 2**63 - 1),
        (2**63, None),
        (str(2**63), None),
        ("9" * 5000, None),
        (1.5, None),
        (1e300, None),
        (float("nan"), None),
        (True, None),
        ("", None),
        (" 134", None),
        ("134\n", None),
        ("1_0", None),
        ("\u0661", None),
        ("13a", None),
        (None, None),
        ([134], None),
        ({}, None),
    ],
)
def test_an_integer_is_what_means_one_64_bit_integer(value: object, expected: int | None) -> None:
    """Digits, integers and whole floats give the integer; anything else, or beyond 64 bit, gives none."""
    assert integer(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("66", "66"),
        (66, "66"),
        ("", ""),
        ("x", "x"),
        (66.0, "66"),
        (6.5, None),
        (False, None),
        (None, None),
        ([], None),
    ],
)
def test_text_is_a_string_or_the_digits_of_an_integer(value: object, expected: str | None) -> None:
    """A string stays what it is, an integer becomes its digits, anything else none."""
    assert text(value) == expected


@given(st.integers(-(2**63), 2**63 - 1))
def test_digits_and_number_mean_the_same(number: int) -> None:
    """`"134"` and `134` give the same, as integer and as text."""
    assert integer(str(number)) == integer(number) == number
    assert text(str(number)) == text(number)
