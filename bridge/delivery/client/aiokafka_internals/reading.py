"""Changes how consumers read batches of records, and how they wait for topics."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import fetcher
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError
from aiokafka.record import _crecords, default_records, legacy_records

from bridge.delivery.client.records import ConsumedRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from aiokafka import TopicPartition

TOPIC_PATIENCE: Final = 1.0
"""Seconds that a consumer waits for a missing topic. A broker may need a moment to show a topic that is new."""
LOOK_AGAIN: Final = 0.1
"""Seconds between two requests for metadata while a topic is missing."""


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]
    """A consumer whose `start` fails soon if a topic does not exist.

    Private part: `AIOKafkaConsumer._wait_topics`, `._subscription` and `._client`. The public `start` waits for a
    missing topic as long as for a slow broker, and its error does not name the topic. If aiokafka renames the method,
    readers of a missing topic wait until `request_timeout` and report that Kafka does not answer.

    Raises:
        UnknownTopicOrPartitionError: topics are missing. The error's argument is the set of their names.
        TopicAuthorizationFailedError: topics may not be read. The argument is the set of their names.
    """

    async def _wait_topics(self) -> None:
        subscription = self._subscription.subscription
        if subscription is None:
            return
        missing = set(subscription.topics)
        until = asyncio.get_running_loop().time() + TOPIC_PATIENCE
        while missing:
            if not await self._client.force_metadata_update():
                raise KafkaConnectionError("no broker answers")
            cluster = self._client.cluster
            if denied := missing & cluster.unauthorized_topics:
                raise TopicAuthorizationFailedError(denied)
            missing = {topic for topic in missing if not cluster.partitions_for_topic(topic)}
            if missing:
                if asyncio.get_running_loop().time() >= until:
                    raise UnknownTopicOrPartitionError(missing)
                await asyncio.sleep(LOOK_AGAIN)

    def fetch_at_least(self, size: int) -> None:
        """Make further fetches wait for `size` bytes of records, but not longer than the consumer's waiting time.

        Private part: `AIOKafkaConsumer._fetcher` and `Fetcher._fetch_min_bytes`. aiokafka's consumer accepts this
        number only as an argument of its constructor. If aiokafka renames these attributes, each record of a followed
        topic needs a separate fetch.
        """
        self._fetcher._fetch_min_bytes = size  # noqa: SLF001


class _Batch:
    """Wraps a batch of aiokafka. The iteration ends at the first record that can't be read."""

    def __init__(self, batch: Any, passed_over: Callable[[Exception], None]) -> None:
        self._batch = batch
        self._passed_over = passed_over

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batch
        except Exception as error:  # noqa: BLE001 -- the parser raises many kinds; the cause lies in the bytes
            self._passed_over(error)


class _Batches:
    """Wraps aiokafka's reader of a fetch, so that its batches become `_Batch`es."""

    def __init__(self, records: Any, passed_over: Callable[[Exception], None]) -> None:
        self._records = records
        self._passed_over = passed_over

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> _Batch:
        return _Batch(self._records.next_batch(), self._passed_over)


class TolerantRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of a partition in a fetch. After a record that can't be read, the rest of the batch is skipped.

    Private part: `aiokafka.consumer.fetcher.PartitionRecords`, and the batches that it reads. A public consumer raises
    the parser's error at each fetch and never reads beyond the batch. If the class changes, a bad record stops every
    reader of its topic.
    """

    def __init__(self, tp: TopicPartition, records: Any, *rest: Any) -> None:
        super().__init__(tp, _Batches(records, lambda error: self.passed_over(tp.topic, error)), *rest)

    def _consumer_record(self, tp: TopicPartition, record: Any) -> ConsumedRecord:
        """Return a record in the form that the whole bridge uses. aiokafka's own form takes three times as long.

        Private part: `PartitionRecords._consumer_record`. aiokafka has no option for another class. If the method is
        renamed, records of consumers have no mapping of headers.
        """
        return ConsumedRecord(
            tp.topic, tp.partition, record.offset, record.timestamp, record.key, dict(record.headers), record.value
        )

    def passed_over(self, topic: str, error: Exception) -> None:
        """Handle the error that made the reader skip the rest of a batch. Subclasses override this method."""


def replace_reading(records: type[TolerantRecords], decoders: Mapping[str, Callable[[Any], Any]]) -> None:
    """Replace aiokafka's reader and decompressors in the whole process. `decoders` has aiokafka's names as keys.

    Private part: the name `PartitionRecords` in `aiokafka.consumer.fetcher`, and names such as `gzip_decode` in the
    modules of `aiokafka.record`. A consumer has no option to limit the decompressed size of a batch. If aiokafka uses
    other names, a bad or huge record stops the reader or the process.
    """
    fetcher.PartitionRecords = records
    for module in (default_records, legacy_records, _crecords.default_records, _crecords.legacy_records):
        for name in decoders.keys() & vars(module).keys():
            setattr(module, name, decoders[name])
