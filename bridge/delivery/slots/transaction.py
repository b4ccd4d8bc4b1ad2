"""What one Kafka transaction of a slot holds: the calls of several accounts, together."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bridge.backoff import Backoff
from bridge.delivery.client.batches import Batch, size_of
from bridge.delivery.client.producer import MAX_BATCH
from bridge.delivery.client.topics import POSITION_TOPIC

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Mapping, Sequence

    from bridge.delivery.client.failures import Refusal
    from bridge.delivery.slots.attempt import PublishAttempt

MOST_RECORDS: Final = 6_000
"""Records of one transaction of several accounts. One account has at most one call in it, of about 4,000 events."""
MOST_BYTES: Final = 16 << 20
"""Bytes of the values in one transaction of several accounts."""


@dataclass(slots=True, eq=False)
class Call:
    """One account's call of `publish`, from the moment that it waits until its outcome is known."""

    account: str
    attempt: PublishAttempt
    records: int
    size: int
    done: asyncio.Future[None]
    apart: bool = False
    """Whether the call goes into a transaction of its own, because Kafka has refused a record that may be its."""
    not_before: float = 0.0
    """The time of the event loop before which the call is not tried again."""
    backoff: Backoff = field(default_factory=lambda: Backoff(first=1.0, cap=30.0))
    """How long the call is put off, where only people can put right what keeps it from Kafka."""


class Transaction:
    """One attempt to commit `calls` together."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls = calls
        self._sources: dict[Batch, list[tuple[Call, Batch]]] = {}
        """By the batch that is sent: the calls whose records it holds, each with its own batch."""
        self.timestamp = calls[0].attempt.timestamp

    @property
    def topics(self) -> set[str]:
        """The topics to send to, without the prefix; the positions' is not among them."""
        return {topic for call in self.calls for topic in call.attempt.topics}

    def batches(self, partitions: Mapping[str, int], limits: Mapping[str, int]) -> list[Batch]:
        """The records to send, several accounts' records for one partition together; see `PublishAttempt.batches`."""
        own = [(call, batch) for call in self.calls for batch in call.attempt.batches(partitions, limits)]
        return self._together(own, limits)

    def positions(self) -> list[Batch]:
        """The positions to send."""
        return self._together([(call, call.attempt.position) for call in self.calls], {})

    def refused(self, reasons: Mapping[Batch, Refusal]) -> dict[Call, dict[Batch, Refusal]]:
        """Tell which calls Kafka may have refused, and of which batches that is certain.

        Of a batch that holds several calls' records nobody knows whose record it was.
        """
        blamed: dict[Call, dict[Batch, Refusal]] = defaultdict(dict)
        for sent, why in reasons.items():
            for call, batch in self._sources[sent]:
                blamed[call] |= {} if self.shares(sent) else {batch: why}
        return blamed

    def shares(self, sent: Batch) -> bool:
        """Tell whether a batch that was sent holds records of several calls."""
        return len(self._sources[sent]) > 1

    def _together(self, own: Iterable[tuple[Call, Batch]], limits: Mapping[str, int]) -> list[Batch]:
        if len(self.calls) == 1:
            own = list(own)
            self._sources |= {batch: [(call, batch)] for call, batch in own}
            return [batch for _, batch in own]
        sent: list[Batch] = []
        fillings: dict[tuple[str, int], tuple[Batch, int]] = {}
        for call, batch in own:
            place, size = (batch.topic, batch.partition), sum(map(size_of, batch.records))
            filling, room = fillings.get(place, (None, 0))
            if filling is None or size > room:
                filling = Batch(batch.topic, batch.partition, [])
                room = MAX_BATCH if batch.topic == POSITION_TOPIC else limits.get(batch.topic, MAX_BATCH)
                sent.append(filling)
                self._sources[filling] = []
            filling.records.extend(batch.records)
            self._sources[filling].append((call, batch))
            fillings[place] = (filling, room - size)
        return sent
