"""The inner parts of aiokafka that the bridge uses behave as it expects; each failure says what would break."""

from __future__ import annotations

import ast
import asyncio
import io
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aiokafka
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import errors as kafka
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.consumer import group_coordinator
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.producer import sender
from aiokafka.protocol.metadata import MetadataRequest_v5

import bridge
from bridge.delivery import ConsumedRecord, create_missing_topics
from bridge.delivery.client import unreadable
from bridge.delivery.client.aiokafka_internals import connecting, groups, metadata, producing
from bridge.delivery.client.consumer import consumer
from bridge.settings import Kafka
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bridge.simulator import EmbeddedBroker

TRIED = "0.14."
ROOT = Path(bridge.__file__).parent
PUBLIC = {"aiokafka", "aiokafka.admin", "aiokafka.errors"}
ALLOWED = "delivery/client/aiokafka_internals/"


def private_uses(source: str) -> list[str]:
    """Every import from an inner module of aiokafka, inner name, and private attribute of another object."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                found += [a.name for a in node.names if a.name.startswith("aiokafka.") and a.name not in PUBLIC]
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] == "aiokafka" and module not in PUBLIC:
                found.append(module)
            case ast.ImportFrom(module="aiokafka"):
                found += [f"aiokafka.{a.name}" for a in node.names if a.name not in {*aiokafka.__all__, "errors"}]
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=_):
                pass
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super"))):
                pass
            case ast.Attribute(attr=attr) if attr == "kafka_errors" or attr in PRIVATE_NAMES:
                found.append(attr)
            case _:
                pass
    return found


PRIVATE_NAMES = {"_sender", "_message_accumulator", "_txn_manager", "_transaction_waiter", "_batches", "_drain_waiter"}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_one_room_touches_aiokafkas_inner_parts(path: Path) -> None:
    """No file of the bridge outside one room imports from an inner module of aiokafka or uses a private name of it."""
    if not path.relative_to(ROOT).as_posix().startswith(ALLOWED):
        assert private_uses(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import aiokafka.conn",
        "from aiokafka.conn import create_conn",
        "def f():\n  from aiokafka.protocol.admin import CreateTopicsRequest",
        "from aiokafka import conn",
        "x = client._sender",
        "from aiokafka import errors as k\nk.kafka_errors.clear()",
    ],
)
def test_each_way_to_an_inner_part_is_found(source: str) -> None:
    """The rule above finds each way of reaching an inner part."""
    assert private_uses(source)


def test_the_version_is_one_that_was_tried() -> None:
    """The installed aiokafka is of the minor version that the inner parts were tried with."""
    assert aiokafka.__version__.startswith(TRIED), (
        f"try {ALLOWED} with aiokafka {aiokafka.__version__}, then raise TRIED"
    )


def test_the_wait_for_markers_is_short() -> None:
    """While the coordinator writes the last transaction's markers, aiokafka waits 2 ms; else transactions get slow."""
    producing.shorten_marker_wait()
    transaction = SimpleNamespace(txn_partitions=set(), _txn_manager=None)
    handler = sender.AddPartitionsToTxnHandler.__new__(sender.AddPartitionsToTxnHandler)
    handler._sender = SimpleNamespace(_txn_manager=transaction)
    handler._default_backoff = 0.1
    answer = SimpleNamespace(errors=[("t", [(0, kafka.ConcurrentTransactions.errno)])])
    assert handler.handle_response(answer) == producing.MARKER_WAIT, "aiokafka has another wait: transactions are slow"


def test_an_added_error_is_raised_for_its_code() -> None:
    """A class for a code that aiokafka doesn't know is found by the code; one that it knows stays its own."""

    class Unheard(kafka.BrokerResponseError):  # type: ignore[misc]
        errno = 30_001

    class Known(kafka.BrokerResponseError):  # type: ignore[misc]
        errno = kafka.InvalidProducerEpoch.errno

    before = kafka.for_code(Known.errno)
    connecting.add_error(Unheard)
    connecting.add_error(Known)
    try:
        assert kafka.for_code(Unheard.errno) is Unheard, (
            "aiokafka has no table of errors: invalid records look like outages"
        )
        assert kafka.for_code(Known.errno) is before
    finally:
        del kafka.kafka_errors[Unheard.errno]


