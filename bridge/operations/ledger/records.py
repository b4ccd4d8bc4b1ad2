"""The records of the operations' events: how they are written, and read again.

Where phone numbers are not to be told, the records hold the request twice: without them for everybody, and sealed as it
is. The bridge itself needs it whole after a crash: to forward it, to know it again, and to find its acknowledgement.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import structlog

from bridge.delivery import SALT_BYTES, Unsealable
from bridge.events import DEAD_LETTERS, INT64_MAX, JSON, Operation, acknowledgement, operation, operation_record
from bridge.operations.ledger.signatures import Origin, Signatures
from bridge.operations.requests import readable
from bridge.operations.view.state import seconds
from bridge.webservices import outbound_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.delivery import AccountKeys, ConsumedRecord, UnsignedEvents
    from bridge.events import Encoding, Record, Upstream
    from bridge.privacy import Concealment

log = structlog.get_logger(__name__)

_decode: Final = msgspec.json.Decoder(Operation).decode
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
LONGEST_AHEAD: Final = 86_400
"""Seconds that an event's times may lie in the future, by another machine's clock."""


class UnreadableEvent(ValueError):
    """A record that tells no operation event as the bridge writes them."""


SEALED: Final = "2:"
"""Before a sealed request in base64. Version 0.1.0 wrote base64 alone, with the key that sealed its positions too."""


class OperationEvent(NamedTuple):
    """An event that was read from the ledger."""

    operation: Operation
    origin: Origin


class OperationRecords:
    """Writes as `encoding` and `privacy` say, and reads all that any of the accounts of `keys` has written.

    `unsigned` tells, by account, which events need no signature.
    """

    def __init__(
        self,
        encoding: Encoding = JSON,
        privacy: Concealment | None = None,
        keys: Mapping[str, AccountKeys] | None = None,
        unsigned: Mapping[str, UnsignedEvents] | None = None,
    ) -> None:
        self._encoding = encoding
        self._privacy = privacy
        self._keys = keys or {}
        self._signatures = Signatures(self._keys, unsigned or {})

    async def start(self, account: str) -> None:
        """Derive the account's keys for the ledger, which `record` needs; the first call takes about 0.1 s.

        An operation comes from a caller or from the ledger. So the keys are derived when a caller submits one, and when
        one of the account's events is read.
        """
        if account in self._keys:
            await self._keys[account].start("ledger")

    def check(self) -> None:
        """Return where records can be made.

        Raises:
            RegistryUnavailable: not yet.
        """
        self._encoding.form(operation.SCHEMA)

    def record(self, event: Operation, traceparent: str | None = None) -> Record:
        """Make the record of an event, with the signature of its account."""
        return self._signatures.sign(self.unsigned(event, traceparent), event.account)

    def unsigned(self, event: Operation, traceparent: str | None = None) -> Record:
        """Make the record of an event that rests on what others have written: a signature would vouch for that."""
        if self._privacy is not None and event.sealed_request is None:
            event = self._without_numbers(event, self._privacy)
        return operation_record(event, traceparent=traceparent, encoding=self._encoding)

    async def read(self, record: ConsumedRecord) -> OperationEvent:
        """Return the event that a record tells, with the whole request, unless its seal can't be opened.

        What it returns is fit for every later use: nothing that merges, writes, sorts or shows the event can fail.

        Raises:
            UnreadableEvent: it is none that the bridge could have written.
            RegistryUnavailable: its schema can't be had now.
        """
        try:
            event = fit(_decode(await self._encoding.json_of(record.value or b"")), latest=time.time() + LONGEST_AHEAD)
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            raise UnreadableEvent(type(error).__name__) from None
        origin = await self._signatures.origin(record, event.account)
        if not origin.trusted or event.sealed_request is None:
            return OperationEvent(event, origin)
        try:
            request = await self._opened(event, event.sealed_request, origin)
        except Unsealable as error:
            log.warning("request-sealed", account=event.account, reason=str(error))
            return OperationEvent(event, origin)
        event = msgspec.structs.replace(event, request=msgspec.Raw(request), sealed_request=None)
        return OperationEvent(event, origin)

    async def _opened(self, event: Operation, sealed: str, origin: Origin) -> bytes:
        """Return the request that was sealed.

        What version 0.1.0 sealed may be a position: its keys were the same for both. So it is opened only in an event
        from before the update, and is a request only where it has a request's form.

        Raises:
            Unsealable: it can't be opened, or is no request.
        """
        keys = self._keys[event.account]
        try:
            content = base64.b64decode(sealed.removeprefix(SEALED), validate=True)
        except (binascii.Error, ValueError):
            raise Unsealable("it is not base64") from None
        if sealed.startswith(SEALED):
            return keys.open("request", content, event.reference_id.encode())
        if origin is not Origin.EARLIER:
            raise Unsealable("it has the seal of an earlier version, and the event has not")
        request = (await keys.earlier(content[:SALT_BYTES])).open(content[SALT_BYTES:])
        try:
            outbound_request(event.operation, event.record_handle, request, event.reference_id)
        except ValueError:
            raise Unsealable("what was sealed is no request") from None
        return request

    def _without_numbers(self, event: Operation, privacy: Concealment) -> Operation:
        request = privacy.of(event.request)
        return msgspec.structs.replace(
            event,
            request=request.content,
            upstream=None if event.upstream is None else _without_message(event.upstream),
            sealed_request=self._sealed(event),
        )

    def _sealed(self, event: Operation) -> str | None:
        keys = self._keys.get(event.account)
        if keys is None:  # the account is another process's
            return None
        sealed = keys.seal("request", bytes(event.request), event.reference_id.encode())
        return SEALED + base64.b64encode(sealed).decode()


def fit(event: Operation, *, latest: float = math.inf) -> Operation:
    """Return the event in the form that every later use takes. `latest` (epoch seconds) bounds its times.

    Raises:
        ValueError, RecursionError: there is none.
    """
    for moment in (event.at, event.received_at):
        if _TIME.fullmatch(moment) is None or not 0 <= seconds(moment) <= latest:
            raise ValueError("a time is none, or lies before 1970 or in the future")
    upstream = event.upstream
    numbers = (event.attempt, event.latency_ms, *((upstream.http_status, upstream.status_code) if upstream else ()))
    if any(number is not None and abs(number) > INT64_MAX for number in numbers):
        raise ValueError("a number is too large")
    if event.acknowledgement_topic not in {None, acknowledgement.TOPIC, DEAD_LETTERS}:
        raise ValueError("no acknowledgement lies on that topic")
    return msgspec.structs.replace(event, request=msgspec.Raw(readable(bytes(event.request))))


def _without_message(upstream: Upstream) -> Upstream:
    """Leave Web Services' free text out: it may quote a number in any form."""
    return msgspec.structs.replace(upstream, status_message=None)
