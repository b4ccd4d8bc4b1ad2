"""One scenario's place: the two real servers, topics of its own, the bridges that it starts, and its ledger."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bridge.settings import Kafka
from tests.faults.bridge_process import BridgeProcess
from tests.faults.ledger import NETWORK, PHONE, Account, Ledger
from tests.real import KafkaServer, RealKafka, RealWebServices

if TYPE_CHECKING:
    from tests.faults.rig import Rig

PASSWORD = "correct-horse-battery"
USERS = {"agent": PASSWORD}
EXIT_LIMIT = 10.0
"""Seconds that a planned stop may take."""
KAFKA_TIMEOUT = 3
_READ_TIMEOUT = 15
_SLICE = 0.5
_PRIVATE = re.compile(f"{re.escape(PHONE)}|{PASSWORD}|JSESSIONID|BAYEUX_BROWSER", re.IGNORECASE)


class Site:
    """An asynchronous context manager; at its end no bridge and no topic is left, and nothing private was logged."""

    def __init__(self, kafka: KafkaServer, web: RealWebServices, directory: Path, *, bootstrap: str = "") -> None:
        """Nothing is started. `bootstrap`: the addresses of all brokers, where `kafka` is one of several."""
        self.kafka = kafka
        self.web = web
        self.directory = directory
        self.prefix = f"f{uuid.uuid4().hex[:12]}"
        self.settings = Kafka(
            bootstrap_servers=bootstrap or kafka.bootstrap, topic_prefix=self.prefix, request_timeout=_READ_TIMEOUT
        )
        self.ledger = Ledger(self.settings, web)
        self.bridges: list[BridgeProcess] = []
        self.rig: Rig | None = None
        """Makes the bridges that are started from now on stop at points, each with a clock of its replica's name."""
        self.own_interpreter = False
        """Whether the bridges that are started from now on have a Python interpreter of their own."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for bridge in self.bridges:
            if not bridge.ended:
                await bridge.kill()
        if error is None:
            for bridge in self.bridges:
                found = _PRIVATE.search(bridge.output())
                assert found is None, f"{found} in the log of the bridge"
            await self.kafka.delete_topics(self.prefix)

    def environment(self, **changes: str) -> dict[str, str]:
        """The variables of one bridge; `changes` by their names without BRIDGE_. An empty one is left out."""
        variables = {
            "WEB_SERVICES__URL": self.web.url,
            "WEB_SERVICES__USERNAME": "agent",
            "WEB_SERVICES__PASSWORD": PASSWORD,
            "KAFKA__BOOTSTRAP_SERVERS": self.settings.bootstrap_servers,
            "KAFKA__TOPIC_PREFIX": self.prefix,
            "KAFKA__PARTITIONS": "3",
            "KAFKA__REQUEST_TIMEOUT": str(KAFKA_TIMEOUT),
            "HTTP__PORT": "0",
            **changes,
        }
        return {f"BRIDGE_{name}": value for name, value in variables.items() if value}

    async def bridge(self, *options: str, **changes: str) -> BridgeProcess:
        """Start a bridge with these options of `bridge run`; it is not ready yet."""
        log = self.directory / f"bridge-{len(self.bridges)}.log"
        environment = self.environment(**changes)
        if self.rig is None:
            bridge = BridgeProcess(environment, log, options, own_interpreter=self.own_interpreter)
        else:
            environment |= self.rig.environment(changes.get("FLEET__REPLICA", ""))
            bridge = BridgeProcess(environment, log, options, rig=self.rig.module)
        self.bridges.append(bridge)
        await bridge.start()
        return bridge

    async def ready_bridge(self, *options: str, **changes: str) -> BridgeProcess:
        """Start a bridge, and wait until it is ready."""
        bridge = await self.bridge(*options, **changes)
        await bridge.ready()
        return bridge

    async def client_ids(self) -> set[str]:
        """The CometD sessions that the server has."""
        return {session.client_id for session in await self.web.sessions()}

    async def arrived(self, count: int, *, within: float = 30) -> None:
        """Wait until `count` of the ledger's events are in Kafka."""
        async with asyncio.timeout(within):
            await self.ledger.arrived(count)

    async def caught_up(self) -> None:
        """Wait until every event of the load up to this moment, its running round included, is in Kafka."""
        await self.arrived(self.ledger.taken)

    async def settled(self, *, within: float = 45, doubles: bool = False) -> Account:
        """Wait until nothing is missing, end the bridge as planned, and return the account, which must be right.

        Only after the bridge's end can nothing come twice any more. `within` is 0 where the test has waited already.
        """
        if within:
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self.ledger.complete()
        for bridge in self.bridges:
            if not bridge.ended:
                exit_ = await bridge.terminate()
                assert exit_.status == 0, bridge.output()[-2000:]
                assert exit_.seconds < EXIT_LIMIT
        account = await self.ledger.account()
        faults = account.faults(doubles=doubles)
        assert not faults, "\n".join([*faults, self.bridges[-1].output()[-3000:]])
        return account

    @asynccontextmanager
    async def load(self, *, rate: int = 300, keys: int = 50) -> AsyncIterator[None]:
        """A steady load of `rate` events/s (a multiple of twice `keys`) beside the block; waits for a dead server.

        The block begins when the first of them is in Kafka.
        """

        async def publish() -> None:
            try:
                await self.ledger.generate(round(rate * _SLICE), keys=keys, rate=rate)
            except NETWORK:
                await asyncio.sleep(0.1)

        async with self._beside(publish):
            yield

    @asynccontextmanager
    async def load_of(self, handles: Mapping[str, int], *, events: int) -> AsyncIterator[None]:
        """A steady load beside the block: for each user `events`, from a first record handle on, ten times a second.

        `handles` has the first record handle of each user. The block begins when the first event is in Kafka.
        """

        async def publish() -> None:
            for user, handle in handles.items():
                await self.ledger.publish(events, user=user, first_handle=handle)
            await asyncio.sleep(0.1)

        async with self._beside(publish):
            yield

    @asynccontextmanager
    async def _beside(self, publish: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Repeat `publish` beside the block, which begins when the first event is in Kafka."""
        stop = asyncio.Event()

        async def repeat() -> None:
            while not stop.is_set():
                await publish()

        publishing = asyncio.create_task(repeat())  # no TaskGroup: a failed assertion should come out as it is
        try:
            await self.arrived(1)
            yield
        finally:
            stop.set()
            await publishing


@asynccontextmanager
async def killed(kafka: RealKafka) -> AsyncIterator[None]:
    """Kafka ends with SIGKILL, and is started again afterwards."""
    await kafka.kill()
    try:
        yield
    finally:
        await kafka.restart()


@asynccontextmanager
async def paused(kafka: RealKafka) -> AsyncIterator[None]:
    """Kafka hangs, and goes on afterwards."""
    await kafka.pause()
    try:
        yield
    finally:
        await kafka.resume()
