"""The position as it lies in Kafka, on `<prefix>.bridge-state` under the account's name.

Beside the position it says which publisher wrote it (`owner`, drawn at random at each start) and with which of its
calls (`turn`). The two decide after a failure, see `bridge.delivery.slots.slot`. `revision` grows by one with each
record of the account, across its processes: of several genuine records the one with the highest revision counts, so an
old record that somebody writes to the topic again changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bridge.delivery.client.batches import MAX_VALUE
from bridge.delivery.position.earlier_seal import Unsealable
from bridge.delivery.position.position import Position

if TYPE_CHECKING:
    from bridge.delivery.position.keys import AccountKeys, Purpose

VERSION: Final = 1
"""Still that of 0.1.0: its processes must be able to read the `owner` of their successor, to leave."""
Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Moment = Annotated[float, Meta(ge=0, lt=253_402_300_800)]
"""Seconds since the epoch, before the year 10000."""


class Secret(msgspec.Struct, frozen=True, rename="camel"):
    """The part of a position that opens the session to whoever has it."""

    client_id: str
    cookies: dict[str, str]


class StoredPosition(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One value on the position topic, as JSON. `salt`, `secret` and `signature` are base64."""

    version: int = VERSION
    owner: str
    turn: Number
    salt: bytes = b""
    """scrypt's salt."""
    secret: bytes = b""
    """`Secret`, sealed; empty while there is no session."""
    acknowledgement: int | None = None
    """Of the CometD server's choice: any number."""
    base_sequence: Number = 0
    next_sequence: Number = 0
    last_reply_at: Moment = 0.0
    signature: bytes = b""
    """The signature of all other fields: a forged number could have events skipped."""
    revision: Number = 0
    """0: version 0.1.0 wrote it, which signed neither `owner` nor `turn`."""
    loss_untold: bool = False
    """Whether an earlier session was lost at a time that is not known, and no gap has told of the loss yet."""
    unsigned_before: dict[int, Number] = {}
    """By partition of the ledger: events before that offset need no signature, for version 0.1.0 signed none."""
    unsigned_until: Moment = 0.0
    """When `unsigned_before` ends to count."""
    key: Literal["light"] | UnsetType = UNSET
    """Which key the account has sealed and signed with. UNSET: the costly one, with which all positions were written
    before decision 13; it is left out of the JSON then, as their signatures want."""


class Unreadable(Exception):
    """The value on the position topic is not a position: damaged, or written by a newer version."""


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(StoredPosition)
_secret_decoder: Final = msgspec.json.Decoder(Secret)
_EARLIER_FIELDS: Final = StoredPosition.__struct_fields__[:10]
"""The fields of version 0.1.0."""


def encode(stored: StoredPosition) -> bytes:
    """The record's value."""
    return _encoder.encode(stored)


def decode(value: bytes | None) -> StoredPosition:
    """Return what a record's value says, whoever wrote it.

    Raises:
        Unreadable: it is no position, or one of another version.
    """
    if value is None:
        raise Unreadable("the record has no value")
    if len(value) > MAX_VALUE:
        raise Unreadable("the value is too large")
    try:
        stored = _decoder.decode(value)
    except (ValueError, RecursionError, OverflowError):  # msgspec's own errors are ValueErrors
        raise Unreadable("the value is damaged") from None
    if stored.version != VERSION:
        raise Unreadable("the version is another one")
    if stored.base_sequence > stored.next_sequence:
        raise Unreadable("the sequences contradict each other")
    return stored


def seal_position(position: Position, keys: AccountKeys, stored: StoredPosition) -> StoredPosition:
    """Return `stored` with the position in it, signed."""
    plain = _encoder.encode(Secret(position.client_id, _writable(position.cookies)))
    sealed = msgspec.structs.replace(
        stored,
        key="light",
        salt=keys.salt,
        secret=keys.seal("position", plain) if position.client_id else b"",
        acknowledgement=position.acknowledgement,
        base_sequence=position.base_sequence,
        next_sequence=position.next_sequence,
        last_reply_at=position.last_reply_at or 0.0,
        loss_untold=position.last_reply_at is None,
    )
    return msgspec.structs.replace(sealed, signature=keys.sign("position", _signed(sealed)))


async def verify(stored: StoredPosition, keys: AccountKeys) -> None:
    """Return if a bridge with the account's password has written this.

    Raises:
        Unsealable: the account's password has changed, or something in the record has been.
    """
    if not stored.revision:
        (await keys.earlier(stored.salt)).verify(_signed_earlier(stored), stored.signature)
        return
    purpose = _purpose(stored)
    await keys.start(purpose)
    if not keys.verify(purpose, stored.signature, _signed(stored)):
        raise Unsealable("the position is not what was signed with this account's password")


async def open_position(stored: StoredPosition, keys: AccountKeys) -> Position:
    """Return the position in a record that was verified.

    Raises:
        Unsealable: the secret is not what this bridge would have sealed.
    """
    secret = Secret("", {})
    if stored.secret:
        if stored.revision:
            purpose = _purpose(stored)
            await keys.start(purpose)
            plain = keys.open(purpose, stored.secret)
        else:
            plain = (await keys.earlier(stored.salt)).open(stored.secret)
        try:
            secret = _secret_decoder.decode(plain)
        except (ValueError, RecursionError):
            raise Unsealable("the secret is damaged") from None
    return Position(
        client_id=secret.client_id,
        cookies=secret.cookies,
        acknowledgement=stored.acknowledgement,
        base_sequence=stored.base_sequence,
        next_sequence=stored.next_sequence,
        last_reply_at=None if stored.loss_untold else stored.last_reply_at,
    )


def _purpose(stored: StoredPosition) -> Purpose:
    return "costly-position" if stored.key is UNSET else "position"


def _writable(cookies: dict[str, str]) -> dict[str, str]:
    """Leave out cookies that are no Unicode text: aiohttp keeps bytes that are not UTF-8 as lone surrogates."""
    return {
        name: value for name, value in cookies.items() if not any("\ud800" <= one <= "\udfff" for one in name + value)
    }


def _signed(stored: StoredPosition) -> bytes:
    return _encoder.encode(msgspec.structs.replace(stored, signature=b""))


def _signed_earlier(stored: StoredPosition) -> bytes:
    """What version 0.1.0 signed: its own fields without owner, turn and signature."""
    fields = msgspec.to_builtins(msgspec.structs.replace(stored, owner="", turn=0, signature=b""))
    names = [field.encode_name for field in msgspec.structs.fields(StoredPosition)[: len(_EARLIER_FIELDS)]]
    return _encoder.encode({name: fields[name] for name in names})
