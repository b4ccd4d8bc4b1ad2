"""Encodes the operations' events as Kafka records, and decodes them.

If the settings hide phone numbers, a record contains the request twice: without phone numbers for all consumers, and
complete but encrypted (sealed). The bridge needs the complete request after a crash: to forward it, to recognise a
repeated request, and to find the acknowledgement.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import structlog

from bridge.delivery import SALT_BYTES, Unsealable
from bridge.errors import UNDECODABLE
from bridge.events import (
    DEAD_LETTERS,
    INT64_MAX,
    JSON,
    Operation,
    acknowledgement,
    operation,
    operation_record,
    rfc3339,
)
from bridge.operations.ledger.signatures import Origin, Signatures
from bridge.operations.recorded_request import readable
from bridge.webservices import outbound_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.delivery import AccountKeys, ConsumedRecord, UnsignedEvents
    from bridge.events import Encoding, Record, Upstream
    from bridge.privacy import Concealment

log = structlog.get_logger(__name__)

_decode: Final = msgspec.json.Decoder(Operation).decode
_TIME: Final = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3])(?::[0-5][0-9]){2}\.[0-9]{3}Z"
)
"""The times that events have. They all have the same length, so they can be compared as text."""
EARLIEST: Final = "1970-01-01T00:00:00.000Z"
LATEST: Final = "9999-12-31T23:59:59.999Z"
_TOPICS: Final = frozenset({None, acknowledgement.TOPIC, DEAD_LETTERS})
"""The allowed values of `acknowledgement_topic`."""
LONGEST_AHEAD: Final = 86_400
"""Maximum seconds that an event's times may lie in the future, because clocks of machines differ."""


class UnreadableEvent(ValueError):
    """A record is not an operation event in the form that the bridge writes."""


SEALED: Final = "2:"
"""Prefix of a sealed request in base64. Version 0.1.0 wrote no prefix, and used the same key for positions."""


class OperationEvent(NamedTuple):
    """An event from the ledger, and its origin."""

    operation: Operation
    origin: Origin


class OperationRecords:
    """Makes and reads the records of operation events.

    `privacy` hides phone numbers, None leaves them in. `keys` has the keys of each account, for signatures and sealed
    requests. `unsigned` says, by account, which old events need no signature.
    """

    def __init__(
        self,
        encoding: Encoding = JSON,
        privacy: Concealment | None = None,
        keys: Mapping[str, AccountKeys] | None = None,
        unsigned: Mapping[str, UnsignedEvents] | None = None,
    ) -> None:
        self._encoding = encoding
        self.privacy = privacy
        """The rule for published phone numbers, None for no rule."""
        self._keys = keys or {}
        self._signatures = Signatures(self._keys, unsigned or {})
        self._latest_at = 0, EARLIEST
        """The last result of `_latest`, and the second in which it is valid."""

    async def start(self, account: str) -> None:
        """Derive the account's keys for the ledger, which `record` needs. The first call takes about 0.1 s.

        The keys are derived when a caller submits the account's first operation, and when the ledger's first event of
        the account is read.
        """
        if account in self._keys:
            await self._keys[account].start("ledger")

    def check(self) -> None:
        """Check that records can be made now.

        Raises:
            RegistryUnavailable: the schema registry has not confirmed the schema yet.
        """
        self._encoding.form(operation.SCHEMA)

    def record(self, event: Operation, traceparent: str | None = None) -> Record:
        """Make the record of an event, signed with its account's key."""
        return self._signatures.sign(self.unsigned(event, traceparent), event.account)

    def unsigned(self, event: Operation, traceparent: str | None = None) -> Record:
        """Make a record without a signature. The bridge must not sign content that comes from untrusted events."""
        if self.privacy is not None and event.sealed_request is None:
            event = self._without_numbers(event, self.privacy)
        return operation_record(event, traceparent=traceparent, encoding=self._encoding)

    async def read(self, record: ConsumedRecord) -> OperationEvent:
        """Return the event in a record, with its complete request if this process can decrypt the request.

        The method checks the event, so that later code can merge, encode, sort and display the event without an error.

        Raises:
            UnreadableEvent: the record is not an event that a bridge could have written.
            RegistryUnavailable: the schema registry does not return the schema now.
        """
        value = record.value or b""
        try:
            if not value.startswith(b"{"):  # plain JSON needs no conversion
                value = await self._encoding.json_of(value)
            event = fit(_decode(value), latest=self._latest())
        except UNDECODABLE as error:
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

    def _latest(self) -> str:
        """Return the latest time that an event may have now."""
        second = int(time.time())
        if self._latest_at[0] != second:
            self._latest_at = second, rfc3339(second + LONGEST_AHEAD)
        return self._latest_at[1]

    async def _opened(self, event: Operation, sealed: str, origin: Origin) -> bytes:
        """Decrypt a sealed request.

        Version 0.1.0 sealed requests and positions with the same key, so somebody could present a sealed position as a
        request. Therefore the format of 0.1.0 is accepted only in an event from before the update, and only if the
        content is a valid request.

        Raises:
            Unsealable: it can't be decrypted, or is not a request.
        """
        keys = self._keys[event.account]
        try:
            content = base64.b64decode(sealed.removeprefix(SEALED), validate=True)
        except (binascii.Error, ValueError):
            raise Unsealable("the sealed request is not base64") from None
        if sealed.startswith(SEALED):
            return keys.open("request", content, event.reference_id.encode())
        if origin is not Origin.EARLIER:
            raise Unsealable("the request was sealed by version 0.1.0, but the event is not from that version")
        request = (await keys.earlier(content[:SALT_BYTES])).open(content[SALT_BYTES:])
        try:
            outbound_request(event.operation, event.record_handle, request, event.reference_id)
        except ValueError:
            raise Unsealable("the decrypted content is not a valid request") from None
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
        if keys is None:  # the account belongs to another process
            return None
        sealed = keys.seal("request", bytes(event.request), event.reference_id.encode())
        return SEALED + base64.b64encode(sealed).decode()


def fit(event: Operation, *, latest: str = LATEST) -> Operation:
    """Check an event's values, and return it with its request encoded again.

    `latest` is the latest allowed time.

    Raises:
        ValueError, RecursionError: a value is not allowed.
    """
    at, received_at, upstream = event.at, event.received_at, event.upstream
    if not (_is_time(received_at, latest) and (at == received_at or _is_time(at, latest))):
        raise ValueError("a time is malformed, before 1970 or in the future")
    numbers = [event.attempt, event.latency_ms or 0]
    if upstream is not None:
        numbers += upstream.http_status or 0, upstream.status_code or 0
    if max(numbers) > INT64_MAX or min(numbers) < -INT64_MAX:
        raise ValueError("a number is too large")
    if event.acknowledgement_topic not in _TOPICS:
        raise ValueError("the acknowledgement's topic is neither acknowledgements nor dead letters")
    request = bytes(event.request)
    form = readable(request)
    return event if form == request else msgspec.structs.replace(event, request=msgspec.Raw(form))


def _is_time(text: str, latest: str) -> bool:
    """Return whether `text` is an existing time from 1970 to `latest`, as events have it."""
    if _TIME.fullmatch(text) is None or not EARLIEST <= text <= latest:
        return False
    return text[8:10] <= "28" or _exists(text)


def _exists(text: str) -> bool:
    """Return whether the day of the time exists in its month."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _without_message(upstream: Upstream) -> Upstream:
    """Remove Web Services' free text, because it may contain a phone number in any format."""
    return msgspec.structs.replace(upstream, status_message=None)
