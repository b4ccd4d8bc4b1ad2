"""Tells which events on the ledger are the bridge's own.

Any client that may write to `operations.v1` can write events there. Those of an account's bridge carry a signature in a
Kafka header, with a key from the account's password, so the value stays what its schema says. The signature covers the
topic, the record's key and the bytes of its value.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

import msgspec

from bridge.events import operation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.delivery import AccountKeys, ConsumedRecord, UnsignedEvents
    from bridge.events import Record

_TOPIC: Final = operation.TOPIC.encode()


class Origin(Enum):
    """How far an event is known to be the bridge's own."""

    SIGNED = "signed"
    EARLIER = "earlier"
    """Without a signature, from before the update from version 0.1.0, which signed none."""
    UNSIGNED = "unsigned"
    """Without a valid signature, of an account of this process."""
    FOREIGN = "foreign"
    """Of an account that only other processes have: this process can verify nothing."""

    @property
    def trusted(self) -> bool:
        """Whether the event may cause something; if not it is for show."""
        return self in {Origin.SIGNED, Origin.EARLIER}


class Signatures:
    """Of the accounts of `keys`; `unsigned` tells which of their events need no signature."""

    def __init__(self, keys: Mapping[str, AccountKeys], unsigned: Mapping[str, UnsignedEvents]) -> None:
        self._keys = keys
        self._unsigned = unsigned

    def sign(self, record: Record, account: str) -> Record:
        """Return the record with its signature, where the account is one of this process."""
        keys = self._keys.get(account)
        if keys is None:
            return record
        signature = keys.sign("ledger", _TOPIC, record.key, record.value)
        return msgspec.structs.replace(
            record, headers=[*record.headers, (operation.SIGNATURE, signature.hex().encode())]
        )

    async def origin(self, record: ConsumedRecord, account: str) -> Origin:
        """Tell where an event of the account comes from."""
        keys = self._keys.get(account)
        if keys is None:
            return Origin.FOREIGN
        await keys.start("ledger")  # whoever knows of the operation after this may have to sign for it
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
