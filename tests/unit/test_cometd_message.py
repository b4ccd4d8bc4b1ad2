import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cometd.messages.message import META, decode, error_code, is_unknown_client, meta
from bridge.errors import ExchangeFailed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)
FIELD_NAMES = st.sampled_from(
    ["channel", "data", "id", "clientId", "successful", "error", "subscription", "advice", "ext", "other"]
)
EVENT = st.fixed_dictionaries({"channel": st.sampled_from(["/v2/me/outbound", "/me/internal"]), "data": JSON})
ALMOST_A_MESSAGE = st.dictionaries(FIELD_NAMES, JSON, max_size=6)
META_REPLY = st.builds(
    lambda channel, fields: {**fields, "channel": channel},
    st.sampled_from([f"{META}{name}" for name in ("handshake", "connect", "subscribe")]),
    ALMOST_A_MESSAGE,
)
# What Python's JSON reads and msgspec doesn't, or only in a field that nobody decodes.
HOSTILE = st.sampled_from(
    [
        b'{"channel":"/v2/me/x","data":"\\ud83d"}',
        b'{"channel":"\\ud800","data":1}',
        b'{"\\udc00":1,"channel":"/v2/me/x"}',
        b'{"channel":"/meta/connect","id":"\\ud800"}',
        b'{"channel":"/meta/connect","id":1e999}',
        b'{"channel":"/meta/connect","id":"\xff"}',
        b'{"channel":"/v2/\xff","data":1}',
        b'{"channel":"/v2/me/x","channel":7}',
        b"7",
        b"null",
        b'"text"',
        b"[[]]",
        b"{}",
        b"1e999",
        b"9" * 5000,
    ]
)


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def test_an_event() -> None:
    """An event has its channel, and its data as the bytes that came."""
    (event,) = decode(b'[{"data": {"a":  1.50},"channel":"/v2/me/outbound","id":"3"}]')
    assert (event.channel, bytes(event.data)) == ("/v2/me/outbound", b'{"a":  1.50}')


def test_an_event_without_data() -> None:
    """An event without data is an event, with empty data."""
    (event,) = decode(b'[{"channel":"/v2/me/outbound"}]')
    assert bytes(event.data) == b""


def test_a_single_object() -> None:
    """Bayeux allows a reply of one message without an array around it."""
    (event,) = decode(b' {"channel":"/me/internal","data":7} ')
    assert (event.channel, bytes(event.data)) == ("/me/internal", b"7")


@given(st.lists(EVENT, max_size=8))
def test_events_keep_their_order(events: list[dict[str, Any]]) -> None:
    """All events of a reply come in its order, with the data they had."""
    decoded = decode(encoded(events))
    assert [{"channel": one.channel, "data": json.loads(bytes(one.data))} for one in decoded] == events


@given(st.lists(JSON | ALMOST_A_MESSAGE | META_REPLY | EVENT, max_size=8))
def test_an_array_of_anything(elements: list[Any]) -> None:
    """Any JSON array is read without an error, one message for each element, and each meta reply too."""
    messages = decode(encoded(elements))
    assert len(messages) == len(elements)
    for message, element in zip(messages, elements, strict=True):
        if isinstance(element, dict) and isinstance(element.get("channel"), str):
            assert message.channel == element["channel"]
            assert meta(message)["successful"] is (element.get("successful") is True)
        else:
            assert message.channel == ""
            assert json.loads(bytes(message.data)) == element


@given(st.lists(EVENT.map(encoded) | HOSTILE, max_size=8), st.sampled_from([b",", b" , ", b"\n,\t"]))
def test_a_bad_message_does_not_take_its_neighbours(elements: list[bytes], comma: bytes) -> None:
    """Beside whatever messages a good event comes as it would alone, and nothing vanishes."""
    messages = decode(b"[ " + comma.join(elements) + b" ]")
    assert len(messages) == len(elements)
    for message, element in zip(messages, elements, strict=True):
        if message.channel.startswith(META):
            assert meta(message)["successful"] is False
        elif message.channel == "":
            assert bytes(message.data) == element
        else:
            assert message == decode(b"[" + element + b"]")[0]


@pytest.mark.parametrize("depth", [500, 5000, 200_000])
def test_deep_nesting(depth: int) -> None:
    """A message nested deeper than any parser goes comes whole, and its neighbours come as they are."""
    deep = b"[" * depth + b'"]"' + b"]" * depth
    messages = decode(b'[{"channel":"/a","data":' + deep + b'},{"channel":"/b","data":1}]')
    assert [bytes(message.data).count(b"[") for message in messages] == [depth, 0]
    assert messages[1].channel == "/b"


