"""Time stamps (RFC 3161). An authority confirms, by its own clock, that a signature existed at a certain time."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import TYPE_CHECKING, Final

from bridge.errors import SettingsError, TimestampRefused, UnusableInput, installation_of
from bridge.evidence.file.document import TimeStamp

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from cryptography.x509 import Certificate

DEADLINE: Final = 15.0
"""Seconds that the authority may take."""
LARGEST_RESPONSE: Final = 1 << 20
_NEEDS: Final = f"needs the extra `evidence`; {installation_of('evidence')}"


class NotStamped(Exception):
    """A time stamp is not valid for the content. The text says why."""


async def stamp(content: bytes, url: str) -> TimeStamp:
    """Return the authority's time stamp over the SHA-256 of `content`.

    Raises:
        TimestampRefused: the authority can't be reached, refuses, or answers to another request.
        SettingsError: the extra `evidence` is not installed.
    """
    try:
        from rfc3161_client import (  # noqa: PLC0415 -- needs the extra
            HashAlgorithm,
            TimestampRequestBuilder,
            decode_timestamp_response,
        )
    except ModuleNotFoundError:
        raise SettingsError([f"BRIDGE_EVIDENCE__TIMESTAMP_URL: {_NEEDS}"]) from None
    request = TimestampRequestBuilder().data(content).hash_algorithm(HashAlgorithm.SHA256).build()
    answer = await _ask(url, request.as_bytes())
    try:
        response = decode_timestamp_response(answer)
        if response.status != 0:
            raise TimestampRefused(f"The time-stamping authority {url} refuses (status {response.status}).")
        nonce = response.tst_info.nonce
    except ValueError:
        raise TimestampRefused(f"The answer of the time-stamping authority {url} is not a time stamp.") from None
    if nonce != request.nonce or not _covers(answer, content):
        raise TimestampRefused(f"The time-stamping authority {url} answers to another request.")
    return TimeStamp(
        authority=url, response=base64.b64encode(answer).decode(), sha256=hashlib.sha256(answer).hexdigest()
    )


async def _ask(url: str, request: bytes) -> bytes:
    import aiohttp  # noqa: PLC0415 -- only time stamps need it

    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    try:
        async with (
            asyncio.timeout(DEADLINE),
            aiohttp.ClientSession() as session,
            session.post(url, data=request, headers=headers, allow_redirects=False) as reply,
        ):
            if reply.status != 200:
                raise TimestampRefused(f"The time-stamping authority {url} answers with HTTP status {reply.status}.")
            return await reply.content.read(LARGEST_RESPONSE)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise TimestampRefused(
            f"The time-stamping authority {url} can't be reached ({type(error).__name__})."
        ) from None


def _covers(answer: bytes, content: bytes) -> bool:
    from rfc3161_client import decode_timestamp_response  # noqa: PLC0415 -- needs the extra

    imprint = decode_timestamp_response(answer).tst_info.message_imprint
    return bytes(imprint.message) == hashlib.sha256(content).digest()


def certificates(file: Path) -> list[Certificate]:
    """Return the certificates in a PEM file.

    Raises:
        UnusableInput: the file can't be read, or has no certificate.
    """
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415 -- a start of the bridge does without it

    try:
        return load_pem_x509_certificates(file.read_bytes())
    except OSError as error:
        raise UnusableInput(f"{file} can't be read: {error.strerror}") from None
    except ValueError:
        raise UnusableInput(f"{file} has no certificate (PEM)") from None


def stamped_at(one: TimeStamp, content: bytes, roots: list[Certificate]) -> datetime:
    """Return the time of a time stamp over `content`. Without `roots`, its certificates are not checked.

    Raises:
        NotStamped: the time stamp is not over `content`, was changed, or `roots` do not certify its authority.
        SettingsError: the extra `evidence` is not installed.
    """
    try:
        from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response  # noqa: PLC0415
    except ModuleNotFoundError:
        raise SettingsError([f"Checking a time stamp {_NEEDS}"]) from None
    try:
        answer = base64.b64decode(one.response, validate=True)
    except ValueError:
        raise NotStamped("the time stamp is no valid base64") from None
    if base64.b64encode(answer).decode() != one.response or hashlib.sha256(answer).hexdigest() != one.sha256:
        raise NotStamped("the time stamp's bytes do not have the SHA-256 that the file names")
    try:
        response = decode_timestamp_response(answer)
        covered = _covers(answer, content)
        if roots:
            builder = VerifierBuilder()
            for root in roots:
                builder = builder.add_root_certificate(root)
            builder.build().verify_message(response, content)
        at: datetime = response.tst_info.gen_time
    except VerificationError as error:
        raise NotStamped(f"the time stamp is not valid ({error})") from None
    except ValueError as error:
        raise NotStamped(f"the time stamp can't be read ({error})") from None
    if not covered:
        raise NotStamped("the time stamp is for other content")
    return at
