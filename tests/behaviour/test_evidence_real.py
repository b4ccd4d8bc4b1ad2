"""Searches and archives on a real Kafka."""

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import date
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewPartitions
from aiokafka.admin.records_to_delete import RecordsToDelete

from bridge.delivery import connection, retention_of
from bridge.delivery.retention import Retention
from bridge.errors import NoSuchEvidence, UnusableInput
from bridge.events import Operation, Record
from bridge.evidence import Archiver, ArchiveSource, Bundle, KafkaSource, Outcome, still_in_kafka, verify_archive
from bridge.evidence.archive.day import KIND, Manifest
from bridge.evidence.collect import Collector
from bridge.evidence.file.sign import Signer, private_key, public_key
from bridge.settings import Kafka
from tests.behaviour.kafka_cluster import KafkaCluster
from tests.evidence_parts import (
    ACCOUNT,
    KEYS,
    START,
    Topics,
    acknowledged,
    collector,
    gap,
    heard,
    key_file,
    operation,
)
from tests.real import KafkaServer, create_bridge_topics, kafka_admin

DAY = 86_400
MIDNIGHT = START - START % DAY
"""The begin of the day of the first request."""


class Writer:
    """Writes records as a bridge does, at any time."""

    def __init__(self, cluster: KafkaCluster, producer: AIOKafkaProducer) -> None:
        self.settings = cluster.settings
        self.producer = producer
        self._records = Topics().writer

    async def write(self, *records: Record | Operation, at: float = START) -> None:
        await KEYS[ACCOUNT].start("ledger")
        for one in records:
            record = self._records.record(one) if isinstance(one, Operation) else one
            await self.producer.send_and_wait(
                f"{self.settings.topic_prefix}.{record.topic}",
                record.value,
                key=record.key,
                headers=record.headers,
                timestamp_ms=round(at * 1000),
            )

    async def write_history(self, reference: str, number: int, at: float = START) -> None:
        await self.write(
            operation(reference, "requested", at),
            acknowledged(reference, at + 1, number=number),
            heard(at + 1, number=number + 1),
            operation(reference, "acknowledged", at + 1, acknowledgement_id=f"session-{number}"),
            at=at,
        )


def collecting(settings: Kafka, *sources: object) -> Collector:
    found = collector(None)
    found._sources = sources or (KafkaSource(settings),)  # type: ignore[assignment]
    found._prefix = settings.topic_prefix
    return found


async def of(settings: Kafka, reference: str, *, since: int | None = None, until: int | None = None) -> Bundle:
    return await collecting(settings).collect("reference", reference, since=since, until=until)


@pytest_asyncio.fixture
async def writer(real_kafka: KafkaServer) -> AsyncIterator[Writer]:
    cluster = KafkaCluster(real_kafka.bootstrap, partitions=3, retention_days=36_500)
    await create_bridge_topics(cluster.settings)
    producer = AIOKafkaProducer(**connection(cluster.settings))
    await producer.start()
    yield Writer(cluster, producer)
    await producer.stop()
    await real_kafka.delete_topics(cluster.settings.topic_prefix)


async def test_a_search_by_key_reads_only_the_partitions_of_the_keys(writer: Writer) -> None:
    """A bundle by reference is whole, though only one partition of the operations is read, and says so."""
    await writer.write_history("r1", 0)
    await writer.write_history("r2", 2)
    bundle = await of(writer.settings, "r1")
    assert (bundle.operations[0].verdict, len(bundle.records)) == ("in-time", 6)
    first = bundle.searched[0]
    assert (first.partitions, len(first.ranges)) == (3, 1)
    assert "in the partitions of the keys" in first.reason
    assert [one.outcome for one in await still_in_kafka(bundle, writer.settings)] == [Outcome.OK]


async def test_added_partitions_hide_nothing(writer: Writer) -> None:
    """After partitions were added, operations from before are found, and the bundle says that all were searched."""
    references = [f"r{number}" for number in range(20)]
    for number, reference in enumerate(references):
        await writer.write_history(reference, 2 * number)
    prefix = writer.settings.topic_prefix
    async with kafka_admin(writer.settings.bootstrap_servers) as admin:
        topics = ("operations.v1", "acknowledgements.v1", "user-events.v1")
        await admin.create_partitions({f"{prefix}.{topic}": NewPartitions(7) for topic in topics})
        async with asyncio.timeout(20):
            while await _partitions(writer) < 7:  # noqa: ASYNC110 -- Kafka has no event
                await asyncio.sleep(0.1)
    for reference in references:
        bundle = await of(writer.settings, reference)
        assert len(bundle.operations[0].events) == 2
        assert bundle.operations[0].acknowledgement is not None
        assert len(bundle.searched[0].ranges) == 7
        assert "in all partitions, because" in bundle.searched[0].reason


