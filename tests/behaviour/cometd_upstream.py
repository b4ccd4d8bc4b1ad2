"""The two Web Services that a CometD session must get on with, behind one face."""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from bridge.simulator import Simulator
from tests.real import RealWebServices

_TOGETHER: Final = 5_000


class Upstream(Protocol):
    """Web Services, steered from the test."""

    @property
    def url(self) -> str: ...

    async def publish(self, channel: str, *events: int) -> None:
        """Queue these events together: a parked poll gets them in one reply."""

    async def client_ids(self) -> Sequence[str]:
        """The sessions that the server knows."""

    async def expire_sessions(self) -> None:
        """Forget every session with its queue; parked polls stay parked."""

    async def drop_logins(self) -> None: ...

    async def restart(self) -> None:
        """Die and come back on the same port, without sessions and logins."""

    async def stop(self) -> None: ...


class SimulatedUpstream:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self.url = simulator.url

    async def publish(self, channel: str, *events: int) -> None:
        for event in events:
            self._simulator.publish(channel, event)

    async def client_ids(self) -> Sequence[str]:
        return [session.client_id for session in self._simulator.sessions]

    async def expire_sessions(self) -> None:
        self._simulator.expire_sessions()

    async def drop_logins(self) -> None:
        self._simulator.drop_logins()

    async def restart(self) -> None:
        await self._simulator.stop()
        await self._simulator.start()

    async def stop(self) -> None:
        await self._simulator.stop()


class RealUpstream:
    def __init__(self, server: RealWebServices) -> None:
        self._server = server
        self.url = server.url

    async def publish(self, channel: str, *events: int) -> None:
        for start in range(0, len(events), _TOGETHER):
            await self._server.publish_all([(channel, event) for event in events[start : start + _TOGETHER]])

    async def client_ids(self) -> Sequence[str]:
        return [session.client_id for session in await self._server.sessions()]

    async def expire_sessions(self) -> None:
        await self._server.expire_sessions()

    async def drop_logins(self) -> None:
        await self._server.drop_logins()

    async def restart(self) -> None:
        await self._server.kill()
        await self._server.restart()

    async def stop(self) -> None:
        """The next test may want the server."""


async def simulated(**options: Any) -> Upstream:
    simulator = Simulator(**options)
    await simulator.start()
    return SimulatedUpstream(simulator)
