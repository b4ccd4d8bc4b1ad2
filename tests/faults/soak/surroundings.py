"""The faults of Kafka and of Web Services, which strike one bridge and a fleet alike."""

import asyncio
import random

from rich.console import Console

from bridge.simulator import Fault
from tests.fault_proxy import FaultProxy
from tests.faults.site import Site, killed, paused
from tests.real import RealKafka

RECOVERY = 60.0
"""Seconds within which all must be well again after any fault."""
LONGEST_OUTAGE = 12.0
MINUTE = 60.0
console = Console(highlight=False)


class Surroundings:
    """Kafka, and Web Services behind a proxy. `chance` chooses the moments."""

    def __init__(self, site: Site, kafka: RealKafka, proxy: FaultProxy, chance: random.Random) -> None:
        self.site = site
        self.kafka = kafka
        self.proxy = proxy
        self.chance = chance

    async def kafka_killed(self) -> None:
        """Kafka is killed, and started again."""
        async with killed(self.kafka):
            await asyncio.sleep(self.chance.uniform(0.0, LONGEST_OUTAGE))

    async def kafka_hangs(self) -> None:
        """Kafka is suspended, and goes on."""
        async with paused(self.kafka):
            await asyncio.sleep(self.chance.uniform(0.5, LONGEST_OUTAGE))

    async def html_503(self) -> None:
        """A balancer's error page for three seconds."""
        await self._strike(Fault("html-503", seconds=3.0))

    async def cut_replies(self) -> None:
        """Some replies end in the middle."""
        await self._strike(Fault("cut-reply", on="connect", times=self.chance.randint(1, 4)))

    async def resets(self) -> None:
        """Some requests get no reply at all."""
        await self._strike(Fault("reset", times=self.chance.randint(1, 4)))

    async def login_dropped(self) -> None:
        """Every login ends."""
        await self.site.web.drop_logins()

    async def _strike(self, fault: Fault) -> None:
        self.proxy.faults.add(fault)
        async with asyncio.timeout(RECOVERY):
            while self.proxy.faults.armed:  # noqa: ASYNC110 - the proxy tells nobody
                await asyncio.sleep(0.05)
