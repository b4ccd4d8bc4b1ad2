"""Faye, a Bayeux server of another kind: it has no acknowledgement extension, so that the guarantee is weaker."""

from pathlib import Path
from typing import Any

import msgspec

from tests.compatibility.parts import BUILD, HERE, PART, Note, install
from tests.compatibility.scenario import AWAY, RATE, first_session, forwards, ready_bridge
from tests.faults.site import USERS, Site, killed
from tests.real import RealKafka, RealWebServices


class Faye(RealWebServices):
    """The stand-in around Faye."""

    def _program(self) -> list[str]:
        return ["node", str(BUILD / "faye" / "server.js")]


def version() -> str:
    """The version of Faye that is installed."""
    package = msgspec.json.decode((HERE / "faye" / "package.json").read_bytes(), type=dict[str, Any])
    return str(package["dependencies"]["faye"])


async def test_faye(own_kafka: RealKafka, tmp_path: Path, record_property: Note) -> None:
    """An outage of Kafka, a kill -9 between two events and a restart lose and double nothing, in one session."""
    record_property(PART, f"Faye {version()}, without acknowledgement extension")
    await install(record_property, "faye")
    state = str(tmp_path / "state")
    web = Faye()
    await web.start(users=USERS)
    async with web, Site(own_kafka, web, tmp_path) as site:
        bridge = await ready_bridge(site, STATE_DIR=state)
        opened = await first_session(site, bridge)
        async with site.load(rate=RATE):
            async with killed(own_kafka):
                await bridge.without("kafka", within=AWAY)
            await bridge.ready(within=AWAY)
            await site.caught_up()
        await site.caught_up()
        await bridge.kill()
        bridge = await ready_bridge(site, STATE_DIR=state)
        async with site.load(rate=RATE):
            await site.caught_up()
        await site.caught_up()
        assert await bridge.handshakes() == 0
        assert (await bridge.terminate()).status == 0
        await forwards(site, await ready_bridge(site, STATE_DIR=state), opened)
