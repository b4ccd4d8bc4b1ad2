"""The first minutes: the page's own call, Kafka not there yet, a password that is wrong."""

from contextlib import aclosing

from bridge.delivery import ConsumedRecord, read
from tests.faults.operations import caller
from tests.faults.site import PASSWORD, Site, killed
from tests.real import RealKafka

HEADERS = {
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "ce_subject",
    "ce_dataschema",
    "content-type",
    "ce_sequence",
}


async def records(site: Site, topic: str) -> list[ConsumedRecord]:
    """All records of one topic."""
    found = read(site.settings, [f"{site.prefix}.{topic}"], from_beginning=True, until_end=True)
    async with aclosing(found) as all_of_them:
        return [record async for record in all_of_them]


async def test_the_pages_own_call(site: Site) -> None:
    """The page's request gives its reference back, one acknowledgement and one user event: same key, same partition."""
    bridge = await site.ready_bridge()
    async with caller(bridge) as rest:
        answer = await rest.post("123456789")
        assert (answer.status, answer.body) == (200, {"statusCode": 0, "referenceId": "123456789"})
        await rest.until("123456789", "acknowledged")
    assert (await bridge.terminate()).status == 0
    [acknowledgement] = await records(site, "acknowledgements.v1")
    [user_event] = await records(site, "user-events.v1")
    assert acknowledgement.key == user_event.key == b"134/Campaign1/13"
    assert acknowledgement.partition == user_event.partition
    assert acknowledgement.headers.keys() == user_event.headers.keys() == HEADERS


async def test_kafka_is_not_there_at_the_start(site: Site, own_kafka: RealKafka) -> None:
    """A bridge without Kafka starts, is live, says what is missing, and relays as soon as Kafka comes."""
    async with killed(own_kafka):
        bridge = await site.bridge()
        await bridge.without("kafka")
        assert await bridge.live()
    await bridge.ready(within=60)
    await site.ledger.publish(10)
    assert not (await site.settled()).gaps


async def test_a_wrong_password_is_told_and_not_repeated(site: Site) -> None:
    """A refused login leaves the bridge live and not ready, is tried once and not again soon, and is never logged."""
    bridge = await site.bridge(WEB_SERVICES__PASSWORD="not-the-password")
    await bridge.without("login")
    assert await bridge.live()
    assert len(bridge.events("login-refused")) == 1
    assert "not-the-password" not in bridge.output()
    assert PASSWORD not in bridge.output()
