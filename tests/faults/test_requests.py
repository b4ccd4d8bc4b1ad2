"""Requests by Kafka between a real Kafka and a real CometD server, while each of them and the bridge fails."""

import pytest

from bridge.delivery import existing_topics
from tests.faults.fleet.replicas import replica_of
from tests.faults.operations import events_of, statuses
from tests.faults.requests import BODY, ON, RequestTopic, numbered, paused, request_topic
from tests.faults.site import Site, killed
from tests.real import RealKafka
from tests.waiting import eventually

PATIENT = pytest.mark.parametrize("web", [{"max_interval": 60}], indirect=True)
"""A busy machine may start a bridge late."""


async def test_requests_become_operations(site: Site) -> None:
    """Each record is forwarded once, its outcome is on the ledger, and its offset is committed."""
    bridge = await site.ready_bridge(**ON)
    async with request_topic(site) as topic:
        await topic.request(*numbered(0, 200))
        times = await topic.ended()
        await topic.all_committed()
    assert set(times.values()) == {1}
    assert await bridge.metric("bridge_requests_total", result="accepted") == 200
    assert (await bridge.terminate()).status == 0


@PATIENT
async def test_kill_9(site: Site) -> None:
    """After kill -9 between the storing and the commit, the next bridge forwards nothing twice, except by recovery."""
    bridge = await site.ready_bridge(**ON)
    async with request_topic(site) as topic:
        for kill in range(3):
            await topic.request(*numbered(kill * 300, 300))
            await _some_taken(topic, (kill + 1) * 300)
            await bridge.kill()
            bridge = await site.ready_bridge(**ON)
        await topic.ended(within=120)
        await topic.all_committed()


async def _some_taken(topic: RequestTopic, sent: int) -> None:
    """Wait until the bridge has committed some records, and has others in hand."""

    async def some() -> bool:
        left = await topic.left()
        return left < min(sent, 280)

    await eventually(some, within=60)


@PATIENT
async def test_kafka_away(site: Site, own_kafka: RealKafka) -> None:
    """Kafka killed and started again in the middle: each request is acknowledged, and forwarded twice only as told."""
    bridge = await site.ready_bridge(**ON)
    async with request_topic(site) as topic:
        await topic.request(*numbered(0, 300))
        async with killed(own_kafka):
            await bridge.without("kafka")
        await bridge.ready(within=60)
    async with request_topic(site) as later:
        later.sent = topic.sent
        await later.request(*numbered(300, 100))
        await later.ended(within=120)
        await later.all_committed()
    assert await bridge.live()


@PATIENT
async def test_web_services_away(site: Site) -> None:
    """While Web Services is away nothing is committed and no member leaves; then each request ends, none lost.

    A request that Web Services had in hand may be done or not, so it is not repeated, and may end by the time-out.
    """
    bridge = await site.ready_bridge(**ON, OPERATIONS__FORWARD_DEADLINE="3", OPERATIONS__ACKNOWLEDGEMENT_TIMEOUT="20")
    async with request_topic(site) as topic:
        await topic.request(*numbered(0, 50))
        await topic.ended()
        await topic.all_committed()
        joins = bridge.output().count("request-partitions")
        await site.web.pause()
        await topic.request(*numbered(50, 400))

        async def waits() -> bool:
            return await paused(bridge, "web-services")

        async def measures() -> bool:
            """Return whether the bridge still polls and measures while it is paused."""
            return await bridge.metric("bridge_requests_lag") >= left

        await eventually(waits, within=60)
        left = await topic.left()
        assert left > 200
        await eventually(measures, within=20)
        assert await topic.left() == left
        await site.web.resume()
        await topic.ended(within=120, unanswered=True)
        await topic.all_committed()
    assert bridge.output().count("request-partitions") == joins
    assert not await paused(bridge, "web-services")


@PATIENT
async def test_rebalances(site: Site) -> None:
    """A second replica joins in the middle and leaves again: each request is forwarded exactly once."""
    first = await replica_of(site, 1, **ON)
    await first.ready(within=60)
    async with request_topic(site) as topic:
        await topic.request(*numbered(0, 300))
        second = await replica_of(site, 2, **ON)
        await second.ready(within=60)

        async def shared() -> bool:
            return await second.metric("bridge_requests_total", result="accepted") > 0

        sent = 300
        while not await shared():
            await topic.request(*numbered(sent, 100))
            sent += 100
        await topic.request(*numbered(sent, 300))
        assert (await second.terminate()).status == 0
        times = await topic.ended(within=120)
        await topic.all_committed()
    assert set(times.values()) == {1}


@PATIENT
async def test_a_replica_dies(site: Site) -> None:
    """After kill -9 of one of two replicas the other takes its partitions, and each request is acknowledged."""
    first = await replica_of(site, 1, **ON)
    second = await replica_of(site, 2, **ON)
    for one in (first, second):
        await one.ready(within=60)
    async with request_topic(site) as topic:
        await topic.request(*numbered(0, 400))
        await _some_taken(topic, 400)
        await second.kill()
        await topic.request(*numbered(400, 100))
        await topic.ended(within=150)
        await topic.all_committed()


POISON: list[tuple[bytes | None, bytes | None, dict[str, bytes]]] = [
    (None, b"{}", {}),
    (b"\xff\xfe", b"{}", {}),
    (b"x-1", None, {}),
    (b"x-2", b"no JSON", {}),
    (b"x-3", b"[" * 60_000, {}),
    (b"x-4", b" " * 900_000, {}),
    (b"x-5", b'{"account":null,"recordHandle":1,"request":{}}', {}),
    (b"x-6", b"\x00\x00\x00\x00\x07avro", {}),
    (b"x-7", b"{}", {"ce_type": b"gws.operation.v1"}),
    (b"x-8", b"{}", {"ce_source": b"\xff"}),
    (b"x-9", b'{"account":"nobody","recordHandle":1,"request":%s}' % str(BODY).replace("'", '"').encode(), {}),
    (b"k" * 300_000, b"{}", {"ce_id": b"i" * 300_000}),
]


async def test_poison_between_good_requests(site: Site) -> None:
    """Each invalid record is a dead letter, with a rejected event where it has a reference; the good ones are done."""
    bridge = await site.ready_bridge(**ON)
    async with request_topic(site) as topic:
        for number, (key, value, headers) in enumerate(POISON):
            await topic.request(f"r-{number}")
            await topic.put(key, value, **headers)
        await topic.request("r-last")
        await topic.ended()
        await topic.all_committed()
    letters = await events_of(site, "dead-letters.v1")
    assert len(letters) == len(POISON)
    assert {one["reason"] for one in letters} == {"refused"}
    for number in range(1, 10):
        assert await statuses(site, f"x-{number}", "rejected") == ["rejected"]
    assert await bridge.metric("bridge_requests_total", result="rejected") == len(POISON)
    assert (await bridge.terminate()).status == 0


async def test_the_topic_is_not_created_without_the_setting(site: Site) -> None:
    """Without the setting the bridge neither creates nor reads the topic."""
    await site.ready_bridge()
    await site.ready_bridge(KAFKA__CREATE_TOPICS="false", **ON)
    assert f"{site.prefix}.requests.v1" not in await existing_topics(site.settings)
