"""The records and the position of one call of `publish`. Several attempts may be necessary to commit them."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from bridge.delivery.client.batches import MAX_VALUE, Batch, batches, chunks, placed, without_refused
from bridge.delivery.client.failures import TOO_LARGE
from bridge.delivery.client.topics import POSITION_TOPIC
from bridge.delivery.position.stored import StoredPosition, encode
from bridge.delivery.slots.publisher import revise_nothing
from bridge.errors import KafkaUnavailable
from bridge.events import DEAD_LETTERS, JSON, Record, dead_letter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.delivery.client.failures import Refusal
    from bridge.delivery.slots.publisher import Revise
    from bridge.events import Encoding


class PublishAttempt:
    """The records and the position of one call. A dead letter replaces each record that Kafka has refused."""

    def __init__(
        self,
        account: str,
        records: Sequence[Record],
        stored: StoredPosition,
        partition: int,
        encoding: Encoding = JSON,
        *,
        revise: Revise = revise_nothing,
    ) -> None:
        self._encoding = encoding
        self._revise = revise
        self._revised: dict[int, tuple[Record, Record]] = {}
        """The old and the new record for each record that `revise` has replaced, by the `id()` of the old record."""
        self._account = account
        self._partition = partition
        self.carry(stored)
        self.timestamp = time.time_ns() // 1_000_000
        self.dead_lettered: Counter[str] = Counter()
        """How many records were replaced by dead letters, by reason."""
        self._batches: list[Batch] | None = None
        self._records = records
        self.count = len(records)
        """The number of records."""
        self.size = sum([len(record.value) for record in records])
        """The length of all values in bytes."""
        if self.size > MAX_VALUE and any(len(record.value) > MAX_VALUE for record in records):
            kept = [self._to_dead_letter(r, TOO_LARGE) if len(r.value) > MAX_VALUE else r for r in records]
            self._records = self._with_revised(kept)

    def carry(self, stored: StoredPosition) -> None:
        """Set the position that the next attempt publishes together with the records."""
        self.number = stored.turn
        record = Record(POSITION_TOPIC, self._account.encode(), encode(stored), [])
        self.position = Batch(POSITION_TOPIC, self._partition, [record])

    @property
    def topics(self) -> set[str]:
        """The topics of the records, without the prefix. The topic of the position is not included."""
        if self._batches is not None:
            return {batch.topic for batch in self._batches}
        return {record.topic for record in self._records}

    def batches(self, partitions: Mapping[str, int], limits: Mapping[str, int]) -> list[Batch]:
        """Return the batches of records for the next attempt.

        `partitions` contains the number of partitions of each of `topics`. `limits` contains the maximum size of a
        batch in bytes, for topics that have refused batches of the usual size.
        """
        if self._batches is None:
            self._batches = batches(self._records, partitions)
            if limits:
                self._batches = [
                    piece
                    for batch in self._batches
                    for piece in (chunks(batch, limits[batch.topic]) if batch.topic in limits else (batch,))
                ]
        else:
            self._batches = [placed(batch, partitions) for batch in self._batches]
        return self._batches

    def refused(self, reasons: Mapping[Batch, Refusal]) -> None:
        """Handle batches that Kafka has refused because of their content or size.

        The next attempt sends such a batch in smaller parts. For a batch of a single record it sends a dead letter.

        Raises:
            KafkaUnavailable: Kafka has refused the position or a dead letter. Only a person can solve this.
        """
        for batch, why in reasons.items():
            if batch is self.position or (batch.topic == DEAD_LETTERS and len(batch.records) == 1):
                raise KafkaUnavailable(f"kafka refuses a record of {batch.topic}: {why}")
        self._batches = without_refused(self._batches or [], reasons, self._to_dead_letter)
        for batch in self._batches:
            batch.records = self._with_revised(batch.records)

    def counts(self) -> Counter[str]:
        """Return the number of records of this call by topic, without the prefix."""
        if self._batches is None:
            return Counter(record.topic for record in self._records)
        counts: Counter[str] = Counter()
        for batch in self._batches:
            counts[batch.topic] += len(batch.records)
        return counts

    def failed(self) -> None:
        """Handle a failed attempt. The next attempt makes new batches, because the number of partitions may change."""
        if self._batches is not None:
            self._records = [record for batch in self._batches for record in batch.records]
            self._batches = None

    def _to_dead_letter(self, record: Record, reason: Refusal) -> Record:
        self.dead_lettered[reason] += 1
        letter = dead_letter(record, reason, at=self.timestamp / 1000, encoding=self._encoding)
        revised = self._revise(record, letter)
        if revised is not None:
            self._revised[id(revised[0])] = revised
        return letter

    def _with_revised(self, records: Sequence[Record]) -> list[Record]:
        return [self._revised[id(record)][1] if id(record) in self._revised else record for record in records]
