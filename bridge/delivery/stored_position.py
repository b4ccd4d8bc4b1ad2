"""The position as it lies in Kafka, on `<prefix>.bridge-state` under the account's name.

Beside the position it says which publisher wrote it (`owner`, drawn at random at each start) and with which of its
calls (`turn`). The two decide after a failure, see `bridge.delivery.kafka`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from bridge.delivery.position import Position
from bridge.delivery.seal import Seal, Unsealable

VERSION: Final = 1


class Secret(msgspec.Struct, frozen=True, rename="camel"):
    """The part of a position that opens the session to whoever has it."""

    client_id: str
    cookies: dict[str, str]


class StoredPosition(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One value on the position topic, as JSON. `salt`, `secret` and `signature` are base64."""

    version: int = VERSION
    owner: str
    turn: int
    salt: bytes = b""
    secret: bytes = b""
    """AES-GCM nonce and ciphertext of `Secret`; empty while there is no session yet."""
    acknowledgement: int | None = None
    base_sequence: int = 0
    next_sequence: int = 0
    last_reply_at: float = 0.0
    signature: bytes = b""
    """Of everything but `owner` and `turn`, which a claim replaces: a forged number could have events skipped."""


class Unreadable(Exception):
    """The value on the position topic is not a position: damaged, or written by a newer version."""


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(StoredPosition)
_secret_decoder: Final = msgspec.json.Decoder(Secret)


def encode(stored: StoredPosition) -> bytes:
    """The record's value."""
    return _encoder.encode(stored)


def decode(value: bytes) -> StoredPosition:
    """Back from the record's value.

    Raises:
        Unreadable: it is no position, or one of another version.
    """
    try:
        stored = _decoder.decode(value)
    except msgspec.MsgspecError:
        raise Unreadable("the value is damaged") from None
    if stored.version != VERSION:
        raise Unreadable(f"version {stored.version} is not {VERSION}")
    return stored


def seal_position(position: Position, seal: Seal, *, owner: str, turn: int) -> StoredPosition:
    """Make the position fit to be stored."""
    plain = _encoder.encode(Secret(position.client_id, position.cookies))
    stored = StoredPosition(
        owner=owner,
        turn=turn,
        salt=seal.salt,
        secret=seal.seal(plain),
        acknowledgement=position.acknowledgement,
        base_sequence=position.base_sequence,
        next_sequence=position.next_sequence,
        last_reply_at=position.last_reply_at,
    )
    return msgspec.structs.replace(stored, signature=seal.sign(_signed(stored)))


def open_position(stored: StoredPosition, seal: Seal) -> Position:
    """The position again.

    Raises:
        Unsealable: the account's password has changed, or something in it has been.
    """
    seal.verify(_signed(stored), stored.signature)
    try:
        secret = _secret_decoder.decode(seal.open(stored.secret))
    except msgspec.MsgspecError:
        raise Unsealable("the secret is damaged") from None
    return msgspec.structs.replace(without_secret(stored), client_id=secret.client_id, cookies=secret.cookies)


def without_secret(stored: StoredPosition) -> Position:
    """What the position tells without its secret: no session to go on with, but how far the last one had come."""
    return Position(
        client_id="",
        cookies={},
        acknowledgement=stored.acknowledgement,
        base_sequence=stored.base_sequence,
        next_sequence=stored.next_sequence,
        last_reply_at=stored.last_reply_at,
    )


def _signed(stored: StoredPosition) -> bytes:
    return _encoder.encode(msgspec.structs.replace(stored, owner="", turn=0, signature=b""))
