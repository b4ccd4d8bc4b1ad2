"""The replicas of a fleet as processes, and three of them that share one account."""

import asyncio
import sys
import time
from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Self

import msgspec
import pytest

from bridge.delivery import slot_of
from tests.faults.bridge_process import BridgeProcess
from tests.faults.site import Site
from tests.waiting import pause_after

CONNECTED = {"connected", "holding"}
UNATTENDED = pytest.mark.parametrize("web", [{"max_interval": 20.0}], indirect=True)
"""A busy machine can take longer than 10 s for a takeover. `tests.faults.takeover_times` measures the times."""
UNATTENDED_TWICE = pytest.mark.parametrize("web", [{"max_interval": 40.0}], indirect=True)
"""The session waits for two takeovers, because the first new owner hangs too, or for a start of the whole fleet."""


async def replica_of(site: Site, number: int, /, **changes: str) -> BridgeProcess:
    """Start a replica. It is not ready yet."""
    return await site.bridge(FLEET__ENABLED="true", FLEET__REPLICA=f"replica-{number}", **changes)


async def start(site: Site, **changes: str) -> list[BridgeProcess]:
    """Start three replicas at the same time, and wait until all are ready."""
    replicas = [await replica_of(site, number, **changes) for number in range(3)]
    await asyncio.gather(*(one.ready(within=60) for one in replicas))
    return replicas


async def sessions(replica: BridgeProcess) -> list[dict[str, Any]]:
    """What the replica tells of the CometD sessions that it relays."""
    _, body = await replica.get("/sessions")
    return msgspec.json.decode(body, type=list[dict[str, Any]])


async def stands_by(replica: BridgeProcess) -> bool:
    """Whether the replica relays no account."""
    return await sessions(replica) == []


async def owner(replicas: Sequence[BridgeProcess], *, within: float = 30) -> BridgeProcess:
    """Wait until one of the replicas relays the account, connected."""
    deadline = time.monotonic() + within
    while (began := time.monotonic()) < deadline:
        for replica in replicas:
            shown = await sessions(replica)
            if shown and shown[0]["state"] in CONNECTED:
                return replica
        await pause_after(began, least=0.05)
    raise AssertionError(f"no owner within {within} s\n{replicas[0].output()[-3000:]}")


async def handshakes(replicas: Collection[BridgeProcess]) -> int:
    """How many CometD handshakes the replicas have tried."""
    return sum([await one.handshakes() for one in replicas])


def told(line: str) -> None:
    """Show a measured time with `pytest -s`."""
    sys.stderr.write(f"{line}\n")


@dataclass
class OneAccount:
    """Three replicas that share one account, as a scenario finds them: one relays, and two stand by."""

    site: Site
    replicas: list[BridgeProcess]
    first: BridgeProcess
    """The replica that relays the account at the beginning."""
    opened: set[str]
    """The CometD session of the beginning."""
    shaken: dict[BridgeProcess, int]
    """The handshakes of each replica up to the beginning."""

    @classmethod
    async def of(cls, site: Site, replicas: list[BridgeProcess]) -> Self:
        """Return these ready replicas as the beginning of a scenario."""
        first = await owner(replicas)
        return cls(site, replicas, first, await site.client_ids(), {one: await one.handshakes() for one in replicas})

    @property
    def others(self) -> list[BridgeProcess]:
        """All replicas but the first."""
        return [one for one in self.replicas if one is not self.first]

    def load(self) -> AbstractAsyncContextManager[None]:
        """A steady load of 300 events/s beside the block."""
        return self.site.load()

    def takeovers(self) -> int:
        """How often a replica has begun to relay the account, the first time included."""
        slot = slot_of("agent", self.site.settings.slots)
        lines = [line for one in self.site.bridges for line in one.events("fleet-assignment")]
        return sum(slot in _numbers(line["taken_over"]) for line in lines)

    def displaced(self) -> int:
        """How often a poll of a replica was ended because another one polled the same session."""
        lines = [line for one in self.site.bridges for line in one.events("cometd-disconnected")]
        return sum(line["reason"] == "http-408" for line in lines)

    async def back_to_standing_by(self, replica: BridgeProcess) -> None:
        """Wait until the replica relays nothing, and is ready."""
        await replica.until(lambda: stands_by(replica), within=20, what="standing by")
        await replica.ready()

    async def same_session(self) -> None:
        """No living replica has opened a session, and the server has the first one."""
        for one in self.replicas:
            if not one.ended:
                assert await one.handshakes() == self.shaken.get(one, 0)
        assert await self.site.client_ids() == self.opened

    async def unharmed(self) -> None:
        """End the scenario: the session is the same, and each event of the ledger is in Kafka once."""
        await self.same_session()
        assert (await self.site.settled()).changes == ["opened"]


def _numbers(value: object) -> list[int]:
    assert isinstance(value, list)
    return value
