"""Which broker coordinates a transactional id, or a consumer group."""

from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import KafkaError

from tests.faults.site import Site

__all__ = ["CoordinationType", "coordinator"]


async def coordinator(site: Site, name: str, kind: CoordinationType) -> int | None:
    """The id of the broker that coordinates it, if one can be asked."""
    client = AIOKafkaClient(bootstrap_servers=site.kafka.bootstrap)
    try:
        await client.bootstrap()
        return int(await client.coordinator_lookup(kind, name))
    except KafkaError:
        return None
    finally:
        await client.close()
