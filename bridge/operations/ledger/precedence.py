"""Decides which replica of a fleet forwards a request that several replicas get at the same moment.

Each replica first writes its `requested` event to the ledger. All events of a referenceId are in one partition, and all
replicas read them in the same order. The replica whose event comes first forwards the request.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

import msgspec

from bridge.events import operation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.events import Operation, Record

MOST_UNDECIDED: Final = 10_000
"""Maximum number of undecided requests. While Kafka is away, no request is decided."""


class Overtaken(Exception):
    """Another replica's `requested` event comes first in the ledger. This replica does not forward the request."""


class Precedence:
    """Compares this process's `requested` events with those of other replicas. `name` is this process's name.

    The header `bridge-process` of an event contains the name of its writer. The header is not signed, but this does no
    harm: a copy of an event, with another name, comes after the original.
    """

    def __init__(self, name: str | None = None) -> None:
        self._name = (name or secrets.token_hex(8)).encode()
        self._undecided: dict[str, dict[int, asyncio.Future[bool]]] = {}
        """The requests whose first `requested` event has not been read yet, by referenceId and attempt."""

    def mark(self, record: Record) -> Record:
        """Return the record with the name of this process."""
        return msgspec.structs.replace(record, headers=[*record.headers, (operation.PROCESS, self._name)])

    def of(self, event: Operation) -> asyncio.Future[bool]:
        """Return a future that says whether this process's `requested` event is the first one of its attempt.

        Call this method before the event is written, and only if no such event has been read before.
        """
        if len(self._undecided) >= MOST_UNDECIDED:  # then nobody notices if the oldest request is forwarded twice
            del self._undecided[next(iter(self._undecided))]
        future = asyncio.get_running_loop().create_future()
        self._undecided.setdefault(event.reference_id, {})[event.attempt] = future
        return future

    def read(self, event: Operation, headers: Mapping[str, bytes]) -> None:
        """Take an event from the ledger. Call this method for each trusted event, in the order of the partition."""
        undecided = self._undecided.get(event.reference_id) if event.status == "requested" else None
        if undecided is None:
            return
        # The event also decides lower attempts, because its writer did not wait for them.
        for attempt in [one for one in undecided if one <= event.attempt]:
            undecided.pop(attempt).set_result(headers.get(operation.PROCESS) == self._name)
        if not undecided:
            del self._undecided[event.reference_id]
