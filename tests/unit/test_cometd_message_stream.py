"""A reply that is read while it comes: the same messages as from the whole, in linear time and bounded memory."""

import json
import time
import tracemalloc
from itertools import chain, pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cometd.messages.message import Message, decode
from bridge.cometd.messages.stream import MessageStream
from bridge.errors import ExchangeFailed
from tests.unit.held import held
from tests.unit.test_cometd_message import EVENT, HOSTILE, JSON, META_REPLY, encoded

LIMIT = 1 << 20
MEBIBYTE = 1 << 20
PART = 1 << 13
"""Bytes of a part: small ones are many, and show what looks at all earlier ones again."""
SEPARATORS = st.sampled_from([b",", b" , ", b"\n,\t"])
BODY = st.builds(
    lambda elements, comma: b" [ " + comma.join(elements) + b" ] ",
    st.lists(EVENT.map(encoded) | META_REPLY.map(encoded) | JSON.map(encoded) | HOSTILE, max_size=12),
    SEPARATORS,
)


def parts_of(body: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    return [body[begin:end] for begin, end in pairwise(places)]


def streamed(parts: list[bytes], limit: int = LIMIT) -> tuple[list[Message], str | None]:
    """Return the messages that came, and the reason of the failure that ended them."""
    stream, messages = MessageStream(limit), list[Message]()
    try:
        for part in parts:
            for some in stream.feed(part):
                messages += some
        messages += stream.end()
    except ExchangeFailed as failure:
        return messages, failure.reason
    return messages, None


@given(BODY, st.lists(st.integers(0, 10_000), max_size=12))
def test_parts_make_the_whole(body: bytes, cuts: list[int]) -> None:
    """However a reply is cut into parts, its messages are those of the whole reply, in order."""
    assert streamed(parts_of(body, cuts)) == (decode(body), None)


@given(st.lists(EVENT, min_size=1, max_size=8), st.lists(st.integers(0, 10_000), max_size=12), st.data())
def test_a_cut_reply_is_no_whole_one(events: list[dict[str, Any]], cuts: list[int], data: st.DataObject) -> None:
    """A reply that ends early fails, and what came before are messages of the whole one."""
    body = encoded(events)
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    messages, reason = streamed(parts_of(cut, cuts))
    assert reason == "not-json"
    assert messages == decode(body)[: len(messages)]


@given(st.binary(max_size=60), st.lists(st.integers(0, 100), max_size=8))
def test_any_bytes(body: bytes, cuts: list[int]) -> None:
    """Bytes that are no reply as a whole are none in parts either."""
    try:
        whole, expected = decode(body), None
    except ExchangeFailed as failure:
        whole, expected = [], failure.reason
    messages, reason = streamed(parts_of(body, cuts))
    assert reason == expected
    assert expected is not None or messages == whole


@pytest.mark.parametrize("body", [b'[{"channel":"/a"},]', b'[{"channel":"/a"},]]', b'[{"channel":"/a"},,]', b"[,]"])
@pytest.mark.parametrize("size", [1, 5, 17, 18, 19])
def test_a_comma_too_many(body: bytes, size: int) -> None:
    """A comma without an element behind it is no JSON, wherever the parts meet."""
    assert streamed([body[at : at + size] for at in range(0, len(body), size)])[1] == "not-json"


def test_a_single_object() -> None:
    """A reply of one message without an array around it is understood in parts too."""
    body = b' {"channel":"/me/internal","data":[1,2]} '
    assert streamed([body[:12], body[12:]]) == (decode(body), None)


def event(number: int, size: int = 300) -> bytes:
    return msgspec.json.encode({"data": {"n": number, "pad": "x" * (size - 50)}, "channel": "/v2/me/outbound"})


def mebibytes(count: int, element: bytes) -> list[bytes]:
    """An array of this element in parts of a mebibyte, without its end."""
    body = b"[" + b",".join([element] * (count * MEBIBYTE // (len(element) + 1) + 1))
    return [body[at : at + MEBIBYTE] for at in range(0, count * MEBIBYTE, MEBIBYTE)]


def test_an_array_may_be_longer_than_the_limit() -> None:
    """The limit bounds a message and not the reply: what is whole is handed on and not held."""
    stream, count = MessageStream(2 * MEBIBYTE), 0
    for part in mebibytes(16, event(1)):
        count += sum(len(some) for some in stream.feed(part))
        assert held(stream) < 1000
    assert count > 50_000


ENDLESS = {
    "a text": (b'[{"channel":"/a","data":"', b"x" * MEBIBYTE),
    "a text of escapes": (b'[{"channel":"/a","data":"', b'\\"' * (MEBIBYTE // 2)),
    "brackets": (b"[", b"[" * MEBIBYTE),
    "blanks": (b"[", b" " * MEBIBYTE),
    "blanks before": (b"", b" " * MEBIBYTE),
    "blanks behind": (b"[]", b" " * MEBIBYTE),
    "an object without an array": (b'{"channel":"/a","data":"', b"x" * MEBIBYTE),
    "likely ends inside a message": (b'[{"data":[', b'{"data":1},' * (MEBIBYTE // 11)),
    "likely ends in a text": (b'[{"data":"', rb",{\"data\":" * (MEBIBYTE // 11)),
    "a page": (b"<html>", b"<br/>" * (MEBIBYTE // 5)),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_what_does_not_end_is_cut(name: str) -> None:
    """What is no whole message is cut at the limit, after a time that grows with the limit and not with its square."""
    begin, more = ENDLESS[name]

    def seconds(limit: int) -> float:
        began = time.process_time()
        body = b"".join(chain_of(begin, more, limit // MEBIBYTE + 2))
        messages, reason = streamed([body[at : at + PART] for at in range(0, len(body), PART)], limit)
        assert reason == "reply-too-large"
        assert len(messages) == 0
        return time.process_time() - began

    seconds(MEBIBYTE)
    small, large = seconds(MEBIBYTE), seconds(4 * MEBIBYTE)
    assert large < 12 * small + 0.2  # four times the bytes; sixteen times the time would be a square


def chain_of(begin: bytes, more: bytes, count: int) -> list[bytes]:
    return [begin + more, *[more] * count]


@pytest.mark.parametrize(
    "elements",
    [
        [b"1"] * 150_000,
        [b'"' + b"\\" * 2 + b'"'] * 80_000,
        [b'{"channel":"/a","data":"\\ud83d"}'] * 40_000,
        [b'{"k%d":1,"channel":"/a"}' % (number // 2) for number in range(60_000)],
        [b'{"data":[' + b",".join([b'{"data":1}'] * 50) + b'],"channel":"/a"}'] * 3000,
        [b"[" * 3000 + b"]" * 3000] * 100,
    ],
    ids=["numbers", "backslashes", "half surrogates", "heads in pairs", "lists inside", "nesting"],
)
def test_odd_elements_are_handed_on_too(elements: list[bytes]) -> None:
    """Elements that the fast way can't take come one by one, in order, in bounded pieces, as they come."""
    body = b"[" + b",".join(elements) + b"]"
    stream, found, largest = MessageStream(2 * MEBIBYTE), list[Message](), 0
    parts = [body[at : at + MEBIBYTE // 4] for at in range(0, len(body), MEBIBYTE // 4)]
    for some in chain.from_iterable(stream.feed(part) for part in parts):
        largest = max(largest, len(some))
        found += some
    assert len(found) >= len(elements) * 0.7 or len(parts) == 1
    assert largest <= 20_000
    found += stream.end()
    assert len(found) == len(elements)
    alone = {element: decode(b"[" + element + b"]")[0] for element in set(elements)}
    assert found == [alone[element] for element in elements]


def test_a_bad_element_after_good_ones() -> None:
    """What stands before an element that is no JSON is handed on, then the reply fails."""
    good = event(1)
    body = b"[" + b",".join([good, good, b"{bad}", good]) + b"]"
    messages, reason = streamed([body, b""])
    assert reason == "not-json"
    assert len(messages) == 2


@given(st.lists(EVENT, min_size=2, max_size=6), st.integers(1, 200))
def test_spaced_json(events: list[dict[str, Any]], size: int) -> None:
    """Spaces between the elements, as some serialisers write them, change nothing."""
    body = json.dumps(events, indent=1).encode()
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    assert streamed(parts) == (decode(body), None)


def test_an_odd_message_of_many_values_costs_little_more_than_its_size() -> None:
    """A large message that msgspec can't read is handed on without an object for each of its values."""
    # Numbers: an object for each would take 16 times its four bytes, and under tracemalloc brackets take ten seconds.
    odd = b'{"channel":"/a","data":["\\ud800"' + b",1e9" * (3 * MEBIBYTE // 2) + b"]}"
    tracemalloc.start()
    try:
        messages, reason = streamed([b"[", odd, b',{"channel":"/b"}]'], 16 * MEBIBYTE)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reason is None
    assert [(one.channel, len(bytes(one.data))) for one in messages] == [("", len(odd)), ("/b", 0)]
    assert peak < 8 * len(odd)
