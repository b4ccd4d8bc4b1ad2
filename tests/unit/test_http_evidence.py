"""GET /operations/{referenceId}/evidence."""

import hashlib
from pathlib import Path

import pytest

from bridge.errors import Busy, KafkaUnavailable, NoSuchEvidence, TimestampRefused, TooMuchEvidence
from bridge.http import authentication_of
from bridge.settings import Authentication
from tests.unit.api import rest_side

FILE = b'{\n"format":"bridge-evidence/1"}\n'


async def test_the_file_is_answered_byte_for_byte() -> None:
    """The answer is the file that is signed, as a download that no cache keeps; a reference may have slashes."""
    asked = []

    async def make(reference: str) -> bytes:
        asked.append(reference)
        return FILE

    async with rest_side(evidence=make) as api, api.client.get(f"{api.url}/operations/a/b%2Fc/evidence") as reply:
        assert (reply.status, await reply.read(), reply.content_type) == (200, FILE, "application/json")
        assert reply.headers["Cache-Control"] == "no-store"
        assert "attachment" in reply.headers["Content-Disposition"]
    assert asked == ["a/b/c"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NoSuchEvidence("No record about this reference was found."), 404),
        (TooMuchEvidence("too many"), 422),
        (Busy("later", retry_after=5), 429),
        (TimestampRefused("no authority"), 502),
        (KafkaUnavailable("kafka unreachable"), 503),
    ],
)
async def test_each_error_is_a_problem(error: Exception, status: int) -> None:
    """What keeps the evidence from being made is a problem with its own code."""

    async def make(_: str) -> bytes:
        raise error

    async with rest_side(evidence=make) as api:
        answer = await api.get("/operations/r1/evidence")
    assert (answer.status, answer.body["detail"]) == (status, str(error))


async def test_evidence_needs_the_scope_to_read(tmp_path: Path) -> None:
    """A caller needs operations:read."""
    digest = hashlib.sha256(b"secret-token").hexdigest()
    tokens = tmp_path / "tokens"
    tokens.write_text(f"writer:{digest}:operations:write\n")
    authentication = authentication_of(Authentication(method="tokens", tokens_file=tokens))
    async with rest_side(authentication=authentication) as api:
        assert (await api.get("/operations/r1/evidence")).status == 401
        answer = await api.get("/operations/r1/evidence", Authorization="Bearer secret-token")
    assert (answer.status, answer.body["code"]) == (403, "insufficient-scope")
