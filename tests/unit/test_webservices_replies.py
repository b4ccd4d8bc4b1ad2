"""Replies: statusCode before HTTP status, and the three meanings of 403."""

import pytest

from bridge.cometd.http import HttpReply
from bridge.errors import UpstreamInvalidReply
from bridge.webservices import STATUS_CODES, UpstreamReply, status_code
from bridge.webservices.replies import Challenge, challenge, verdict


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
