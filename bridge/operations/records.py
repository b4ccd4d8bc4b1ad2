"""The records of the operations' events: how they are written, and read again.

Where phone numbers are not to be told, the records hold the request twice: without them for everybody, and sealed as it
is. The bridge itself needs it whole after a crash: to forward it, to know it again, and to find its acknowledgement.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from bridge.delivery import Unsealable
from bridge.errors import Busy
from bridge.events import DEAD_LETTERS, INT64_MAX, JSON, Operation, acknowledgement, operation, operation_record
from bridge.operations.requests import readable
from bridge.operations.state import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.delivery import Vault
    from bridge.events import Encoding, Record, Upstream
    from bridge.privacy import Concealment

log = structlog.get_logger(__name__)

_decode: Final = msgspec.json.Decoder(Operation).decode
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
LONGEST_AHEAD: Final = 86_400
"""Seconds that an event's times may lie in the future, by another machine's clock."""


class UnreadableEvent(ValueError):
    """A record that tells no operation event as the bridge writes them."""


class OperationRecords:
    """Writes as `encoding` and `privacy` say, and reads all that any of the accounts of `vaults` has written."""

    def __init__(
        self, encoding: Encoding = JSON, privacy: Concealment | None = None, vaults: Mapping[str, Vault] | None = None
    ) -> None:
        self._encoding = encoding
        self._privacy = privacy
        self._vaults = vaults or {}

    async def start(self) -> None:
        """Get the keys, where there is anything to seal."""
        if self._privacy is not None:
            for vault in self._vaults.values():
                await vault.start()

    def check(self) -> None:
        """Return where records can be made.

        Raises:
            Busy, RegistryUnavailable: not yet.
        """
        self._encoding.form(operation.SCHEMA)
        if self._privacy is not None and not all(vault.ready for vault in self._vaults.values()):
            raise Busy("The bridge is starting; nothing was forwarded.", retry_after=1)

    def record(self, event: Operation, traceparent: str | None = None) -> Record:
        """Make the record of an event."""
        if self._privacy is not None and event.sealed_request is None:
            event = self._without_numbers(event, self._privacy)
        return operation_record(event, traceparent=traceparent, encoding=self._encoding)

    async def read(self, value: bytes) -> Operation:
        """Return the event that a record's value tells, with the whole request, unless its seal can't be opened.

        What it returns is fit for every later use: nothing that merges, writes, sorts or shows the event can fail.

        Raises:
            UnreadableEvent: it is none that the bridge could have written.
            RegistryUnavailable: its schema can't be had now.
        """
        try:
            return fit(await self._opened(_decode(await self._encoding.json_of(value))))
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            raise UnreadableEvent(type(error).__name__) from None

    async def _opened(self, event: Operation) -> Operation:
        vault = self._vaults.get(event.account)
        if event.sealed_request is None or vault is None:
            return event
        try:
            request = await vault.open(event.sealed_request)
        except Unsealable as error:
            log.warning("request-sealed", account=event.account, reason=str(error))
            return event
        return msgspec.structs.replace(event, request=msgspec.Raw(request), sealed_request=None)

    def _without_numbers(self, event: Operation, privacy: Concealment) -> Operation:
        request = privacy.of(event.request)
        vault = self._vaults.get(event.account)  # none: the account is another process's
        return msgspec.structs.replace(
            event,
            request=request.content,
            upstream=None if event.upstream is None else _without_message(event.upstream),
            sealed_request=None if vault is None else vault.seal(bytes(event.request)),
        )


def fit(event: Operation) -> Operation:
    """Return the event in the form that every later use takes.

    Raises:
        ValueError, RecursionError: there is none.
    """
    latest = time.time() + LONGEST_AHEAD
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