def test_half_a_surrogate_pair() -> None:
    """An event with half a surrogate pair in its text, which strict readers refuse, comes raw and holds up no other."""
    broken = b'{"channel":"/v2/me/x","data":"\\ud83d"}'
    first, second = decode(b"[" + broken + b',{"channel":"/v2/me/y","data":2}]')
    assert (first.channel, bytes(first.data)) == ("", broken)
    assert (second.channel, bytes(second.data)) == ("/v2/me/y", b"2")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"<html><body>503 Service Unavailable</body></html>",
        b"[",
        b'[{"channel":"/a"}',
        b'[{"channel":"/a"},]',
        b'[{"channel":"/a"} {"channel":"/b"}]',
        b'[{"channel":"/a","data":01}]',
        b'[{"channel":"/a"}] trailing',
        b'{"channel":"/a"} {}',
        b"[NaN]",
        b"[" * 50_000,
    ],
)
def test_not_json(body: bytes) -> None:
    """A body that is no JSON is a failed exchange, whose text tells nothing of the body but its size."""
    with pytest.raises(ExchangeFailed) as failure:
        decode(body)
    assert failure.value.reason == "not-json"
    assert str(failure.value) == f"not-json: the reply of {len(body)} bytes is not a JSON array of messages"


@given(st.lists(EVENT, min_size=1, max_size=4), st.data())
def test_a_cut_body(events: list[dict[str, Any]], data: st.DataObject) -> None:
    """No part of a reply passes for the whole."""
    body = encoded(events)
    with pytest.raises(ExchangeFailed):
        decode(body[: data.draw(st.integers(0, len(body) - 1))])


@given(st.binary(max_size=40))
def test_any_bytes(body: bytes) -> None:
    """Whatever bytes come, they are messages or a failed exchange."""
    try:
        messages = decode(body)
    except ExchangeFailed as failure:
        assert failure.reason == "not-json"  # noqa: PT017 -- most bytes raise, some don't
    else:
        assert all(isinstance(message.data, msgspec.Raw) for message in messages)


def test_a_meta_reply() -> None:
    """The reply to one of our own messages comes as plain objects, without data and fields that nobody uses."""
    body = b'[{"channel":"/meta/connect","id":"4","successful":true,"ext":{"ack":3},"advice":{"timeout":1},"x":1}]'
    (message,) = decode(body)
    assert meta(message) == {
        "channel": "/meta/connect",
        "id": "4",
        "successful": True,
        "ext": {"ack": 3},
        "advice": {"timeout": 1},
    }


@pytest.mark.parametrize("successful", [b"", b',"successful":false', b',"successful":"true"', b',"successful":1'])
def test_success_is_json_true(successful: bytes) -> None:
    """Only JSON true is success; a reply that does not tell has failed."""
    (message,) = decode(b'[{"channel":"/meta/subscribe"' + successful + b"}]")
    assert meta(message)["successful"] is False


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("402::Unknown client", 402),
        ("403:denied_by_security_policy:create denied", 403),
        ("402", 402),
        ("4020::x", None),
        ("x402::Unknown", None),
        ("", None),
        ("٤٠٢::digits of another script", None),
        (None, None),
        ({"code": 402}, None),
        (402, 402),
    ],
)
def test_error_codes(error: object, code: int | None) -> None:
    """The three digits before the first colon are the code; anything else has none."""
    assert error_code({"error": error}) == code


def test_no_error() -> None:
    """A reply without an error has no code."""
    assert error_code({"successful": True}) is None


@pytest.mark.parametrize(
    ("error", "unknown"),
    [
        ("402::Unknown client", True),
        ("402::session_unknown", True),
        ("403::Unknown client", True),
        ("403::UNKNOWN CLIENT", True),
        ("403::subscribe denied", False),
        ("401::Unauthorized", False),
    ],
)
def test_unknown_clients(error: str, *, unknown: bool) -> None:
    """402 says that the server has no such session; some servers say so by 403 and these words."""
    assert is_unknown_client({"error": error}) is unknown


@given(JSON)
def test_any_error(error: object) -> None:
    """Whatever stands in the error field is read without an error."""
    code = error_code({"error": error})
    assert code is None or 0 <= code <= 999
    assert is_unknown_client({"error": error}) in {True, False}


def test_a_field_that_is_far_too_large_is_left_out() -> None:
    """No server has reason to send advice of kilobytes, and reading it would make an object of each of its values."""
    advice = b"[" + b"[]," * 40_000 + b"[]]"
    reply = decode(b'[{"channel":"/meta/connect","successful":true,"id":"1","advice":' + advice + b"}]")
    assert meta(reply[0]) == {"channel": "/meta/connect", "successful": True, "id": "1"}
