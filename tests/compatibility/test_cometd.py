"""Other versions of CometD, around which the Web Services stand-in is compiled again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compatibility.parts import BUILD, install
from tests.compatibility.scenario import end_to_end
from tests.faults.site import USERS, Site
from tests.real import RealKafka, RealWebServices

VERSIONS = ["4.0.9", "5.0.16", "6.0.7", "7.0.17"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_cometd(
    version: str, real_kafka: RealKafka, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """With this version nothing is lost or doubled through crashes, and an operation is acknowledged."""
    record_property("part", f"CometD {version}")
    await install("cometd", version)
    web = RealWebServices(classes=BUILD / f"classes-{version}", jars=BUILD / f"cometd-{version}")
    await web.start(users=USERS, max_interval=20.0)
    async with web, Site(real_kafka, web, tmp_path) as site:
        await end_to_end(site)
