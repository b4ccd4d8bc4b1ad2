"""Makes the two records about a refused request: a dead letter, and the operation event `rejected`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from bridge.events import Operation, Record, refused_request, request, rfc3339, source
from bridge.observability import tracing
from bridge.operations import LONGEST_CALLER, told_request

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from bridge.delivery import ConsumedRecord
    from bridge.events import Encoding
    from bridge.privacy import Concealment
    from bridge.requests.reading import Refused

LONGEST_HEADER: Final = 255
"""Maximum characters of a header in a dead letter. A longer header is cut, so that Kafka accepts the dead letter."""
LONGEST_DETAIL: Final = 1000
UNKNOWN: Final = "unknown"
"""The `operation` of a `rejected` event if its request names no operation that the bridge knows."""


class Refusal(NamedTuple):
    """The records about one refused request."""

    dead_letter: Record
    rejected: Operation | None
    """None if the record has no referenceId."""


class Refusals:
    """Makes the records about refused requests.

    `known` has the accounts of this process, and `operations` the names of all operations. `privacy` hides phone
    numbers. If `privacy` is None, the records contain phone numbers.
    """

    def __init__(
        self,
        encoding: Encoding,
        privacy: Concealment | None,
        *,
        default_account: Callable[[], str],
        known: Collection[str],
        operations: Collection[str],
    ) -> None:
        self._encoding = encoding
        self._privacy = privacy
        self._default_account = default_account
        self._known = known
        self._operations = operations

    def refusal(self, record: ConsumedRecord, refused: Refused) -> Refusal:
        """Return the records about a record that was refused.

        Raises:
            RegistryUnavailable: the schema registry has not confirmed the schema yet.
        """
        at, value = time.time(), record.value or b""
        account = refused.envelope.account or self._default_account()
        letter = refused_request(
            Record(
                request.TOPIC, record.key or b"", value, _published(record, account if account in self._known else None)
            ),
            refused.problem,
            refused.detail[:LONGEST_DETAIL],
            start=self._start(value),
            place=(record.partition, record.offset),
            at=at,
            encoding=self._encoding,
        )
        return Refusal(letter, self._rejected(refused, rfc3339(at)))

    def _rejected(self, refused: Refused, at: str) -> Operation | None:
        envelope = refused.envelope
        if envelope.reference_id is None:
            return None
        name = (envelope.request or {}).get("operationName")
        return Operation(
            reference_id=envelope.reference_id,
            operation=name if isinstance(name, str) and name in self._operations else UNKNOWN,
            status="rejected",
            at=at,
            account=envelope.account or self._default_account(),
            received_at=at,
            requested_by=None if envelope.requested_by is None else envelope.requested_by[:LONGEST_CALLER],
            record_handle=envelope.record_handle,
            request=msgspec.Raw(told_request(envelope.request or {})),
            asynchronous=True,
        )

    def _start(self, value: bytes) -> str:
        """Return the value's text for the dead letter.

        If phone numbers are hidden and the value is not JSON, the text is empty.
        """
        if self._privacy is None:
            return value.decode(errors="replace")
        content = bytes(self._privacy.of(msgspec.Raw(value)).content)
        return "" if content == b"null" else content.decode()


def _published(record: ConsumedRecord, account: str | None) -> list[tuple[str, bytes]]:
    """Return the headers for the dead letter. `account` is None if this process does not have the account."""
    headers = [] if account is None else [("ce_source", source(account).encode())]
    for name in ("ce_id", "ce_type", "traceparent"):
        text = (record.headers.get(name) or b"").decode(errors="replace")[:LONGEST_HEADER]
        if text and (name != "traceparent" or tracing.well_formed(text)):
            headers.append((name, text.encode()))
    return headers