def test_addresses_are_read_as_aiokafka_reads_them() -> None:
    """Several servers, IPv6 and a missing port come apart as hosts and ports, in their order."""
    assert connecting.bootstrap_addresses("a:1,[::1]:2,b") == [("a", 1), ("::1", 2), ("b", 9092)]


async def test_a_connection_that_fails_says_why(broker: EmbeddedBroker) -> None:
    """A broker that answers raises nothing; a port without one raises its own cause."""
    host, port = connecting.bootstrap_addresses(broker.bootstrap)[0]
    await connecting.try_connection(host, port, {"client_id": "test", "request_timeout_ms": 2000})
    with socket.create_server(("127.0.0.1", 0)) as listening:
        closed = listening.getsockname()[1]
    with pytest.raises((kafka.KafkaError, OSError)) as failure:
        await connecting.try_connection(host, closed, {"client_id": "test", "request_timeout_ms": 2000})
    causes = [failure.value, failure.value.__cause__]
    assert any(isinstance(cause, ConnectionRefusedError) for cause in causes), "aiokafka hides why a connection failed"


def test_metadata_is_asked_with_rights_where_the_broker_tells_them() -> None:
    """Aiokafka takes the bridge's own version 8 where the broker has it, and its own version 5 where not."""
    request = metadata.MetadataRequest(["t"], create=False)
    newest = request.prepare({3: (0, 12)})
    assert newest.API_VERSION == 8
    assert newest.encode().endswith(b"\x00\x00\x01"), "the caller's rights are not asked for"
    assert isinstance(request.prepare({3: (0, 5)}), MetadataRequest_v5)


def test_metadata_with_rights_is_decoded() -> None:
    """A version 8 answer comes apart, with the rights at its end."""
    told: tuple[Any, ...] = (0, [], None, 1, [(0, "t", False, [], 24)], 0)
    answer = metadata._MetadataResponse.decode(io.BytesIO(metadata._MetadataResponse(*told).encode()))
    assert answer.to_object()["topics"][0]["authorized_operations"] == 24


async def test_no_client_creates_a_topic_by_asking_for_it(broker: EmbeddedBroker) -> None:
    """A producer, a consumer and an admin client that ask for a topic do not make the broker create it."""
    where: Any = {"bootstrap_servers": broker.bootstrap, "request_timeout_ms": 300}
    producer, admin = AIOKafkaProducer(**where), AIOKafkaAdminClient(**where)
    consumer = AIOKafkaConsumer("missing", **where)
    try:
        await producer.start()
        await admin.start()
        with pytest.raises(kafka.UnknownTopicOrPartitionError):
            await producer.partitions_for("missing")
        with pytest.raises(kafka.UnknownTopicOrPartitionError):
            await consumer.start()
        await admin.describe_topics(["missing"])
        assert await admin.list_topics() == [], "aiokafka creates topics: a typo in `bridge tail` makes a topic"
    finally:
        await asyncio.gather(producer.stop(), consumer.stop(), admin.close())


