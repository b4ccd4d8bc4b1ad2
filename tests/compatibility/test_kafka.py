"""Other versions of Apache Kafka, each as a broker of its own."""

from pathlib import Path

import pytest

from tests.compatibility.parts import BUILD, PART, Note, install
from tests.compatibility.scenario import MAX_INTERVAL, end_to_end
from tests.faults.conftest import web
from tests.faults.site import Site
from tests.real import RealKafka, RealWebServices

__all__ = ["web"]

VERSIONS = ["3.3.2", "3.9.2", "4.0.2", "4.1.0", "4.4.0"]


@pytest.mark.parametrize("web", [{"max_interval": MAX_INTERVAL}], indirect=True)
@pytest.mark.parametrize("version", VERSIONS)
async def test_kafka(version: str, web: RealWebServices, tmp_path: Path, record_property: Note) -> None:
    """With this version nothing is lost or doubled through crashes, and an operation is acknowledged."""
    record_property(PART, f"Apache Kafka {version}")
    await install(record_property, "kafka", version)
    async with RealKafka(jars=BUILD / f"kafka-{version}") as kafka, Site(kafka, web, tmp_path) as site:
        await end_to_end(site, kafka)
