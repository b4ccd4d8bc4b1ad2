"""GET /asyncapi.json."""

import aiohttp

from bridge.contract import DEFAULT_PREFIX, asyncapi
from bridge.events import CONTRACT_KINDS
from bridge.http import create_app
from bridge.settings import Kafka
from tests.unit.operations_in_memory import InMemoryOperations
from tests.unit.served import served


async def test_the_document_names_the_bridges_own_topics() -> None:
    """Whoever asks gets the AsyncAPI document, with each topic under the prefix that the settings give it."""
    app = create_app(InMemoryOperations(), readiness=list, session_views=list, topic_prefix="site-7")
    async with served(app) as url, aiohttp.ClientSession() as client, client.get(f"{url}/asyncapi.json") as reply:
        assert (reply.status, reply.content_type) == (200, "application/json")
        document = await reply.json()
    assert document == asyncapi("site-7")
    assert [channel["address"] for channel in document["channels"].values()] == [
        f"site-7.{one.topic}" for one in CONTRACT_KINDS
    ]


def test_the_committed_documents_have_the_default_prefix() -> None:
    """What the repository keeps names the topics as a bridge does whose settings say nothing of them."""
    assert Kafka(bootstrap_servers="localhost:9092").topic_prefix == DEFAULT_PREFIX