async def create_topic(broker: EmbeddedBroker, topic: str) -> list[str]:
    """Create a topic, and return all topics of the broker."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        await metadata.create_on_first_use(admin, [topic])
        topics: list[str] = await admin.list_topics()
        return topics
    finally:
        await admin.close()


async def test_a_cluster_without_controller_creates_topics_on_request(broker: EmbeddedBroker) -> None:
    """The one request that may create a topic creates it where a cluster knows no other way."""
    assert await create_topic(broker, "wanted") == ["wanted"], "`bridge demo` has no topics"


async def test_a_consumer_of_a_missing_topic_fails_soon(broker: EmbeddedBroker) -> None:
    """The error names the missing topics, and comes long before the deadline of requests."""
    settings = Kafka(bootstrap_servers=broker.bootstrap, check_crcs=False, request_timeout=60)
    await create_missing_topics(settings)
    names = ["gws.sessions.v1", "gws.missing.v1"]
    async with asyncio.timeout(30):
        with pytest.raises(kafka.UnknownTopicOrPartitionError) as failure:
            async with consumer(settings, names, "read_committed", wait_ms=50):
                pass
    assert failure.value.args == ({"gws.missing.v1"},), "aiokafka waits for missing topics until the deadline"


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (
            {"error_code": 0, "config_entries": [{"config_names": "cleanup.policy", "config_value": "compact"}]},
            "compact",
        ),
        ({"error_code": 0, "config_entries": []}, None),
        ({"error_code": 29, "config_entries": []}, None),
    ],
)
async def test_an_option_of_a_topic_is_read(resource: dict[str, Any], expected: str | None) -> None:
    """The request names the topic and the option. Without the right to read options the answer is None."""
    client: Any = OneAnswer(to_object=lambda: {"resources": [resource]})
    assert await metadata.topic_option(client, "t", "cleanup.policy") == expected
    sent = client.request.prepare({32: (0, 2)}).to_object()
    assert sent["resources"] == [{"resource_type": 2, "resource_name": "t", "config_names": ["cleanup.policy"]}]


class OneAnswer:
    """A client that keeps the request and gives one answer."""

    def __init__(self, **answer: Any) -> None:
        self.cluster = SimpleNamespace(controller=None)
        self.answer = SimpleNamespace(**answer)
        self.request: Any = None
        self.node: object = None

    def get_random_node(self) -> int:
        return 1

    async def coordinator_lookup(self, _: object, key: str) -> object:
        return f"coordinator of {key}"

    async def send(self, node: object, request: Any) -> Any:
        self.node, self.request = node, request
        return self.answer


async def test_creation_is_only_validated() -> None:
    """The question whether topics may be created carries `validate_only` on the wire, so it creates nothing."""
    client: Any = OneAnswer(topic_errors=[("t", 29, "no")])
    topic = aiokafka.admin.NewTopic("t", 1, -1, replica_assignments={}, topic_configs={})
    assert await metadata.validate_creation(client, [topic], 1000) == {"t": 29}
    sent = client.request.prepare({19: (0, 3)})
    assert sent.to_object()["validate_only"] is True, "aiokafka would create the topics that are only asked about"


async def test_no_transaction_is_ended() -> None:
    """The question about a transactional id names a producer that can't be, and asks to abort."""
    client: Any = OneAnswer(error_code=53)
    assert await producing.end_no_transaction(client, "id") == 53
    sent = client.request.prepare({26: (0, 1)}).to_object()
    assert (sent["transactional_id"], sent["producer_id"], sent["producer_epoch"]) == ("id", -1, -1)
    assert sent["transaction_result"] is False


async def test_no_member_sends_a_heartbeat() -> None:
    """The question about a group is a heartbeat of a member that can't be, so no member is disturbed."""
    client: Any = OneAnswer(error_code=25)
    assert await groups.no_heartbeat(client, "gws.fleet") == 25
    sent = client.request.prepare({12: (0, 1)}).to_object()
    assert (sent["group"], sent["generation_id"], sent["member_id"]) == ("gws.fleet", -1, "")


async def test_a_transactional_id_is_taken() -> None:
    """The request for a new producer of a transactional id goes to that id's coordinator."""
    client: Any = OneAnswer(error_code=51)
    assert await producing.take_transactional_id(client, "id", 1000) == 51
    sent = client.request.prepare({22: (0, 1)}).to_object()
    assert (sent["transactional_id"], sent["transaction_timeout_ms"]) == ("id", 1000)
    assert client.node == "coordinator of id"


