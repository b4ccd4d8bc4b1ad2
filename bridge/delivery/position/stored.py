"""The record of a position on the topic `<prefix>.bridge-state`. The record's key is the account's name.

The record also contains the bridge that wrote it (`owner`, with a random text for each start) and the number of its
`publish` call (`turn`). After a failure, the slot reads both to find out whether its calls succeeded or another bridge
has taken over (see `bridge.delivery.slots.slot`).

Each record of an account has a `revision` one higher than the record before, even if another process wrote that record.
Only the correctly signed record with the highest revision is used. So an attacker gains nothing by repeating an old
record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bridge.delivery.client.batches import MAX_VALUE
from bridge.delivery.position.earlier_seal import Unsealable
from bridge.delivery.position.position import Position
from bridge.errors import UNDECODABLE

if TYPE_CHECKING:
    from bridge.delivery.position.keys import AccountKeys, Purpose

VERSION: Final = 1
"""The version is the same as in 0.1.0, because a bridge of version 0.1.0 must be able to read the `owner`."""
Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Moment = Annotated[float, Meta(ge=0, lt=253_402_300_800)]
"""Seconds since the epoch, before the year 10000."""


class Secret(msgspec.Struct, frozen=True, rename="camel"):
    """The secret part of a position. Anybody who knows this part can use the CometD session."""

    client_id: str
    cookies: dict[str, str]


class StoredPosition(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A value on the position topic in JSON. `salt`, `secret` and `signature` are base64."""

    version: int = VERSION
    owner: str
    turn: Number
    salt: bytes = b""
    """The salt for scrypt."""
    secret: bytes = b""
    """The encrypted `Secret`. Empty if no session exists."""
    acknowledgement: int | None = None
    """Any integer, because the CometD server chooses the number."""
    base_sequence: Number = 0
    next_sequence: Number = 0
    last_reply_at: Moment = 0.0
    signature: bytes = b""
    """The signature of all other fields. Without the signature, an attacker could change a number so that events are
    skipped."""
    revision: Number = 0
    """0 marks a record of version 0.1.0, whose signature does not cover `owner` and `turn`."""
    loss_untold: bool = False
    """Whether a session was lost at an unknown time and no `gap` event has reported the loss yet."""
    unsigned_before: dict[int, Number] = {}
    """For each partition of the operations topic, the offset before which events need no signature.

    Version 0.1.0 wrote these events without signatures."""
    unsigned_until: Moment = 0.0
    """Time in seconds since the epoch from which `unsigned_before` is no longer valid."""
    key: Literal["light"] | UnsetType = UNSET
    """The root key that sealed and signed the record (`keys.py`). UNSET means the costly key. Records from before
    decision 13 were signed with the costly key and without this field, so the JSON of such records must not contain the
    field."""


class Unreadable(Exception):
    """A value on the position topic is not a position: it is damaged or has another version."""


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(StoredPosition)
_secret_decoder: Final = msgspec.json.Decoder(Secret)
_EARLIER_FIELDS: Final = StoredPosition.__struct_fields__[:10]
"""The fields of version 0.1.0."""


def encode(stored: StoredPosition) -> bytes:
    """Return the value for a record on the position topic."""
    return _encoder.encode(stored)


def decode(value: bytes | None) -> StoredPosition:
    """Decode a value from the position topic. The caller must then check its signature by `verify`.

    Raises:
        Unreadable: the value is not a position, or a position of another version.
    """
    if value is None:
        raise Unreadable("the record has no value")
    if len(value) > MAX_VALUE:
        raise Unreadable("the value is too large")
    try:
        stored = _decoder.decode(value)
    except (*UNDECODABLE, OverflowError):
        raise Unreadable("the value is damaged") from None
    if stored.version != VERSION:
        raise Unreadable("the position has another version")
    if stored.base_sequence > stored.next_sequence:
        raise Unreadable("the sequences contradict each other")
    return stored


def seal_position(position: Position, keys: AccountKeys, stored: StoredPosition) -> StoredPosition:
    """Return a copy of `stored` that contains the position, with its secret part encrypted, and a new signature."""
    plain = _encoder.encode(Secret(position.client_id, _writable(position.cookies)))
    sealed = msgspec.structs.replace(
        stored,
        key="light",
        salt=keys.salt,
        secret=keys.seal_unchanged("position", plain) if position.client_id else b"",
        acknowledgement=position.acknowledgement,
        base_sequence=position.base_sequence,
        next_sequence=position.next_sequence,
        last_reply_at=position.last_reply_at or 0.0,
        loss_untold=position.last_reply_at is None,
    )
    return msgspec.structs.replace(sealed, signature=keys.sign("position", _signed(sealed)))


async def verify(stored: StoredPosition, keys: AccountKeys) -> None:
    """Check the signature with the account's password.

    Raises:
        Unsealable: the record was changed or forged, or the account's password has changed.
    """
    if not stored.revision:
        (await keys.earlier(stored.salt)).verify(_signed_earlier(stored), stored.signature)
        return
    purpose = _purpose(stored)
    await keys.start(purpose)
    if not keys.verify(purpose, stored.signature, _signed(stored)):
        raise Unsealable("the signature does not match the position and this account's password")


async def open_position(stored: StoredPosition, keys: AccountKeys) -> Position:
    """Return the position in a record that `verify` has accepted.

    Raises:
        Unsealable: the secret part can't be decrypted or is damaged.
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
        except UNDECODABLE:
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
    """Remove cookies with invalid UTF-8, which aiohttp decodes to surrogates. Surrogates can't be encoded as JSON."""
    return {name: value for name, value in cookies.items() if _is_unicode(name + value)}


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _signed(stored: StoredPosition) -> bytes:
    return _encoder.encode(msgspec.structs.replace(stored, signature=b""))


def _signed_earlier(stored: StoredPosition) -> bytes:
    """Return the content that version 0.1.0 signed: its fields without owner, turn and signature."""
    fields = msgspec.to_builtins(msgspec.structs.replace(stored, owner="", turn=0, signature=b""))
    names = [field.encode_name for field in msgspec.structs.fields(StoredPosition)[: len(_EARLIER_FIELDS)]]
    return _encoder.encode({name: fields[name] for name in names})
