"""Replies: statusCode before HTTP status, and the three meanings of 403."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.cometd import HttpReply
from bridge.errors import UpstreamInvalidReply
from bridge.webservices import Profile, UpstreamReply, status_code
from bridge.webservices.login.profile import profile
from bridge.webservices.replies import Challenge, challenge, verdict
from bridge.webservices.statuscodes import STATUS_CODES


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b'{"statusCode":0}', UpstreamReply(200, 0)),
        (200, b'{"statusCode":4,"statusMessage":"no"}', UpstreamReply(200, 4, "no")),
        (500, b'{"statusCode":4,"statusMessage":"no"}', UpstreamReply(500, 4, "no")),
        (403, b'{"statusCode":99,"statusMessage":7}', UpstreamReply(403, 99)),
    ],
)
def test_status_code_comes_first(status: int, body: bytes, expected: UpstreamReply) -> None:
    """The statusCode decides, whatever the HTTP status is; codes that are not documented count too."""
    assert verdict(HttpReply(status, {}, body)) == expected


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>welcome</html>"),
        (200, b"{}"),
        (200, b'{"statusCode":"zero"}'),
        (200, b"[0]"),
        (200, b'{"statusCode":0'),
        (200, b'{"statusCode":0,"statusMessage":"\xff"}'),
        (200, b"[" * 100_000),
        (500, b'{"statusCode":0}'),
        (302, b'{"statusCode":0}'),
    ],
)
def test_nonsense_is_no_verdict(status: int, body: bytes) -> None:
    """What is not Web Services' protocol is an invalid reply that keeps its HTTP status."""
    with pytest.raises(UpstreamInvalidReply) as failed:
        verdict(HttpReply(status, {}, body))
    assert failed.value.http_status == status


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (403, b'{"statusCode":20,"statusMessage":"Access denied"}', Challenge.LOGIN),
        (200, b'{"statusCode":20}', Challenge.LOGIN),
        (401, b"<html>Unauthorized</html>", Challenge.LOGIN),
        (401, b'{"statusCode":5}', Challenge.NONE),
        (403, b"Missing or invalid Csrf token", Challenge.CSRF),
        (403, b'{"statusCode":3,"statusMessage":"Missing or invalid CSRF token"}', Challenge.CSRF),
        (403, b'{"statusCode":3}', Challenge.NONE),
        (403, b'{"statusCode":5}', Challenge.NONE),
        (403, b"<html>Forbidden</html>", Challenge.NONE),
        (500, b'{"statusCode":4}', Challenge.NONE),
        (200, b'{"statusCode":0}', Challenge.NONE),
    ],
)
def test_body_tells_what_is_lacking(status: int, body: bytes, expected: Challenge) -> None:
    """Login, CSRF token or permission: the body tells which one a refusal is about."""
    assert challenge(HttpReply(status, {}, body)) is expected


def test_every_documented_code_is_known() -> None:
    """Codes 0 to 20 each have a meaning, a remedy and an HTTP status that fits; others are refusals too."""
    assert set(STATUS_CODES) == set(range(21))
    assert {code for code, known in STATUS_CODES.items() if known.http_status == 200} == {0}
    assert {known.http_status for known in STATUS_CODES.values()} == {200, 403, 404, 409, 422, 503}
    assert status_code(1234).http_status == 409


@pytest.mark.parametrize(
    "code",
    ["9" * 300, "-" + "9" * 300, "1e300", "1e999", "NaN", "-1", "4.5", "2147483648", "true", '"0"', "null", "[0]"],
)
def test_odd_numbers_are_no_status_code(code: str) -> None:
    """A statusCode that no consumer could read as a small number is none: an invalid reply, whatever the number."""
    body = f'{{"statusCode":{code}}}'.encode()
    with pytest.raises(UpstreamInvalidReply):
        verdict(HttpReply(200, {}, body))
    assert challenge(HttpReply(403, {}, body)) is Challenge.NONE


def test_the_message_is_bounded() -> None:
    """A statusMessage of any length leaves a text that fits into an event and an answer."""
    reply = HttpReply(500, {}, b'{"statusCode":4,"statusMessage":"%s"}' % (b"x" * 1_000_000))
    assert len(verdict(reply).status_message or "") == 2000


@settings(max_examples=500)
@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=60)
    | st.builds(b'{"statusCode":%b,"statusMessage":%b}'.__mod__, st.tuples(st.binary(), st.binary()))
    | st.builds(
        lambda code, text: json.dumps({"statusCode": code, "statusMessage": text}).encode(),
        st.integers() | st.floats() | st.text() | st.none(),
        st.recursive(st.text() | st.integers() | st.none(), st.lists),
    ),
)
def test_any_bytes_have_a_verdict_or_none(status: int, body: bytes) -> None:
    """Any reply is a verdict or an invalid reply, lacks one thing or none, and tells a profile that may be empty."""
    reply = HttpReply(status, {}, body)
    assert challenge(reply) in Challenge
    assert isinstance(profile(reply).devices, tuple)
    try:
        answer = verdict(reply)
    except UpstreamInvalidReply:
        return
    assert 0 <= answer.status_code < 2**31


@pytest.mark.parametrize(
    "body",
    [
        b'{"statusCode":0,"user":{"features":[{"id":"\xff\xfe"}]}}',
        b'{"statusCode":0,"user":{"features":[{"id":"\\ud800"}]}}',
        b'{"statusCode":0,"user":' + b"[" * 100_000,
        b'{"statusCode":0,"user":{"devices":[{"id":1}]}}',
        b'{"statusCode":0,"user":{"devices":[{"id":' + b"9" * 400 + b"}]}}",
        b'{"statusCode":0,"user":NaN}',
        b"",
    ],
)
def test_an_unreadable_profile_is_empty(body: bytes) -> None:
    """A profile with broken UTF-8, lone surrogates, endless nesting or wrong types is an empty one."""
    assert profile(HttpReply(200, {}, body)) == Profile()


def test_a_key_that_comes_twice() -> None:
    """Of two statusCodes in one reply the last one counts, as everywhere in JSON."""
    assert verdict(HttpReply(200, {}, b'{"statusCode":4,"statusCode":0}')) == UpstreamReply(200, 0)
