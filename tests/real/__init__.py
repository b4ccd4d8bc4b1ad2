"""The real parts of tests and benchmarks: Kafka, Web Services around a CometD 3 server, and a schema registry."""

from tests.real.admin import create_bridge_topics, kafka_admin
from tests.real.cometd import RealWebServices
from tests.real.kafka import KafkaServer, Quorum, RealKafka
from tests.real.process import StartFailed
from tests.real.registry import RealRegistry
from tests.real.required import real_parts, require_real_parts

__all__ = [
    "KafkaServer",
    "Quorum",
    "RealKafka",
    "RealRegistry",
    "RealWebServices",
    "StartFailed",
    "create_bridge_topics",
    "kafka_admin",
    "real_parts",
    "require_real_parts",
]
