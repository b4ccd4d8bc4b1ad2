"""The contents of one Kafka transaction of a slot: calls of `publish` from several accounts.

`bridge.delivery.slots.commit` sends and commits the transaction.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bridge.delivery.client.batches import Batch, size_of
from bridge.delivery.client.producer import MAX_BATCH
from bridge.delivery.client.topics import POSITION_TOPIC
from bridge.pacing import Backoff

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Mapping, Sequence

    from bridge.delivery.client.failures import Refusal
    from bridge.delivery.slots.attempt import PublishAttempt

MOST_RECORDS: Final = 6_000
"""Limit for the records of a transaction. A single call may exceed this limit, but then has its own transaction.

A call has up to about 4,000 events, and each account has at most one call in a transaction."""
MOST_BYTES: Final = 16 << 20
"""Limit for the values of a transaction, in bytes. A single call may exceed this limit too."""


@dataclass(slots=True, eq=False)
class Call:
    """One call of `publish` of one account. The future `done` ends when the outcome is known."""

    account: str
    attempt: PublishAttempt
    records: int
    size: int
    done: asyncio.Future[None]
    apart: bool = False
    """Whether the call needs its own transaction, because Kafka has refused a batch with records of this call."""
    not_before: float = 0.0
    """Earliest time of the next attempt, by the clock of the event loop."""
    _backoff: Backoff | None = None
    """The delays between attempts, if only a person can solve the problem that keeps the call from Kafka."""

    def put_off(self, now: float) -> None:
        """Delay the next attempt, because only a person can solve the problem that keeps the call from Kafka."""
        self._backoff = self._backoff or Backoff(first=1.0, cap=30.0)
        self.not_before = now + self._backoff.next_delay()


class Transaction:
    """One attempt to commit `calls` in one transaction."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls = calls
        self._sources: dict[Batch, list[tuple[Call, Batch]]] = {}
        """For each batch that is sent, the calls whose records it contains, each with the batch of that call."""
        self.timestamp = calls[0].attempt.timestamp

    @property
    def topics(self) -> set[str]:
        """The topics of the records, without the prefix. The topic of the positions is not included."""
        return {topic for call in self.calls for topic in call.attempt.topics}

    def batches(self, partitions: Mapping[str, int], limits: Mapping[str, int]) -> list[Batch]:
        """Return the batches of records to send. A batch has the records of several accounts for one partition.

        The arguments are those of `PublishAttempt.batches`.
        """
        own = [(call, batch) for call in self.calls for batch in call.attempt.batches(partitions, limits)]
        return self._together(own, limits)

    def positions(self) -> list[Batch]:
        """Return the batches of positions to send."""
        return self._together([(call, call.attempt.position) for call in self.calls], {})

    def refused(self, reasons: Mapping[Batch, Refusal]) -> dict[Call, dict[Batch, Refusal]]:
        """Return the calls whose records Kafka may have refused, each with its refused batches.

        A batch may have the records of several calls. Then the refused record may belong to any of these calls. So all
        of these calls are returned, but without this batch.
        """
        blamed: dict[Call, dict[Batch, Refusal]] = defaultdict(dict)
        for sent, why in reasons.items():
            for call, batch in self._sources[sent]:
                blamed[call] |= {} if self.shares(sent) else {batch: why}
        return blamed

    def shares(self, sent: Batch) -> bool:
        """Return whether a batch contains records of several calls."""
        return len(self._sources[sent]) > 1

    def _together(self, own: Iterable[tuple[Call, Batch]], limits: Mapping[str, int]) -> list[Batch]:
        sources = {batch: [(call, batch)] for call, batch in own} if len(self.calls) == 1 else _shared(own, limits)
        self._sources |= sources
        return list(sources)


def _shared(own: Iterable[tuple[Call, Batch]], limits: Mapping[str, int]) -> dict[Batch, list[tuple[Call, Batch]]]:
    """Join the calls' batches for each partition. Return each joined batch with the calls and batches inside it."""
    places: defaultdict[tuple[str, int], list[tuple[Call, Batch]]] = defaultdict(list)
    for call, batch in own:
        places[batch.topic, batch.partition].append((call, batch))
    sources: dict[Batch, list[tuple[Call, Batch]]] = {}
    for (topic, partition), parts in places.items():
        if len(parts) == 1:  # often, while single events arrive: the batch can be sent as it is
            [(_, only)] = parts
            sources[only] = parts
            continue
        limit = MAX_BATCH if topic == POSITION_TOPIC else limits.get(topic, MAX_BATCH)
        room = 0
        for call, batch in parts:
            size = sum(map(size_of, batch.records))
            if size > room:
                filling, room = Batch(topic, partition, []), limit
                sources[filling] = []
            filling.records.extend(batch.records)
            sources[filling].append((call, batch))
            room -= size
    return sources