async def _partitions(writer: Writer) -> int:
    """How many partitions a new client sees."""
    probe = AIOKafkaProducer(**connection(writer.settings))
    await probe.start()
    try:
        found = [
            len(await probe.partitions_for(f"{writer.settings.topic_prefix}.{topic}"))
            for topic in ("operations.v1", "acknowledgements.v1", "user-events.v1")
        ]
        return min(found)
    finally:
        await probe.stop()


async def test_a_period_bounds_the_search(writer: Writer) -> None:
    """Records before `since` and after `until` are not in a bundle, also where records are not in the order of time."""
    await writer.write_history("r1", 0, START + DAY)
    await writer.write_history("r1", 2, START)
    await writer.write_history("r1", 4, START + 2 * DAY)
    since, until = (round((START + days * DAY) * 1000) for days in (0.5, 1.5))
    assert {
        record.timestamp[:10] for record in (await of(writer.settings, "r1", since=since, until=until)).records
    } == {"2026-09-22"}
    with pytest.raises(NoSuchEvidence):
        await of(writer.settings, "r1", since=round((START + 9 * DAY) * 1000))


async def test_what_was_not_committed_is_no_evidence(writer: Writer) -> None:
    """Records of an aborted transaction are not found, and an open transaction is reported as the end of the search."""
    await writer.write(operation("r1", "requested", START), at=START)
    record = acknowledged("r1", START + 1)
    topic = f"{writer.settings.topic_prefix}.{record.topic}"
    client = AIOKafkaProducer(
        **connection(writer.settings), transactional_id=f"{topic}.tx", transaction_timeout_ms=20_000
    )
    await client.start()
    try:
        await client.begin_transaction()
        await client.send_and_wait(topic, record.value, key=record.key, timestamp_ms=round(START * 1000))
        await client.abort_transaction()
        assert (await of(writer.settings, "r1")).operations[0].acknowledgement is None
        await client.begin_transaction()
        await client.send_and_wait(topic, record.value, key=record.key, timestamp_ms=round(START * 1000))
        bundle = await of(writer.settings, "r1")
        assert bundle.operations[0].acknowledgement is None
        assert "end-hidden" in {one.what for one in bundle.missing}
        await client.commit_transaction()
    finally:
        await client.stop()
    assert (await of(writer.settings, "r1")).operations[0].acknowledgement is not None


async def test_deleted_records_are_told(writer: Writer) -> None:
    """After Kafka has deleted records, the bundle has the oldest offset that is left, and `--kafka` names them."""
    await writer.write_history("r1", 0)
    before = await of(writer.settings, "r1")
    event = before.operations[0].events[0].record
    place = TopicPartition(event.topic, event.partition)
    async with kafka_admin(writer.settings.bootstrap_servers) as admin:
        await admin.delete_records({place: RecordsToDelete(event.offset + 1)})
    after = await of(writer.settings, "r1")
    assert after.searched[0].ranges[0].first == event.offset + 1
    assert "requested-event" in {one.what for one in after.missing}
    checks = await still_in_kafka(before, writer.settings)
    assert [one.outcome for one in checks] == [Outcome.FAILED]
    assert f"{event.topic}/{event.partition}@{event.offset} is not in Kafka any more" in checks[0].text


async def retention_of_all(settings: Kafka) -> Retention:
    """What Kafka tells, once it knows all topics: it answers to their creation a moment earlier."""
    async with asyncio.timeout(20):
        while (found := await retention_of(settings)) is None or len(found.days) < 4:  # noqa: ASYNC110 -- see above
            await asyncio.sleep(0.1)
    return found


async def test_topics_are_created_with_the_retention_of_the_settings(writer: Writer) -> None:
    """`retention_days` is the retention of the topics that the bridge creates; compaction keeps no event from it."""
    found = await retention_of_all(writer.settings)
    assert set(found.days.values()) == {36_500.0}
    assert not found.at_risk
    short = KafkaCluster(writer.settings.bootstrap_servers, retention_days=30).settings
    await create_bridge_topics(short)
    weak = await retention_of_all(short)
    assert (len(weak.short), weak.at_risk) == (4, True)


class Archive:
    """An archive of the topics, written by a clock of the test."""

    def __init__(self, writer: Writer, place: Path) -> None:
        self.directory = place / "archive"
        self.key = key_file(place)
        self._writer = writer

    async def write(self, now: float) -> list[Manifest]:
        """Archive as at that time."""
        signer = Signer(private_key(self.key), KIND)
        archiver = Archiver(self._writer.settings, self.directory, signer, since=date(2026, 9, 20), clock=lambda: now)
        async with aclosing(archiver.run()) as manifests:
            return [one async for one in manifests]

    def failures(self) -> dict[str, str]:
        """What verify finds, by file."""
        checks = verify_archive(self.directory, trusted=public_key(self.key))
        return {check.subject: check.text for check in checks if check.outcome is Outcome.FAILED}


@pytest.fixture
def archive(writer: Writer, tmp_path: Path) -> Archive:
    return Archive(writer, tmp_path)


