"""Kafka's client library fails at one of its calls, while a publisher and a ledger are at work on a broker."""

from __future__ import annotations

import asyncio
import errno
import threading
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import errors as kafka

from bridge.commands.process import started_threads
from bridge.delivery import KafkaLedger
from bridge.errors import CommandFailed, KafkaUnavailable
from bridge.events import Record
from tests.behaviour.kafka_cluster import KafkaCluster
from tests.behaviour.publisher import ACKNOWLEDGEMENTS, position, record, values
from tests.fuzz.budget import FACTOR
from tests.injection.injector import Injector
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from bridge.simulator.broker import EmbeddedBroker

WITHIN = 30.0
ERRORS: dict[str, Callable[[], BaseException]] = {
    "no connection": kafka.KafkaConnectionError,
    "no answer": kafka.RequestTimedOutError,
    "unknown": kafka.UnknownError,
    "not the leader": kafka.NotLeaderForPartitionError,
    "no coordinator": kafka.GroupCoordinatorNotAvailableError,
    "out of order": kafka.OutOfOrderSequenceNumber,
    "illegal state": kafka.IllegalStateError,
    "no such topic": lambda: kafka.UnknownTopicOrPartitionError("gws.x"),
    "not authorised": lambda: kafka.TopicAuthorizationFailedError({"gws.x"}),
    "corrupt": kafka.CorruptRecordException,
    "reset": lambda: ConnectionResetError(errno.ECONNRESET, "reset"),
    "no descriptors": lambda: OSError(errno.EMFILE, "too many open files"),
    "timeout": TimeoutError,
}
"""What a cluster and a network do, retriable by Kafka's own book or not."""
PRODUCER = ("start", "partitions_for", "begin_transaction", "send_batch", "commit_transaction")
CONSUMER = ("start", "getmany", "position", "end_offsets", "beginning_offsets")
SEAMS: dict[str, tuple[Any, str]] = {
    **{f"producer.{name}": (AIOKafkaProducer, name) for name in PRODUCER},
    **{f"consumer.{name}": (AIOKafkaConsumer, name) for name in CONSUMER},
}
LEDGER = "operations.v1"


@pytest_asyncio.fixture
async def cluster(shared_broker: EmbeddedBroker) -> AsyncIterator[KafkaCluster]:
    cluster = KafkaCluster(shared_broker.bootstrap, check_crcs=False, partitions=4)
    yield cluster
    await cluster.stop()


def turns(seam: str) -> Sequence[tuple[str, int]]:
    """Two of the errors, others at each seam, and at which call each comes; `make fuzz` takes all of them."""
    names = list(ERRORS)
    first, many = list(SEAMS).index(seam) * 2, 2 if FACTOR == 1 else len(names)
    return [(names[(first + step) % len(names)], 1 + step % 3) for step in range(many)]


CASES = [(seam, error, at) for seam in SEAMS for error, at in turns(seam)]


@pytest.mark.parametrize(("seam", "error", "at"), CASES)
async def test_a_failure_of_kafka_is_survived_and_nothing_comes_twice(
    cluster: KafkaCluster, seam: str, error: str, at: int
) -> None:
    """Whatever the client library raises, the publisher comes through, and consumers see each record once."""
    owner, name = SEAMS[seam]
    wanted, last = [b"%d" % number for number in range(3)], None
    with Injector(owner, name, ERRORS[error], at=at):
        publisher = cluster.publisher()
        async with asyncio.timeout(WITHIN):
            await publisher.start()
            for number, value in enumerate(wanted):
                last = position(number)
                await publisher.publish([record(value)], last)
        await publisher.stop()
    assert values(await cluster.published(), ACKNOWLEDGEMENTS) == wanted
    assert await cluster.publisher().start() == last


@pytest.mark.parametrize(("seam", "error", "at"), [one for one in CASES if "transaction" not in one[0]])
async def test_a_failure_of_kafka_leaves_the_ledger_whole(
    cluster: KafkaCluster, seam: str, error: str, at: int
) -> None:
    """Whatever the client library raises, an append is repeated until it lands, and the follower hands over all."""
    owner, name = SEAMS[seam]
    wanted = {b"%d" % number for number in range(3)}
    ledger, caught_up = KafkaLedger(cluster.settings, LEDGER), asyncio.Event()
    read: list[bytes] = []

    async def take(fresh: Sequence[Any]) -> None:
        read.extend(getattr(one, "value", one) for one in fresh)

    with Injector(owner, name, ERRORS[error], at=at):
        following = asyncio.create_task(ledger.follow(take, caught_up.set))
        for value in sorted(wanted):
            await appended(ledger, Record(LEDGER, b"key", value, []))
        await eventually(lambda: wanted <= set(read) or following.done(), within=WITHIN)
        await eventually(caught_up.is_set, within=WITHIN)
    assert not following.done()
    following.cancel()
    await asyncio.wait([following])
    await ledger.stop()


async def appended(ledger: KafkaLedger, one: Record) -> None:
    """Append as the journal does: again after each failure that the protocol names."""
    async with asyncio.timeout(WITHIN):
        while True:
            try:
                return await ledger.append([one])
            except KafkaUnavailable:
                await asyncio.sleep(0.02)


async def test_a_machine_without_more_threads_can_start_a_publisher(cluster: KafkaCluster) -> None:
    """The threads of a command are there before they are needed: a limit that is reached later stops nothing."""
    executor = started_threads()
    asyncio.get_running_loop().set_default_executor(executor)
    with Injector(threading.Thread, "start", lambda: RuntimeError("can't start new thread")):
        async with asyncio.timeout(WITHIN):
            await cluster.publisher().start()


def test_a_machine_without_threads_is_told_so() -> None:
    """Where the system grants no thread at the start, the command ends with a sentence that says what to do."""
    with (
        Injector(threading.Thread, "start", lambda: RuntimeError("can't start new thread"), at=2),
        pytest.raises(CommandFailed, match="threads"),
    ):
        started_threads()
