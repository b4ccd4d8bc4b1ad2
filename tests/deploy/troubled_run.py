"""A replica between the simulator and the real Kafka in bad times: every kind of trouble that a metric tells of."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiokafka import AIOKafkaProducer

from bridge.simulator import Fault, Simulator
from tests import page
from tests.faults.bridge_process import BridgeProcess
from tests.faults.requests import BODY, HEADERS
from tests.faults.site import killed
from tests.real import RealKafka

PASSWORD = "correct-horse-battery"
RECORDS = "/api/v2/me/outbound-records"
TOO_LARGE = 1_200_000
"""Bytes: more than Kafka takes."""
SLOTS = 6
DEADLINE = 60.0
"""Seconds that the bridge may take to show or to leave a trouble; between two handshakes it may wait for 30."""
_TICK = 0.1
_EVENTS = {"agent": 5, "care": 1}
"""How many events each user gets in a tick."""


class TroubledRun:
    """`go` takes the bridge through all troubles, one after the other; each is awaited, never slept for.

    Account `sales` carries most of the traffic, `care` little, and the password of `locked` is wrong.
    """

    def __init__(
        self, kafka: RealKafka, prefix: str, web: Simulator, bridge: BridgeProcess, other: BridgeProcess
    ) -> None:
        self.kafka = kafka
        self._prefix = prefix
        self.web = web
        self.bridge = bridge
        self.other = other
        """Another replica of the fleet, which runs only for a moment."""
        self._references = itertools.count()

    @asynccontextmanager
    async def traffic(self) -> AsyncIterator[None]:
        """Events and calls beside the block."""
        tasks = [asyncio.create_task(self._events()), asyncio.create_task(self._calls())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def go(self, scraped: Callable[[], Awaitable[None]]) -> None:
        """Everything once, for about 35 s. `scraped` returns once the state of now can be seen in Prometheus.

        A counter keeps what has happened; a gauge shows a trouble only while it lasts.
        """
        await self._struck(Fault("forbidden-5", on="rest", times=1), "bridge_operations_total", outcome="rejected")
        await self._struck(Fault("html-503", on="rest", times=1), "bridge_operation_retries_total")
        await self._struck(Fault("html-503", on="rest"), "bridge_operations_total", outcome="failed")
        late = Fault("acknowledgement-late", on="rest", times=1, delay=3)
        await self._struck(late, "bridge_operations_total", outcome="acknowledged-late")
        async with self._grows("bridge_cometd_watchdog_steps_total", step="probe"):
            self.web.faults.add(Fault("acknowledgement-missing", on="rest"))
            await self.call(account="care")
            self.web.faults.clear()
        async with self._grows("bridge_events_received_total", kind="unrecognized"):
            self.web.publish("/v2/me/other", {"messageType": "Unheard"})
        async with self._grows("bridge_events_dead_lettered_total", reason="too-large"):
            large = page.USER_EVENT["data"] | {"userData": {"GSW_PHONE": "3001", "note": "x" * TOO_LARGE}}
            self.web.publish(page.USER_EVENT["channel"], large, user="agent")
        async with self._grows("bridge_cometd_gaps_total", account="sales"):
            self.web.faults.add(Fault("refuse-subscription", on="subscribe"))
            self.web.expire_sessions()
            await self._until("bridge_cometd_subscriptions_refused", 1, account="sales")
            await scraped()
            self.web.faults.clear()
        await self._until("bridge_evidence_at_risk", 1)
        async with self._grows("bridge_requests_total", result="rejected"):
            await self.request({})
        self.web.faults.add(Fault("reset"))
        await self._until("bridge_requests_paused", 1, reason="web-services")
        await self.request({"account": "sales", "recordHandle": 13, "request": BODY})
        await self._until("bridge_requests_lag", 1)
        await scraped()
        self.web.faults.clear()
        await self._until("bridge_cometd_connected", 2)
        async with killed(self.kafka):
            await self._until("bridge_cometd_hold_seconds", 4, account="sales")
        await self._until("bridge_kafka_connected", 3)  # of no account a batch is held any more
        await self._until("bridge_cometd_connected", 2)
        async with self._grows("bridge_fleet_handovers_total", reason="orphaned"):
            await self.other.start()
            await self._until("bridge_fleet_members", 2)
            await scraped()
            await self.other.terminate()
        await self._until("bridge_fleet_slots_owned", SLOTS)
        await self._until("bridge_cometd_connected", 2)

    async def call(self, *, account: str = "sales") -> None:
        """One DoNotCallRecord; whether it works is not the question here."""
        reference = f"trouble-{next(self._references)}"
        async with (
            aiohttp.ClientSession(self.bridge.url) as client,
            client.post(
                f"{RECORDS}/13",
                json=page.REQUEST | {"referenceId": reference, "campaignName": f"Campaign{reference}"},
                headers={"X-Account": account},
            ) as reply,
        ):
            await reply.read()

    async def request(self, value: object) -> None:
        """Send one request by Kafka to account `sales`."""
        key = f"trouble-{next(self._references)}".encode()
        async with AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap) as producer:
            await producer.send_and_wait(
                f"{self._prefix}.requests.v1", msgspec.json.encode(value), key, headers=[*HEADERS.items()]
            )

    async def _struck(self, fault: Fault, metric: str, **labels: str) -> None:
        """Let a fault strike the calls until the metric tells of it."""
        async with self._grows(metric, **labels):
            self.web.faults.add(fault)
        self.web.faults.clear()

    @asynccontextmanager
    async def _grows(self, metric: str, **labels: str) -> AsyncIterator[None]:
        """Wait after the block until the metric is greater than before."""
        before = await self.bridge.metric(metric, **labels)
        yield
        await self._until(metric, before + 1, **labels)

    async def _until(self, metric: str, least: float, **labels: str) -> None:
        async def reached() -> bool:
            return await self.bridge.metric(metric, **labels) >= least

        await self.bridge.until(reached, within=DEADLINE, what=f"{metric} {labels} at {least:g}")

    async def _events(self) -> None:
        while True:
            for user, count in _EVENTS.items():
                for _ in range(count):
                    self.web.publish(page.USER_EVENT["channel"], page.USER_EVENT["data"], user=user)
            await asyncio.sleep(_TICK)

    async def _calls(self) -> None:
        """Calls one after the other, and looks at what became of them."""
        async with aiohttp.ClientSession(self.bridge.url) as client:
            while True:
                await self.call()
                for path in ("/sessions", "/operations", "/operations/unknown"):
                    async with client.get(path) as reply:
                        await reply.read()
                await asyncio.sleep(_TICK)


@asynccontextmanager
async def troubled_run(kafka: RealKafka, directory: Path) -> AsyncIterator[TroubledRun]:
    """Start the simulator and the bridge; two of its three accounts are connected."""
    async with Simulator(username="agent", password=PASSWORD, users={"care": PASSWORD, "locked": PASSWORD}) as web:
        accounts: list[dict[str, Any]] = [
            {"name": "sales", "username": "agent", "password": PASSWORD},
            {"name": "care", "username": "care", "password": PASSWORD},
            {"name": "locked", "username": "locked", "password": "wrong"},
        ]
        prefix = f"d{time.time_ns()}"
        environment = {
            "BRIDGE_WEB_SERVICES__URL": web.url,
            "BRIDGE_ACCOUNTS": json.dumps(accounts),
            "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap,
            "BRIDGE_KAFKA__TOPIC_PREFIX": prefix,
            "BRIDGE_KAFKA__REQUEST_TIMEOUT": "3",
            "BRIDGE_HTTP__PORT": "0",
            "BRIDGE_OPERATIONS__ACKNOWLEDGEMENT_TIMEOUT": "2",
            "BRIDGE_OPERATIONS__FORWARD_DEADLINE": "2",
            "BRIDGE_OPERATIONS__REQUEST_TOPIC": "true",
            "BRIDGE_FLEET__ENABLED": "true",
        }
        bridge, other = (
            BridgeProcess(environment | {"BRIDGE_FLEET__REPLICA": name}, directory / f"{name}.log")
            for name in ("watched", "other")
        )
        run = TroubledRun(kafka, prefix, web, bridge, other)
        await bridge.start()
        try:
            await run._until("bridge_cometd_connected", 2)
            yield run
        finally:
            for one in (bridge, other):
                if not one.ended:
                    await one.kill()
