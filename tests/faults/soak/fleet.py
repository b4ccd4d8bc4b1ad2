"""Random faults of the replicas of a fleet, of Kafka and of Web Services, with many accounts."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from rich.table import Table

from tests.fault_proxy import FaultProxy
from tests.faults.fleet.many_accounts import ManyAccounts
from tests.faults.ledger import Account
from tests.faults.site import EXIT_LIMIT, PASSWORD, Site
from tests.faults.soak.surroundings import MINUTE, RECOVERY, Surroundings, console
from tests.real import RealKafka, RealWebServices

RATE = 200
"""Events/s of all accounts together."""
BURST = 5
"""Events of an account at a time."""
MAX_INTERVAL = 20.0
"""A busy machine can take longer than the usual 10 s for a takeover."""
LONGEST_SUSPENSION = 20.0
LONGEST_ABSENCE = 10.0
"""Seconds after which a replica that ended is started again, at most."""
READ_ALL = 120.0
"""Seconds that it may take until all events are in Kafka and read back."""


class FleetSoak(Surroundings):
    """The replicas, and what is done to them."""

    def __init__(
        self, site: Site, kafka: RealKafka, proxy: FaultProxy, chance: random.Random, accounts: Sequence[str]
    ) -> None:
        super().__init__(site, kafka, proxy, chance)
        self.fleet = ManyAccounts(site, accounts, url=proxy.url)
        self.recoveries: defaultdict[str, list[float]] = defaultdict(list)
        """For each fault, how long it took each time from its end until all was well, in seconds."""

    @property
    def _faults(self) -> Sequence[Callable[[], Awaitable[None]]]:
        of_replicas = [self.kill, self.terminate, self.suspend]
        of_others = [
            self.kafka_killed,
            self.kafka_hangs,
            self.html_503,
            self.cut_replies,
            self.resets,
            self.login_dropped,
        ]
        return [*3 * of_replicas, *of_others]

    async def run(self, minutes: float) -> None:
        """Do one fault after the other until the time is over."""
        began = time.monotonic()
        while time.monotonic() - began < minutes * MINUTE:
            await asyncio.sleep(self.chance.uniform(0.0, 3.0))  # the moment is part of the fault
            fault = self.chance.choice(self._faults)
            name = fault.__name__.replace("_", " ")
            console.print(f"{time.monotonic() - began:7.1f} s  {name}")
            await fault()
            ended = time.monotonic()
            await self.well()
            self.recoveries[name].append(time.monotonic() - ended)

    async def kill(self) -> None:
        """Kill -9 a replica, and start it again at once or some seconds later."""
        number = self._one()
        await self.fleet.replicas[number].kill()
        await self._again(number)

    async def terminate(self) -> None:
        """SIGTERM a replica, and start it again at once or some seconds later."""
        number = self._one()
        exit_ = await self.fleet.replicas[number].terminate()
        assert exit_.status == 0, f"exit status {exit_.status} after SIGTERM"
        assert exit_.seconds < EXIT_LIMIT, f"{exit_.seconds:.1f} s for a planned stop"
        await self._again(number)

    async def suspend(self) -> None:
        """A replica hangs, also for longer than its session in the group lasts."""
        replica = self.fleet.replicas[self._one()]
        await replica.suspend()
        await asyncio.sleep(self.chance.uniform(0.5, LONGEST_SUSPENSION))
        replica.resume()

    def _one(self) -> int:
        return self.chance.randrange(len(self.fleet.replicas))

    async def _again(self, number: int) -> None:
        await asyncio.sleep(self.chance.choice([0.0, self.chance.uniform(0.0, LONGEST_ABSENCE)]))
        await self.fleet.start_again(number)

    async def well(self) -> None:
        """Wait until all is well (`ManyAccounts.well`).

        Raises:
            AssertionError: this took longer than `RECOVERY`, or a replica ended.
        """
        await self.fleet.well(within=RECOVERY)

    def report(self, account: Account) -> None:
        """Print the table of the run."""
        opened = account.changes.count("opened") - len(self.fleet.accounts)
        table = Table("fault", "times", "longest recovery")
        for name, seconds in sorted(self.recoveries.items()):
            table.add_row(name, str(len(seconds)), f"{max(seconds):.1f} s")
        console.print(table)
        results = Table("result", "number")
        for name, number in (
            ("faults", sum(map(len, self.recoveries.values()))),
            ("events published", self.site.ledger.taken),
            ("events missing", len(account.missing)),
            ("events twice", len(account.doubled_ids) + len(account.doubled_contents)),
            ("keys out of order", len(account.disordered)),
            ("sessions opened anew", opened),
            ("gaps told", len(account.gaps)),
            ("events lost in gaps", len(account.lost)),
        ):
            results.add_row(name, str(number))
        console.print(results)
        shares = Table("replica", "slots", "with accounts", "accounts")
        for name, *numbers in self.fleet.shares:
            shares.add_row(name, *map(str, numbers))
        console.print(shares)


async def soak_fleet(minutes: float, seed: int, directory: Path, replicas: int, accounts: int) -> list[str]:
    """Run it, print the tables, and return what is wrong."""
    names = [f"agent-{number}" for number in range(accounts)]
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    web = RealWebServices()
    await web.start(users=dict.fromkeys(names, PASSWORD), max_interval=MAX_INTERVAL)
    async with web, RealKafka() as kafka, Site(kafka, web, directory) as site, FaultProxy(web.url) as proxy:
        soaked = FleetSoak(site, kafka, proxy, chance, names)
        wrong = []
        try:
            await soaked.fleet.start(replicas, within=RECOVERY)
            at_first = await site.client_ids()
            async with soaked.fleet.load(RATE, BURST):
                await soaked.run(minutes)
            new = await site.client_ids() - at_first
            account = await site.settled(within=READ_ALL)
            if len(new) > len(account.gaps):
                wrong.append(f"the server has {len(new)} new sessions, but {len(account.gaps)} gaps were told")
        except AssertionError as failed:
            wrong.append(str(failed))
            account = await site.ledger.account()
        soaked.report(account)
        opened = account.changes.count("opened") - len(names)
        if opened != len(account.gaps):
            wrong.append(f"{opened} sessions were opened anew, but {len(account.gaps)} gaps were told")
        return wrong
