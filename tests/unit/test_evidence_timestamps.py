"""Time stamps (RFC 3161), made by `openssl ts`."""

import asyncio
import base64
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from bridge.errors import SettingsError, TimestampRefused, UnusableInput
from bridge.evidence import Outcome, certificates, decode, sealed, verify
from bridge.evidence.file.document import encode
from bridge.settings import Evidence
from tests.evidence_parts import START, Topics, collector, key_file, operation
from tests.time_stamping_authority import TimeStampingAuthority, time_stamping_authority


@pytest_asyncio.fixture
async def authority(tmp_path: Path) -> AsyncIterator[TimeStampingAuthority]:
    async with time_stamping_authority(tmp_path) as authority:
        yield authority


async def stamped(authority: TimeStampingAuthority, **settings: Path) -> bytes:
    topics = Topics()
    await topics.write(operation("r1", "requested", START))
    bundle = await collector(topics).collect("reference", "r1")
    return await sealed(bundle, Evidence.model_validate({"timestamp_url": authority.url, **settings}))


def outcome(content: bytes, authority: TimeStampingAuthority | None = None) -> tuple[Outcome, str]:
    roots = None if authority is None else certificates(authority.ca)
    [check] = [one for one in verify(content, roots=roots) if one.subject == "timeStamp"]
    return check.outcome, check.text


async def test_a_time_stamp_is_verified_with_the_authoritys_certificate(authority: TimeStampingAuthority) -> None:
    """A file that the authority has stamped is verified under its certificate, and says so without it."""
    content = await stamped(authority, key_file=key_file(authority.place))
    assert outcome(content, authority)[0] is Outcome.OK
    found, text = outcome(content)
    assert found is Outcome.UNCHECKED
    assert "--timestamp-ca" in text


async def test_a_time_stamp_of_another_authority_fails(authority: TimeStampingAuthority) -> None:
    """A time stamp that is not under the given certificates fails."""
    content = await stamped(authority)
    other = authority.place / "other"
    other.mkdir()
    stranger = TimeStampingAuthority(other)
    stranger.make_certificates()
    assert outcome(content, stranger)[0] is Outcome.FAILED


async def test_a_time_stamp_of_another_file_fails(authority: TimeStampingAuthority) -> None:
    """A time stamp that was taken from another file fails, with and without the certificate."""
    first = decode(await stamped(authority, key_file=key_file(authority.place)))
    second = decode(await stamped(authority, key_file=key_file(authority.place, "second.pem")))
    swapped = encode(msgspec.structs.replace(first, time_stamp=second.time_stamp))
    assert outcome(swapped)[0] is Outcome.FAILED
    assert outcome(swapped, authority)[0] is Outcome.FAILED


async def test_each_changed_byte_of_a_time_stamp_is_found(authority: TimeStampingAuthority) -> None:
    """Any changed byte of the response fails, also of its parts that the authority does not sign."""
    one = decode(await stamped(authority))
    assert one.time_stamp is not None
    response = base64.b64decode(one.time_stamp.response)
    chance = random.Random(3161)  # noqa: S311 -- a choice of places, no secret
    for _ in range(100):
        at = chance.randrange(len(response))
        changed = response[:at] + bytes([response[at] ^ 1 << chance.randrange(8)]) + response[at + 1 :]
        time_stamp = msgspec.structs.replace(one.time_stamp, response=base64.b64encode(changed).decode())
        assert outcome(encode(msgspec.structs.replace(one, time_stamp=time_stamp)))[0] is Outcome.FAILED


async def test_an_authority_that_does_not_answer_stops_the_export(authority: TimeStampingAuthority) -> None:
    """No file is made without the time stamp that the settings ask for: junk, an old reply or no reply are refused."""
    await stamped(authority)
    authority.answer = (authority.place / "reply.tsr").read_bytes()
    with pytest.raises(TimestampRefused, match="another request"):
        await stamped(authority)
    authority.answer = b"<html>"
    with pytest.raises(TimestampRefused, match="not a time stamp"):
        await stamped(authority)
    authority.url += "/none"
    with pytest.raises(TimestampRefused, match="HTTP status 404"):
        await stamped(authority)
    authority.url = "http://127.0.0.1:1"
    with pytest.raises(TimestampRefused, match="can't be reached"):
        await stamped(authority)


async def test_the_missing_extra_is_named(authority: TimeStampingAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library for time stamps, making and checking a time stamp say how to install the extra."""
    content = await stamped(authority)
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    for attempt, subject in (
        (stamped(authority), "BRIDGE_EVIDENCE__TIMESTAMP_URL: needs"),
        (asyncio.to_thread(verify, content), "Checking a time stamp needs"),
    ):
        with pytest.raises(SettingsError, match=rf"{subject} the extra `evidence`; .*pip install '\.\[evidence\]'"):
            await attempt


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    """`--timestamp-ca` names a file with certificates."""
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(UnusableInput, match="no certificate"):
        certificates(tmp_path / "ca.pem")
