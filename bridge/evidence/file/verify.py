"""Verifies the file of a bundle, offline: each digest, the signature and the time stamp."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from bridge.evidence.file.document import (
    KIND,
    Malformed,
    decode,
    difference,
    digests_of,
    part_at,
    signed_content,
    stamped_content,
)
from bridge.evidence.file.sign import NotSigned, opened, thumbprint
from bridge.evidence.file.timestamps import NotStamped, stamped_at
from bridge.evidence.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.x509 import Certificate

    from bridge.evidence.file.document import Document


class Outcome(StrEnum):
    """The outcome of one check."""

    OK = "ok"
    FAILED = "failed"
    UNCHECKED = "unchecked"
    """The check found no fault, but could not prove anything, for example because no trusted key is given."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, its outcome, and a sentence for people."""

    subject: str
    outcome: Outcome
    text: str


def verify(
    content: bytes, *, trusted: Ed25519PublicKey | None = None, roots: list[Certificate] | None = None
) -> list[Check]:
    """Verify the bytes of a file.

    The file is unchanged if no check has failed. `trusted` is the key that must have signed the file. Without
    `trusted`, a signature by any key is accepted. `roots` are the certificates of time-stamping authorities. Without
    `roots`, a time stamp of any authority is accepted.

    Raises:
        SettingsError: the file has a time stamp, and the extra `evidence` is not installed.
    """
    try:
        one = decode(content)
    except Malformed as error:
        return [Check(error.part, Outcome.FAILED, f"The file was changed: {error.text}.")]
    return [*_form(content, one), *_digests(one), *_records(one), *_signature(one, trusted), *_stamp(one, roots or [])]


def _form(content: bytes, one: Document) -> Iterator[Check]:
    at = difference(content, one)
    if at is not None:
        text = f"Byte {at} of the file is not what the bridge writes there."
        yield Check(part_at(content, at), Outcome.FAILED, text)


def _digests(one: Document) -> Iterator[Check]:
    found = digests_of(one.bundle)
    wrong = [name for name in {**found, **one.digests} if found.get(name) != one.digests.get(name)]
    for name in wrong:
        yield Check(name, Outcome.FAILED, "This part was changed: its digest is not the one that the file names.")
    if not wrong:
        yield Check("digests", Outcome.OK, f"{counted(len(found), 'part')}: each has the digest that the file names.")


def _records(one: Document) -> Iterator[Check]:
    wrong = 0
    for number, record in enumerate(one.bundle.records):
        try:
            value = base64.b64decode(record.value or "", validate=True)
        except ValueError:
            value = b""
        if hashlib.sha256(value).hexdigest() != record.sha256:
            wrong += 1
            yield Check(
                f"records[{number}]",
                Outcome.FAILED,
                f"The value of {record.name} was changed: its SHA-256 is not the one that the file names.",
            )
    if not wrong:
        text = f"{counted(len(one.bundle.records), 'record')}: each value has the SHA-256 that the file names."
        yield Check("records", Outcome.OK, text)


def _signature(one: Document, trusted: Ed25519PublicKey | None) -> Iterator[Check]:
    if one.signature is None:
        text = "The file is not signed, so anybody could have made it."
        yield Check("signature", Outcome.FAILED, text)
        return
    try:
        content, key = opened(one.signature, KIND)
    except NotSigned as error:
        yield Check("signature", Outcome.FAILED, f"{str(error).capitalize()}.")
        return
    if content != signed_content(one):
        yield Check("digests", Outcome.FAILED, "The signature is over other digests, or over another time.")
    elif trusted is None:
        text = f"Signed by the key {thumbprint(key)}. Compare it with the thumbprint that the key's owner publishes."
        yield Check("signature", Outcome.UNCHECKED, text)
    elif thumbprint(trusted) != thumbprint(key):
        yield Check("signature", Outcome.FAILED, other_key(key, trusted))
    else:
        yield Check("signature", Outcome.OK, f"Signed by the given key {thumbprint(key)}.")


def other_key(key: Ed25519PublicKey, trusted: Ed25519PublicKey) -> str:
    """Return the sentence about a signature by another key than the trusted one."""
    return f"Signed by the key {thumbprint(key)}, not by the given key {thumbprint(trusted)}."


def _stamp(one: Document, roots: list[Certificate]) -> Iterator[Check]:
    if one.time_stamp is None:
        text = "There is no time stamp. The file's time comes from the clock of the bridge that made the file."
        yield Check("timeStamp", Outcome.UNCHECKED, text)
        return
    try:
        at = stamped_at(one.time_stamp, stamped_content(one), roots)
    except NotStamped as error:
        yield Check("timeStamp", Outcome.FAILED, f"{str(error).capitalize()}.")
        return
    stamped = f"{at:%Y-%m-%dT%H:%M:%SZ} by {one.time_stamp.authority}"
    if roots:
        yield Check("timeStamp", Outcome.OK, f"Stamped at {stamped}, under one of the given certificates.")
    else:
        text = f"Stamped at {stamped}. Give the authority's certificate (--timestamp-ca) to check who made it."
        yield Check("timeStamp", Outcome.UNCHECKED, text)
