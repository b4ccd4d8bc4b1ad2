"""The header Prefer, as RFC 7240 writes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.http.reading.prefer import LONGEST_WAIT, Preferences, parse_prefer


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Preferences()),
        (["wait=5"], Preferences(5)),
        (["WAIT = 5"], Preferences(5)),
        (['wait="5"'], Preferences(5)),
        (["wait=0"], Preferences(0)),
        (["respond-async"], Preferences(None, respond_async=True)),
        (['respond-async=""'], Preferences(None, respond_async=True)),
        (["respond-async; x=1"], Preferences(None, respond_async=True)),
        (["respond-async, wait=10"], Preferences(10, respond_async=True)),
        (["respond-async", "wait=10"], Preferences(10, respond_async=True)),
        (['foo="a, wait=9"; b="c, wait=8", wait=3; note="x"'], Preferences(3)),
        (['foo="a\\", wait=9", wait=3'], Preferences(3)),
        (["return=minimal, handling=lenient"], Preferences()),
    ],
)
def test_preferences_are_read(headers: list[str], expected: Preferences) -> None:
    """Names know no case, values may be quoted, parameters and unknown preferences count for nothing."""
    assert parse_prefer(headers) == expected


def test_first_of_a_repeated_preference_counts() -> None:
    """RFC 7240, section 2: a preference that comes again is ignored, in one header or in several."""
    assert parse_prefer(["wait=1, wait=2"]) == parse_prefer(["wait=1", "wait=2"]) == Preferences(1)


@pytest.mark.parametrize(
    "value", ["wait", "wait=", "wait=x", "wait=-1", "wait=1.5", "wait=+1", "wait=१", "=5", "wait 5"]
)
def test_malformed_preference_is_none(value: str) -> None:
    """A preference that is malformed is ignored, and those beside it count."""
    assert parse_prefer([value]) == Preferences()
    assert parse_prefer([f"{value}, respond-async"]) == Preferences(None, respond_async=True)


def test_wait_is_bounded_and_told() -> None:
    """Nobody waits for longer than the bound, and Preference-Applied tells the true figure."""
    for wait in ("61", "999999999", "2147483648", "9" * 400):  # RFC 9111, section 1.2.2: more than can be represented
        assert parse_prefer([f"respond-async, wait={wait}"]).applied == f"respond-async, wait={LONGEST_WAIT}"
    assert parse_prefer([]).applied == ""


@given(st.lists(st.text(st.characters(max_codepoint=255)), max_size=3))
def test_nothing_breaks_it(headers: list[str]) -> None:
    """Whatever stands in the header, it is read without an error and within the bound."""
    wait = parse_prefer(headers).wait
    assert wait is None or 0 <= wait <= LONGEST_WAIT