async def test_consumers_read_with_the_bridges_own_reader(
    broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Aiokafka's consumer hands records out by the reader that was put in place of its own, which bounds them."""
    await create_topic(broker, "t")
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
    await producer.start()
    batch = producer.create_batch()
    for value in (b"1", b"2", b"3"):
        batch.append(key=None, value=value, timestamp=None)
    await (await producer.send_batch(batch, "t", partition=0))
    await producer.stop()
    monkeypatch.setattr(unreadable.ReadableRecords, "_room", 1)
    settings = Kafka(bootstrap_servers=broker.bootstrap, check_crcs=False)
    sizes: list[int] = []
    async with asyncio.timeout(30), consumer(settings, ["t"], "read_committed", wait_ms=50) as client:
        while sum(sizes) < 3:
            fetched = await client.getmany(timeout_ms=200)
            sizes += [len(records) for records in fetched.values()]
    assert sizes == [1, 1, 1], "aiokafka reads with a reader of its own: one bad record stops every reader"


async def test_records_come_in_the_bridges_own_form(broker: EmbeddedBroker) -> None:
    """A consumer hands out records of the bridge's own class, with a mapping of their headers."""
    await create_topic(broker, "t")
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
    await producer.start()
    await producer.send_and_wait("t", b"v", key=b"k", partition=0, timestamp_ms=1, headers=[("ce_id", b"1")])
    await producer.stop()
    settings = Kafka(bootstrap_servers=broker.bootstrap, check_crcs=False)
    found: list[Any] = []
    async with asyncio.timeout(30), consumer(settings, ["t"], "read_committed", wait_ms=50) as client:
        while not found:
            fetched = await client.getmany(timeout_ms=200)
            found += [record for records in fetched.values() for record in records]
    assert found == [ConsumedRecord("t", 0, 0, 1, b"k", {"ce_id": b"1"}, b"v")]


async def test_fetches_wait_for_as_many_bytes_as_are_asked_for(broker: EmbeddedBroker) -> None:
    """A started consumer can be told how many bytes its further fetches wait for."""
    await create_topic(broker, "t")
    settings = Kafka(bootstrap_servers=broker.bootstrap, check_crcs=False)
    async with consumer(settings, ["t"], "read_committed", wait_ms=50) as client:
        sent: list[Any] = []
        send = client._client.send

        async def listening_send(node: int, request: Any, **options: Any) -> Any:
            sent.append(request)
            return await send(node, request, **options)

        client._client.send = listening_send
        client.fetch_at_least(4321)
        await eventually(lambda: any(getattr(request, "_min_bytes", None) == 4321 for request in sent), within=10)


async def test_discard_ends_all_tasks_while_kafka_is_away(broker: EmbeddedBroker) -> None:
    """A transactional producer whose sends can't end leaves no task and no complaint behind, within seconds."""
    complaints: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    await create_topic(broker, "t")
    before = asyncio.all_tasks()
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, transactional_id="id", request_timeout_ms=2000)
    await producer.start()
    await producer.begin_transaction()
    futures = [await producer.send("t", b"1", partition=0)]
    broker.stop()
    async with asyncio.timeout(30):
        await producing.discard(producer)
    left = asyncio.all_tasks() - before
    assert left == set(), f"aiokafka {aiokafka.__version__} keeps tasks of a producer that was thrown away"
    for future in futures:
        future.cancel()
    assert complaints == []


class Plan:
    """Gives the first partition to each member, whatever it said."""

    def __init__(self) -> None:
        self.members: Mapping[str, bytes | None] = {}
        self.assignment: tuple[list[int], bytes | None] | None = None

    def claim(self) -> bytes:
        return b"mine"

    def divide(
        self, partitions: int, members: Mapping[str, bytes | None]
    ) -> Mapping[str, tuple[Collection[int], bytes]]:
        self.members = members
        return {member: ([0, partitions - 1], b"yours") for member in members}

    def assigned(self, partitions: Collection[int], data: bytes | None) -> None:
        self.assignment = list(partitions), data


def test_a_groups_user_data_goes_both_ways() -> None:
    """What a member says reaches the leader's plan, and what the plan sends along reaches the member."""
    plan = Plan()
    assignor = groups.GroupAssignor("name", "t", plan)
    joined = ConsumerProtocol.METADATA.decode(assignor.metadata({"t"}).encode())
    stranger = ConsumerProtocol.METADATA(0, ["other"], b"odd")
    cluster = SimpleNamespace(partitions_for_topic=lambda topic: {"t": {0, 1, 2}}[topic])
    shares = assignor.assign(cluster, {"a": joined, "b": stranger})
    assert plan.members == {"a": b"mine", "b": None}
    assignor.on_assignment(ConsumerProtocol.ASSIGNMENT.decode(shares["a"].encode()))
    assert plan.assignment == ([0, 2], b"yours"), "aiokafka passes no user data on: replicas can't know of each other"


def test_a_group_looks_its_tolerant_parser_up_where_it_was_put() -> None:
    """The coordinator takes bytes that are no subscription for a member without one."""
    odd = group_coordinator.ConsumerProtocol.METADATA.decode(b"\xff\xff")
    assert (odd.subscription, odd.user_data) == ([], b""), "a client with odd bytes stops every rebalance"
    source = Path(group_coordinator.__file__).read_text(encoding="utf-8")
    assert "ConsumerProtocol.METADATA.decode(" in source
