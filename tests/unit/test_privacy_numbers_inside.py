"""Numbers inside texts: found exactly as a regular expression of all of them would find them, and in bounded time."""

from __future__ import annotations

import re
import time
import tracemalloc
from typing import TYPE_CHECKING

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.privacy import OMITTED, Concealment
from bridge.privacy.concealment import PREFIX
from bridge.privacy.numbers import FEWEST_INSIDE, digits, holds
from bridge.privacy.numbers_inside import LONGEST, MOST_LONG, NumbersInside

if TYPE_CHECKING:
    import pytest

CHARACTERS = st.text("012+( )-.ax\n", min_size=1, max_size=24)
FORMS = st.lists(st.text("01+( )-x", min_size=FEWEST_INSIDE, max_size=12), max_size=12)
SECOND = 5.0
"""Seconds that what takes some ms may take on a busy machine; before the mend it took minutes."""


def by_expression(forms: list[str], text: str) -> str:
    """Replace as the regular expression of all forms does, the longest first."""
    wanted = sorted({form for form in forms if digits(form) >= FEWEST_INSIDE}, key=len, reverse=True)
    if not wanted:
        return text
    return re.sub(rf"(?<![0-9])(?:{'|'.join(map(re.escape, wanted))})(?![0-9])", lambda match: f"<{match[0]}>", text)


@given(FORMS, st.lists(CHARACTERS, max_size=6), st.data())
@example(["1234567", "1234567 8", "12345678"], ["1234567 89 1234567 8 12345678"], None)
def test_search_finds_what_an_expression_finds(forms: list[str], parts: list[str], data: st.DataObject | None) -> None:
    """Whatever the forms and the text, the same places are replaced, overlapping and nested ones too."""
    if data is not None and forms:
        parts = [data.draw(st.sampled_from([*forms, part])) for part in parts]
    text = "".join(parts)
    assert NumbersInside(forms, OMITTED).replace(text, "<{}>".format) == by_expression(forms, text)


@given(st.text(min_size=LONGEST, max_size=LONGEST + 40), st.text(max_size=20))
def test_long_forms_are_found_too(form: str, around: str) -> None:
    """A form that is longer than any phone number is still replaced where it stands inside a text."""
    forms = [f"1234567{form}x", "7654321"]
    text = f"{around}|{forms[0]}|{forms[1]}"
    assert NumbersInside(forms, OMITTED).replace(text, "<{}>".format) == by_expression(forms, text)


def test_no_message_costs_an_expression(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages with ever new numbers compile no regular expression, which would cost more than all else about them."""
    rule, compiled = Concealment(b"0123456789abcdef"), list[str]()

    def count(pattern: str, flags: int = 0) -> re.Pattern[str]:
        compiled.append(pattern)
        made: re.Pattern[str] = compile_(pattern, flags)
        return made

    compile_ = re._compiler.compile  # type: ignore[attr-defined]
    monkeypatch.setattr(re._compiler, "compile", count)  # type: ignore[attr-defined]
    re.compile("a pattern that nothing else has")
    for number in range(5_551_000_000, 5_551_000_050):
        body = {"phone": f"{number}", "contact": f"{number + 100}", "note": f"call {number}, or +{number + 200}"}
        content = bytes(rule.of(msgspec.Raw(msgspec.json.encode(body))).content)
        assert b"5551" not in content
    assert compiled == ["a pattern that nothing else has"]


def test_many_numbers_take_time_in_proportion() -> None:
    """Twenty thousand numbers that all stand in one text are replaced well within the time of a keep-alive."""
    rule, count = Concealment(b"0123456789abcdef"), 20_000
    known = [str(5_551_000_000 + 7 * one) for one in range(count)]
    body = {"phones": [{"phone": one} for one in known], "note": " ".join(known)}
    start = time.perf_counter()
    content = bytes(rule.of(msgspec.Raw(msgspec.json.encode(body))).content)
    assert time.perf_counter() - start < SECOND
    assert not re.search(rb"555\d{7}", content)
    assert content.count(PREFIX.encode()) == 2 * count


def test_hostile_forms_take_bounded_time_and_hide_the_text() -> None:
    """Many long "numbers" that share one pattern are not looked for one by one: what could hold them is left out."""
    rule = Concealment(b"0123456789abcdef")
    long = [{"phone": "1 " * length + f"1234567{length}"} for length in range(20, 420)]
    assert sum(len(one["phone"]) for one in long) > MOST_LONG
    body = {"records": long, "note": "1 " * 100_000, "other": "no digits here", "short": "room 12"}
    start = time.perf_counter()
    content = msgspec.json.decode(rule.of(msgspec.Raw(msgspec.json.encode(body))).content)
    assert time.perf_counter() - start < SECOND
    assert (content["note"], content["other"], content["short"]) == (OMITTED, "no digits here", "room 12")


def test_long_names_are_not_remembered() -> None:
    """The names of members are remembered only where they are short, so that hostile names fill no memory."""
    count, size = 200, 10_000
    tracemalloc.start()
    try:
        for number in range(count):
            holds(f"{'x' * size}{number}phone")
        assert tracemalloc.get_traced_memory()[0] < count * size / 4
    finally:
        tracemalloc.stop()
