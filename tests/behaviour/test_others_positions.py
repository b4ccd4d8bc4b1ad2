"""The positions of accounts that other processes relay, as read from the embedded broker."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from pydantic import SecretStr

from bridge.delivery import EMPTY_POSITION, AccountKeys, OthersPositions
from bridge.delivery.position.stored import decode, encode
from bridge.errors import KafkaUnavailable
from bridge.simulator import EmbeddedBroker
from tests.behaviour.kafka_cluster import KafkaCluster

SLOTS = 4
"""The number of partitions that the embedded broker gives to each topic."""
NAMES = ("north", "south", "nobody")
"""`north` and `south` hash to different slots. No bridge relays `nobody`."""
POSITION = msgspec.structs.replace(
    EMPTY_POSITION, client_id="c1", acknowledgement=7, next_sequence=3, base_sequence=3, last_reply_at=1000.0
)


@pytest_asyncio.fixture
async def cluster(broker: EmbeddedBroker) -> AsyncIterator[KafkaCluster]:
    """A bridge relays `north` and `south`, and has published a position of each."""
    cluster = KafkaCluster(broker.bootstrap, check_crcs=False)
    for publisher in cluster.process("north", "south"):
        await publisher.start()
        await publisher.publish([], POSITION)
    yield cluster
    await cluster.stop()


def others(cluster: KafkaCluster, password: str = "secret", **changes: str) -> OthersPositions:
    """The positions as a process with this password for each account reads them."""
    settings = cluster.settings.model_copy(update=changes)
    return OthersPositions(settings, {name: AccountKeys(name, SecretStr(password)) for name in NAMES})


async def test_positions_of_several_slots_are_read(cluster: KafkaCluster) -> None:
    """Each account with a position is found in its slot, and an account without one is left out."""
    assert await others(cluster).read(NAMES, SLOTS) == {"north": POSITION, "south": POSITION}


async def test_a_position_that_nobody_signed_is_not_shown(cluster: KafkaCluster) -> None:
    """A record that was changed, or that another password has signed, does not count. The last genuine one does."""
    stored = decode(await cluster.newest_position("north"))
    forged = msgspec.structs.replace(stored, last_reply_at=9e9, revision=stored.revision + 1)
    await cluster.put_position("north", encode(forged))
    assert await others(cluster).read(["north"], SLOTS) == {"north": POSITION}
    assert await others(cluster, "another").read(NAMES, SLOTS) == {}


async def test_callers_share_a_search(cluster: KafkaCluster) -> None:
    """Callers that come together get the result of one search."""
    positions = others(cluster)
    first, second = await asyncio.gather(positions.read(NAMES, SLOTS), positions.read(["north"], SLOTS))
    assert first is second


async def test_without_kafka(cluster: KafkaCluster) -> None:
    """While Kafka is away, the positions can't be read, and the caller is told so within the deadline."""
    async with asyncio.timeout(2 * cluster.settings.request_timeout):
        with pytest.raises(KafkaUnavailable):
            await others(cluster, bootstrap_servers="127.0.0.1:1").read(NAMES, SLOTS)
