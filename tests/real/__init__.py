"""The real parts of integration tests and benchmarks: Apache Kafka, and Web Services around a CometD 3 server."""

from tests.real.cometd import RealWebServices
from tests.real.kafka import RealKafka
from tests.real.process import StartFailed
from tests.real.required import real_parts, require_real_parts

__all__ = ["RealKafka", "RealWebServices", "StartFailed", "real_parts", "require_real_parts"]
