"""Other versions of CometD, around which the Web Services stand-in is compiled again."""

from pathlib import Path

import pytest

from tests.compatibility.parts import BUILD, PART, Note, install, suite_version
from tests.compatibility.scenario import MAX_INTERVAL, end_to_end
from tests.faults.site import USERS, Site
from tests.real import RealKafka, RealWebServices

VERSIONS = [suite_version("cometd"), "4.0.9", "5.0.16", "6.0.7", "7.0.17", "8.0.10", "9.0.0"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_cometd(version: str, own_kafka: RealKafka, tmp_path: Path, record_property: Note) -> None:
    """With this version nothing is lost or doubled through crashes, and an operation is acknowledged."""
    record_property(PART, f"CometD {version}")
    await install(record_property, "cometd", version)
    web = RealWebServices(classes=BUILD / f"classes-{version}", jars=BUILD / f"cometd-{version}")
    await web.start(users=USERS, max_interval=MAX_INTERVAL)
    async with web, Site(own_kafka, web, tmp_path) as site:
        await end_to_end(site, own_kafka)
