"""Random faults of one bridge, of Kafka and of Web Services, under a steady load.

One fault at a time, each waited out until the bridge is ready again. At the end the ledger is printed; the exit status
is 1 when anything is missing, doubled or out of order, or when a lost session had not exactly one gap.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.fault_proxy import FaultProxy
from tests.faults.bridge_process import BridgeProcess
from tests.faults.site import EXIT_LIMIT, USERS, Site
from tests.faults.soak.surroundings import MINUTE, RECOVERY, Surroundings, console
from tests.real import RealKafka, RealWebServices

RATE = 500
MEBIBYTE = 1 << 20


class Soak(Surroundings):
    """The faults, and what they are done to."""

    def __init__(
        self, site: Site, kafka: RealKafka, proxy: FaultProxy, bridge: BridgeProcess, chance: random.Random
    ) -> None:
        super().__init__(site, kafka, proxy, chance)
        self._bridge = bridge
        self.counts: Counter[str] = Counter()
        self.losses = 0
        """Sessions that were lost, each of which must give one gap."""

    @property
    def _faults(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            self.kill,
            self.kill,
            self.kill_in_the_start,
            self.kill_in_a_backlog,
            self.terminate,
            self.second_bridge,
            self.suspend,
            self.kafka_killed,
            self.kafka_hangs,
            self.html_503,
            self.cut_replies,
            self.resets,
            self.login_dropped,
            self.session_expired,
            self.server_killed,
        ]

    async def run(self, minutes: float) -> None:
        """Do one fault after the other until the time is over."""
        began = time.monotonic()
        while time.monotonic() - began < minutes * MINUTE:
            await self._bridge.ready(within=RECOVERY)
            await asyncio.sleep(self.chance.uniform(0.0, 3.0))  # the moment is part of the fault
            fault = self.chance.choice(self._faults)
            name = fault.__name__.replace("_", " ")
            console.print(f"{time.monotonic() - began:7.1f} s  {name}")
            await fault()
            self.counts[name] += 1
        await self._bridge.ready(within=RECOVERY)

    # -- the bridge ---------------------------------------------------------------------------------------------------

    async def kill(self) -> None:
        """Kill -9, and a successor."""
        await self._bridge.kill()
        await self._start()

    async def kill_in_the_start(self) -> None:
        """Kill -9, and the successor too, somewhere in its start."""
        await self.kill()
        await asyncio.sleep(self.chance.uniform(0.0, 1.5))
        await self.kill()

    async def kill_in_a_backlog(self) -> None:
        """Kill -9 while a reply is published that takes more than one transaction."""
        await self._bridge.suspend()
        await asyncio.sleep(self.chance.uniform(5.0, 7.0))
        self._bridge.resume()
        await asyncio.sleep(self.chance.uniform(0.0, 0.3))
        await self.kill()

    async def terminate(self) -> None:
        """SIGTERM, and a successor."""
        exit_ = await self._bridge.terminate()
        assert exit_.status == 0, f"exit status {exit_.status} after SIGTERM"
        assert exit_.seconds < EXIT_LIMIT, f"{exit_.seconds:.1f} s for a planned stop"
        await self._start()

    async def second_bridge(self) -> None:
        """A second bridge takes over; the first must leave by itself."""
        first = self._bridge
        await self._start()
        await self._bridge.ready(within=RECOVERY)
        assert await first.exited(within=RECOVERY) == 0, "a fenced bridge must end with 0"

    async def suspend(self) -> None:
        """The bridge hangs for less than maxInterval."""
        await self._bridge.suspend()
        await asyncio.sleep(self.chance.uniform(0.5, 5.0))
        self._bridge.resume()

    async def _start(self) -> None:
        self._bridge = await self.site.bridge(WEB_SERVICES__URL=self.proxy.url)

    # -- Web Services -------------------------------------------------------------------------------------------------

    async def session_expired(self) -> None:
        """The server drops the session."""
        await self._lose(self.site.web.expire_sessions)

    async def server_killed(self) -> None:
        """The server dies, and is started again."""
        await self._lose(self.site.web.restart)

    async def _lose(self, how: Callable[[], Awaitable[object]]) -> None:
        gaps = await self._bridge.metric("bridge_cometd_gaps_total")
        await how()
        self.losses += 1

        async def told() -> bool:
            return await self._bridge.metric("bridge_cometd_gaps_total") > gaps

        await self._bridge.until(told, within=RECOVERY, what="aware of the lost session")


async def soak(minutes: float, seed: int, directory: Path) -> list[str]:
    """Run it, print the final ledger, and return what is wrong."""
    web = RealWebServices()
    await web.start(users=USERS)
    async with web, RealKafka() as kafka, Site(kafka, web, directory) as site, FaultProxy(web.url) as proxy:
        bridge = await site.ready_bridge(WEB_SERVICES__URL=proxy.url)
        soaked = Soak(site, kafka, proxy, bridge, random.Random(seed))  # noqa: S311 - moments, not secrets
        try:
            async with site.load(rate=RATE):
                await soaked.run(minutes)
            peak = site.bridges[-1].memory("VmHWM")
            account = await site.settled(within=RECOVERY)
        except AssertionError as failed:
            return [str(failed)]
        console.print(f"{sum(soaked.counts.values())} faults: {dict(soaked.counts)}")
        console.print(f"{account}; peak of the last bridge {peak / MEBIBYTE:.0f} MB")
        if len(account.gaps) != soaked.losses:
            return [f"{soaked.losses} sessions lost, but {len(account.gaps)} gaps"]
        return []
