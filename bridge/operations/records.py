"""The records of the operations' events: how they are written, and read again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from bridge.events import JSON, Operation, operation, operation_record

if TYPE_CHECKING:
    from bridge.events import Encoding, Record

_decode: Final = msgspec.json.Decoder(Operation).decode


class OperationRecords:
    """Writes as `encoding` says, and reads every format."""

    def __init__(self, encoding: Encoding = JSON) -> None:
        self._encoding = encoding

    def check(self) -> None:
        """Return where records can be made.

        Raises:
            RegistryUnavailable: not yet.
        """
        self._encoding.form(operation.SCHEMA)

    def record(self, event: Operation, traceparent: str | None = None) -> Record:
        """Make the record of an event."""
        return operation_record(event, traceparent=traceparent, encoding=self._encoding)

    async def read(self, value: bytes) -> Operation:
        """Return the event that a record's value tells.

        Raises:
            msgspec.MsgspecError: it is none.
            RegistryUnavailable: its schema can't be had now.
        """
        return _decode(await self._encoding.json_of(value))
