"""Signs the events on the ledger, and verifies their signatures.

Any client with write access to `operations.v1` can write events there. The bridge signs its own events with a key
derived from the account's password. The signature is in a Kafka header, and covers the topic's name, the record's key
and the bytes of its value.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from bridge.events import operation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bridge.delivery import AccountKeys, ConsumedRecord, UnsignedEvents
    from bridge.events import Record

Checked: TypeAlias = Literal["valid", "invalid", "none", "unknown"]
"""The result of checking a record's signature. `unknown`: this process does not have the account's password."""

_TOPIC: Final = operation.TOPIC.encode()


class Origin(Enum):
    """Who wrote an event, as far as this process can verify."""

    SIGNED = "signed"
    """Written by a bridge of the account: the signature is valid."""
    EARLIER = "earlier"
    """Written before the update from version 0.1.0, which did not sign events."""
    UNSIGNED = "unsigned"
    """Writer unknown: the account is in this process's settings, but the event has no valid signature."""
    FOREIGN = "foreign"
    """Writer unknown: only other processes have the account's password, so this process can't verify the signature."""

    def __init__(self, value: str) -> None:
        self.trusted = value in {"signed", "earlier"}
        """Whether the bridge may act on the event. An untrusted event is only displayed."""


class Signatures:
    """Signs and verifies events of the accounts in `keys`. `unsigned` says which old events need no signature."""

    def __init__(self, keys: Mapping[str, AccountKeys], unsigned: Mapping[str, UnsignedEvents]) -> None:
        self._keys = keys
        self._unsigned = unsigned

    def sign(self, record: Record, account: str) -> Record:
        """Return the record with a signature. Without keys for the account, return the record unchanged."""
        keys = self._keys.get(account)
        if keys is None:
            return record
        signature = keys.sign("ledger", _TOPIC, record.key, record.value)
        return msgspec.structs.replace(
            record, headers=[*record.headers, (operation.SIGNATURE, signature.hex().encode())]
        )

    async def origin(self, record: ConsumedRecord, account: str) -> Origin:
        """Return who wrote a record that names `account`."""
        keys = self._keys.get(account)
        if keys is None:
            return Origin.FOREIGN
        if not keys.started("ledger"):
            await keys.start("ledger")  # the bridge may have to sign the operation's next event
        if record.key is None or record.value is None:
            return Origin.UNSIGNED
        sent = record.headers.get(operation.SIGNATURE)
        if sent is not None:
            return Origin.SIGNED if _is_signature(sent, keys, record.key, record.value) else Origin.UNSIGNED
        unsigned = self._unsigned.get(account)
        if unsigned is not None and await unsigned.cover(record.partition, record.offset):
            return Origin.EARLIER
        return Origin.UNSIGNED


def _is_signature(sent: bytes, keys: AccountKeys, key: bytes, value: bytes) -> bool:
    try:
        signature = bytes.fromhex(sent.decode("ascii"))
    except ValueError:
        return False
    return keys.verify("ledger", signature, _TOPIC, key, value)


def signature_check(keys: Mapping[str, AccountKeys]) -> Callable[[ConsumedRecord, str], Awaitable[Checked]]:
    """Return a function that checks a record's signature with the keys of its account.

    The result is `unknown` if `keys` lacks the account.
    """
    signatures = Signatures(keys, {})

    async def check(record: ConsumedRecord, account: str) -> Checked:
        origin = await signatures.origin(record, account)
        if origin is Origin.FOREIGN:
            return "unknown"
        if origin.trusted:
            return "valid"
        return "invalid" if operation.SIGNATURE in record.headers else "none"

    return check
