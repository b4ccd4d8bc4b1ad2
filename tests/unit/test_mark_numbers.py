import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.commands.mark.fields import RowInvalid
from bridge.commands.mark.numbers import number_reader, plain_number
from bridge.errors import CommandFailed, UnusableInput

SAME = "+14155552671"


@pytest.mark.parametrize(
    "text",
    [
        "(415) 555-2671",
        "415.555.2671",
        " 4155552671 ",
        "+1 415 555 2671",
        "1-415-555-2671",
        "+1\u00a0415\u2011555\u20112671",
        "\uff14\uff11\uff15\uff15\uff15\uff15\uff12\uff16\uff17\uff11",
        "415/5552671",
    ],
)
def test_spellings_of_one_number(text: str) -> None:
    """With a region every spelling of a number is sent in the same international form."""
    assert number_reader("us")(text) == SAME


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("4155552671 ext. 5", "extension"),
        ("4155552671x5", "extension"),
        ("4155552671;ext=5", "extension"),
        ("415-555-2671 #5", "extension"),
        ("1-800-FLOWERS", "letters"),
        ("unknown", "letters"),
        ("n/a", "letters"),
        ("4.15555E+09", "decimal"),
        ("4155552671.0", "decimal"),
        ("4155552671/4155552672", "several-numbers"),
        ("4155552671 4155552672", "length"),
        ('="4155552671"', "characters"),
        ("'4155552671", "characters"),
        ("++14155552671", "characters"),
        ("415+5552671", "characters"),
        ("+", "characters"),
        ("-", "characters"),
        ("12", "length"),
        ("4155552671;4155552672", "characters"),
    ],
)
@pytest.mark.parametrize("region", [None, "US"])
def test_no_number(text: str, reason: str, region: str | None) -> None:
    """What may be another number than was meant is told by its reason, and never repaired."""
    with pytest.raises(RowInvalid) as raised:
        number_reader(region)(text)
    assert raised.value.reason == reason


@pytest.mark.parametrize("text", ["3001", "+1 200 000 0000", "415555267", "+999123456789"])
def test_not_in_the_numbering_plan(text: str) -> None:
    """With a region a number must be valid in its country; without one short numbers are fine."""
    with pytest.raises(RowInvalid) as raised:
        number_reader("US")(text)
    assert raised.value.reason == "invalid-number"
    assert plain_number(text) == text.replace(" ", "")


def test_a_foreign_number() -> None:
    """A number with another country's code is checked by that country's plan."""
    assert number_reader("US")("+49 (0) 30 901820") == "+4930901820"


def test_regions() -> None:
    """A region that does not exist is an unusable argument."""
    with pytest.raises(UnusableInput, match="--region"):
        number_reader("XX")


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the numbering plans are not installed, the message says how to install them."""
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    assert number_reader(None)("3001") == "3001"
    with pytest.raises(CommandFailed, match=r"pip install '\.\[lists\]'"):
        number_reader("US")


@given(st.text(max_size=40), st.sampled_from([None, "US", "DE"]))
def test_any_text(text: str, region: str | None) -> None:
    """Any text is a number of digits with at most one leading plus, or is refused."""
    try:
        number = number_reader(region)(text)
    except RowInvalid:
        pass
    else:
        assert number.removeprefix("+").isdecimal()
        assert number.isascii()
        assert region is None or number_reader(region)(number) == number