async def test_an_archive_goes_on_where_it_stopped(writer: Writer, archive: Archive) -> None:
    """Each record is in just one day's file, a day is archived once, and the chain is whole over several runs."""
    for day in range(3):
        await writer.write_history(f"r{day}", 2 * day, START + day * DAY)
    first = await archive.write(MIDNIGHT + 2 * DAY + 3_700)
    assert [str(one.day) for one in first] == ["2026-09-20", "2026-09-21", "2026-09-22"]
    assert [one.records for one in first] == [0, 4, 4]
    assert await archive.write(MIDNIGHT + 2 * DAY + 3_700) == []
    # A late record of a day that is archived is in the next file.
    await writer.write_history("late", 8, START)
    second = await archive.write(MIDNIGHT + 4 * DAY + 3_700)
    assert [one.records for one in second] == [8, 0]
    assert archive.failures() == {}
    source = ArchiveSource(archive.directory, writer.settings.topic_prefix)
    for reference in ("r0", "r1", "r2", "late"):
        found = await collecting(writer.settings, source).collect("reference", reference)
        alone = await of(writer.settings, reference)
        assert [history.verdict for history in found.operations] == ["in-time"]
        assert {one.place for one in found.records} == {one.place for one in alone.records}
        assert {one.value for one in found.records} == {one.value for one in alone.records}
    assert (await retention_of_all(writer.settings)).archived


async def test_an_interrupted_day_is_written_anew(writer: Writer, archive: Archive) -> None:
    """A run that ends in the middle of a day leaves no manifest of it, and the next run archives the day."""
    await writer.write_history("r1", 0)
    signer = Signer(private_key(archive.key), KIND)
    now = MIDNIGHT + DAY + 3_700
    archiver = Archiver(writer.settings, archive.directory, signer, since=date(2026, 9, 21), clock=lambda: now)
    run = archiver.run(lambda _done, _total: (_ for _ in ()).throw(InterruptedError))
    with pytest.raises(InterruptedError):
        async with aclosing(run) as manifests:
            await anext(manifests)
    assert [path.name for path in archive.directory.iterdir() if path.name.endswith(".json")] == []
    archiver = Archiver(writer.settings, archive.directory, signer, since=date(2026, 9, 21), clock=lambda: now)
    async with aclosing(archiver.run()) as manifests:
        assert [one.records async for one in manifests] == [4]
    assert archive.failures() == {}


async def test_an_archive_outlives_the_topics(writer: Writer, archive: Archive, real_kafka: KafkaServer) -> None:
    """After the topics are gone, the archive alone gives the same bundle."""
    await writer.write(gap(START + 0.2, START + 0.6), at=START + 0.6)
    await writer.write_history("r1", 0)
    before = await of(writer.settings, "r1")
    await archive.write(MIDNIGHT + DAY + 3_700)
    await writer.producer.stop()
    await real_kafka.delete_topics(writer.settings.topic_prefix)
    source = ArchiveSource(archive.directory, writer.settings.topic_prefix)
    after = await collecting(writer.settings, source).collect("reference", "r1")
    assert after.operations == before.operations
    assert after.gaps == before.gaps
    by_phone = await collecting(writer.settings, source).collect("phone", "5550107")
    assert by_phone.operations == before.operations
    with pytest.raises(UnusableInput, match="is the archive of the topics"):
        ArchiveSource(archive.directory, "other")


async def test_each_change_of_an_archive_is_named(writer: Writer, archive: Archive) -> None:
    """A changed byte, a removed day, an exchanged day and a manifest of another key are each found, with the file."""
    for day in range(4):
        await writer.write_history(f"r{day}", 2 * day, START + day * DAY)
    await archive.write(MIDNIGHT + 4 * DAY + 3_700)
    whole = archive.directory.with_name("whole")
    shutil.copytree(archive.directory, whole)

    def restore() -> None:
        shutil.rmtree(archive.directory)
        shutil.copytree(whole, archive.directory)

    for name, size in itertools.product(("2026-09-22.jsonl.zst", "2026-09-22.manifest.json"), (0, 0.3, 0.7, 0.999)):
        path = archive.directory / name
        content = bytearray(path.read_bytes())
        content[int(len(content) * size)] ^= 1
        path.write_bytes(content)
        assert name in archive.failures()
        restore()
    (archive.directory / "2026-09-22.manifest.json").unlink()
    assert "2026-09-23.manifest.json" in archive.failures()
    restore()
    shutil.copy(whole / "2026-09-22.manifest.json", archive.directory / "2026-09-23.manifest.json")
    assert "2026-09-23.manifest.json" in archive.failures()
    restore()
    (archive.directory / "2026-09-21.jsonl.zst").unlink()
    assert archive.failures()["2026-09-21.jsonl.zst"].startswith("The file can't be read")
    restore()
    key_file(archive.key.parent)
    assert "2026-09-20.manifest.json" in archive.failures()
