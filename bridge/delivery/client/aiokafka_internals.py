"""All code of the bridge that uses private parts of aiokafka. Other modules use only its public interface.

The code works with aiokafka 0.14, the only version that pyproject.toml allows. tests/unit/test_aiokafka_internals.py
has a test for each private part. Before you allow a newer aiokafka, run these tests with it.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog
from aiokafka import errors
from aiokafka.client import CoordinationType
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.consumer import fetcher, group_coordinator
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import (
    ConsumerProtocol,
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)
from aiokafka.producer import sender
from aiokafka.protocol.admin import CreateTopicsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.metadata import MetadataRequest_v5
from aiokafka.protocol.transaction import EndTxnRequest, InitProducerIdRequest
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String
from aiokafka.record import _crecords, default_records, legacy_records

from bridge.futures import error_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from aiokafka import AIOKafkaClient, AIOKafkaProducer, TopicPartition
    from aiokafka.admin import NewTopic

log = structlog.get_logger(__name__)

CLOSE_TIMEOUT: Final = 1.0
MARKER_WAIT: Final = 0.002


def shorten_marker_wait() -> None:
    """Make aiokafka wait 2 ms, not 20 ms, while the coordinator writes the last transaction's markers (KAFKA-5477).

    Private part: `aiokafka.producer.sender.BACKOFF_OVERRIDE`. The producer has no option for this wait. If transactions
    follow one another directly, a transaction of one record then takes 5 ms instead of 28 ms (measured with Kafka 4.1).
    If aiokafka renames the constant, transactions get slower again and nothing else breaks.
    """
    sender.BACKOFF_OVERRIDE = MARKER_WAIT


def add_error(error: type[errors.BrokerResponseError]) -> None:
    """Make aiokafka raise `error` for its error code, if aiokafka has no class for the code.

    Private part: the table `aiokafka.errors.kafka_errors`. aiokafka 0.14 has no classes for codes above 79. For these
    codes it raises UnknownError, which does not contain the code. If the table disappears, the bridge treats an invalid
    record (code 87) like an outage, and sends it again for ever.
    """
    errors.kafka_errors.setdefault(error.errno, error)


def bootstrap_addresses(servers: str) -> list[tuple[str, int]]:
    """Split the setting `bootstrap_servers` into hosts and ports, like aiokafka's clients.

    Private part: `aiokafka.conn.collect_hosts`. Its rules for IPv6 and missing ports aren't public, so another parser
    might differ. If the function changes, `bridge check` can no longer say why no broker accepts a connection.
    """
    return [(host, port) for host, port, _ in collect_hosts(servers, randomize=False)]


async def try_connection(host: str, port: int, arguments: Mapping[str, Any]) -> None:
    """Open a connection with TLS and login, and close it. `arguments` are those of `connection` without the servers.

    Private part: `aiokafka.conn.create_conn`. aiokafka's public clients try one server after the other and discard the
    errors. If the function changes, the bridge reports a bad certificate or password only as "kafka unreachable".

    Raises:
        aiokafka.errors.KafkaError, OSError, TimeoutError: the reason why the connection failed.
    """
    opened = await create_conn(host, port, **arguments)
    await opened.close()


class _MetadataResponse(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8"))),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("authorized_operations", Int32),
    )


class _MetadataRequestStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class MetadataRequest(Request[MetadataRequest_v5 | _MetadataRequestStruct]):  # type: ignore[misc]
    """Requests the metadata of topics, and the caller's rights if the broker supports this (version 8, KIP-430).

    Private part: the classes of `aiokafka.protocol`, from which this class is made. aiokafka 0.14 supports this request
    only up to version 5. If the classes change, the bridge notices a missing right only when it needs the right.
    """

    API_KEY = 3

    def __init__(self, topics: Sequence[str], *, create: bool) -> None:
        self._topics = list(topics)
        self._create = create

    def build(self, request_struct_class: type[Any]) -> Any:
        """Return the request in the version that aiokafka and the broker have negotiated."""
        if request_struct_class is MetadataRequest_v5:
            return request_struct_class(self._topics, self._create)
        return request_struct_class(self._topics, self._create, False, True)  # noqa: FBT003 -- a wire format


async def topic_metadata(client: AIOKafkaClient, topics: Sequence[str], *, create: bool) -> dict[str, Any]:
    """Send a `MetadataRequest` to a broker. `create` permits the cluster to create missing topics on first use."""
    answer = await client.send(client.get_random_node(), MetadataRequest(topics, create=create))
    metadata: dict[str, Any] = answer.to_object()
    return metadata


async def validate_creation(client: AIOKafkaClient, topics: Iterable[NewTopic], timeout_ms: int) -> dict[str, int]:
    """Ask the controller whether topics could be created, and return Kafka's error code for each topic.

    Nothing is created. Private part: `aiokafka.protocol.admin.CreateTopicsRequest`. The public admin client would open
    new connections. If the class changes, the bridge can't find out in advance whether it may create topics.
    """
    wanted: list[tuple[Any, ...]] = [
        (topic.name, topic.num_partitions, topic.replication_factor, [], list(topic.topic_configs.items()))
        for topic in topics
    ]
    controller = client.cluster.controller
    node = client.get_random_node() if controller is None else controller.nodeId
    answer = await client.send(node, CreateTopicsRequest(wanted, timeout_ms, validate_only=True))
    return {name: code for name, code, *_ in answer.topic_errors}


async def end_no_transaction(client: AIOKafkaClient, transactional_id: str) -> int:
    """Ask Kafka to abort a transaction of a producer id that never existed. Return Kafka's error code.

    Private part: `aiokafka.protocol.transaction.EndTxnRequest`. A public producer would fence the producer that uses
    the transactional id. If the class changes, the bridge can't find out in advance whether it may use the id.
    """
    request = EndTxnRequest(transactional_id, -1, -1, False)  # noqa: FBT003 -- aiokafka's signature
    code: int = (await client.send(client.get_random_node(), request)).error_code
    return code


async def no_heartbeat(client: AIOKafkaClient, group: str) -> int:
    """Send the heartbeat of a member that never joined the consumer group. Return Kafka's error code.

    Private part: `aiokafka.protocol.group.HeartbeatRequest`. A public consumer would join the group, which makes the
    members of a fleet divide their slots again. If the class changes, `bridge check` can't find out in advance whether
    the bridge may join the group.
    """
    code: int = (await client.send(client.get_random_node(), HeartbeatRequest(group, -1, ""))).error_code
    return code


async def take_transactional_id(client: AIOKafkaClient, transactional_id: str, timeout_ms: int) -> int:
    """Make Kafka fence the producer that uses a transactional id, and end its transaction. Return Kafka's error code.

    Private part: `AIOKafkaClient.coordinator_lookup` and `aiokafka.protocol.transaction.InitProducerIdRequest`. A
    public producer would need its own connections and tasks for each id. If these names change, the bridge can't take
    an account over from a bridge that uses other transactional ids.

    Raises:
        aiokafka.errors.KafkaError: no coordinator was found, or the right to use the id is missing.
    """
    node = await client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
    code: int = (await client.send(node, InitProducerIdRequest(transactional_id, timeout_ms))).error_code
    return code


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


class GroupPlan(Protocol):
    """Writes and reads the user data of a consumer group, and divides the partitions among its members.

    Each method must catch its own errors.
    """

    def claim(self) -> bytes:
        """Return the user data with which this member joins the group."""
        ...

    def divide(
        self, partitions: int, members: Mapping[str, bytes | None]
    ) -> Mapping[str, tuple[Collection[int], bytes]]:
        """Return the partitions and the user data for each member. Only the leader of the group calls this.

        `members` contains the user data of each member's claim, or None for a member that has not subscribed the topic.
        """
        ...

    def assigned(self, partitions: Collection[int], data: bytes | None) -> None:
        """Handle the assignment for this member: its partitions, and the user data from the leader."""


class GroupAssignor(AbstractPartitionAssignor):  # type: ignore[misc]
    """Lets a `GroupPlan` divide the partitions of one topic.

    Private part: `AbstractPartitionAssignor`, and the structs of `aiokafka.coordinator.protocol` in its arguments and
    results. A consumer's public listener has no access to user data. If the structs change, the replicas of a fleet
    don't receive each other's claims, and each rebalance moves slots without need.
    """

    name: str = ""

    def __init__(self, name: str, topic: str, plan: GroupPlan) -> None:
        self.name = name
        self._topic = topic
        self._plan = plan

    def metadata(self, topics: Iterable[str]) -> Any:
        """Return the subscription, with the claim as its user data. aiokafka calls this for each join."""
        return ConsumerProtocolMemberMetadata(PROTOCOL_VERSION, list(topics), self._plan.claim())

    def assign(self, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        """Return the assignment of each member. aiokafka calls this if the consumer is the leader of the group."""
        said = {one: that.user_data if self._topic in that.subscription else None for one, that in members.items()}
        shares = self._plan.divide(len(cluster.partitions_for_topic(self._topic) or ()), said)
        return {
            member: ConsumerProtocolMemberAssignment(
                PROTOCOL_VERSION, [(self._topic, list(partitions))] if partitions else [], data
            )
            for member, (partitions, data) in shares.items()
        }

    def on_assignment(self, assignment: Any) -> None:
        """Pass the assignment of this member to the plan. aiokafka calls this at the end of each rebalance."""
        partitions = [one.partition for one in assignment.partitions() if one.topic == self._topic]
        self._plan.assigned(partitions, assignment.user_data)


PROTOCOL_VERSION: Final = 0
"""In version 0 a subscription contains only topics and user data (Kafka's `ConsumerProtocolSubscription`)."""


class _TolerantMetadata(ConsumerProtocolMemberMetadata):  # type: ignore[misc]
    @classmethod
    def decode(cls, data: Any) -> Any:
        try:
            return super().decode(data)
        except Exception:  # noqa: BLE001 -- the parser raises many kinds; the cause lies in the bytes
            return ConsumerProtocolMemberMetadata(PROTOCOL_VERSION, [], b"")


class _TolerantProtocol(ConsumerProtocol):  # type: ignore[misc]
    METADATA = _TolerantMetadata


def tolerate_odd_members() -> None:
    """Make a group's leader treat a member with an unreadable subscription like a member without subscriptions.

    Private part: the name `ConsumerProtocol` in `aiokafka.consumer.group_coordinator`. Without the change such a member
    makes every rebalance fail in aiokafka's leader. If aiokafka uses the class under another name, a client that joins
    the group with invalid bytes prevents all takeovers of slots.
    """
    group_coordinator.ConsumerProtocol = _TolerantProtocol


async def discard(producer: AIOKafkaProducer) -> None:
    """End all tasks and close all connections of the producer. Even if Kafka hangs, this takes only about 3 seconds.

    Private part: `AIOKafkaProducer._sender`, `._message_accumulator` and `._txn_manager`, and the futures inside them.
    The public `stop()` waits for sends that may never end. A cancelled `stop()` leaves tasks that go on sending. If the
    names change, the tasks and connections of a failed producer stay.
    """
    sending, accumulator = producer._sender, producer._message_accumulator  # noqa: SLF001
    await _end(_tasks_of(sending))
    closing = asyncio.ensure_future(producer.stop())
    await asyncio.wait({closing}, timeout=CLOSE_TIMEOUT)
    await _end([closing, *_tasks_of(producer, sending, producer.client, accumulator)])
    for future in _futures_of(producer):
        error_of(future)


def _futures_of(producer: AIOKafkaProducer) -> Iterable[asyncio.Future[Any]]:
    """Yield the futures of the producer whose exceptions no other code retrieves."""
    transaction = producer._txn_manager  # noqa: SLF001 -- None without idempotence
    if transaction is not None and transaction._transaction_waiter is not None:  # noqa: SLF001
        yield transaction._transaction_waiter  # noqa: SLF001
    for queue in producer._message_accumulator._batches.values():  # noqa: SLF001
        for batch in queue:
            yield batch._drain_waiter  # noqa: SLF001


def _tasks_of(*owners: object) -> list[asyncio.Task[Any]]:
    """Return the running tasks whose coroutine is a method of one of the `owners`."""
    tasks = []
    for task in asyncio.all_tasks():
        coroutine = task.get_coro()
        if inspect.iscoroutine(coroutine) and coroutine.cr_frame is not None:
            itself = inspect.getcoroutinelocals(coroutine).get("self")
            if any(itself is owner for owner in owners):
                tasks.append(task)
    return tasks


async def _end(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Cancel the tasks and retrieve their results. Log only errors that are not caused by Kafka."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)
    for error in filter(None, map(error_of, tasks)):
        if not isinstance(error, errors.KafkaError | OSError | AssertionError):
            log.warning("producer-task-failed", error=type(error).__name__)
