"""Web Services as a real CometD 3 server: cometd/src, compiled by `tests/real/install`."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import aiohttp
import msgspec

from tests.real.process import BUILD, ServerProcess, free_port
from tests.real.server import RealServer

_CLASSES = BUILD / "classes"
_JARS = BUILD / "cometd"
_CONTROL_TIMEOUT = 30.0
_T = TypeVar("_T")


class SessionView(msgspec.Struct, frozen=True, rename="camel"):
    """One CometD session as the server sees it; `queued` counts what it holds, unacknowledged events too."""

    client_id: str
    user: str
    queued: int
    subscriptions: list[str]
    connected: bool


class ForwardedOperation(msgspec.Struct, frozen=True):
    """One POST to /me or /me/outbound-records; `at` in seconds since the epoch."""

    path: str
    body: dict[str, object]
    at: float


class _Count(msgspec.Struct, frozen=True):
    published: int = 0
    expired: int = 0
    dropped: int = 0


@dataclass(frozen=True)
class RealFaults:
    """The server's operation faults, by the lines that the simulator takes too, such as "status-4:rest:2".

    Faults of the connection are not here: a `FaultProxy` before the server makes them.
    """

    _server: "RealWebServices"

    async def add(self, *lines: str) -> None:
        """Switch faults on. An unknown one fails with aiohttp.ClientResponseError."""
        await self._server.control("POST", "/faults", "\n".join(lines), object)

    async def clear(self) -> None:
        """Switch all of them off."""
        await self._server.control("DELETE", "/faults", None, object)


class RealWebServices(RealServer):
    """The server as a process, steered by its /simulator paths; `restart` keeps its port and options."""

    name = "the Web Services server"
    prefix = "bridge-web-services-"

    def __init__(self, *, classes: Path = _CLASSES, jars: Path = _JARS) -> None:
        """Nothing is started yet. `jars`: those of CometD's version, for which `classes` were compiled."""
        super().__init__()
        self._classpath = f"{classes}:{jars / '*'}"
        self.faults = RealFaults(self)
        self._arguments: list[str] = []
        self._heap = "1g"

    @property
    def url(self) -> str:
        """The base URL, without /api/v2; valid after `start`."""
        return f"http://127.0.0.1:{self._port}"

    async def start(
        self,
        *,
        port: int = 0,
        users: Mapping[str, str] | None = None,
        ack_extension: bool = True,
        csrf: bool = True,
        timeout: float = 30.0,  # noqa: ASYNC109 - the server's long-poll timeout, not this call's
        max_interval: float = 10.0,
        acknowledgement_delay: float = 0.02,
        heap: str = "1g",
    ) -> None:
        """Start the server; returns when it listens. Times in seconds; `users`: name to password, default agent/secret.

        `heap` is Java's: a million events that wait take 1.5 GB.

        Raises:
            StartFailed: with the end of its output.
        """
        self._port, self._heap = port or free_port(), heap
        options = {
            "port": str(self._port),
            "users": ",".join(f"{name}:{password}" for name, password in (users or {"agent": "secret"}).items()),
            "ack": "on" if ack_extension else "off",
            "csrf": "on" if csrf else "off",
            "timeout": str(round(timeout * 1000)),
            "max-interval": str(round(max_interval * 1000)),
            "acknowledgement-delay": str(round(acknowledgement_delay * 1000)),
        }
        self._arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        await super().start()

    async def publish(self, channel: str, data: object, *, user: str | None = None) -> None:
        """Queue an event for every subscribed session of the user (None: of any)."""
        await self.publish_all([(channel, data)], user=user)

    async def publish_all(self, messages: Sequence[tuple[str, object]], *, user: str | None = None) -> None:
        """Queue several events together: a parked poll gets them in one reply."""
        order = {"messages": [{"channel": channel, "data": data, "user": user} for channel, data in messages]}
        await self.control("POST", "/publish", order, _Count)

    async def generate(
        self,
        count: int,
        *,
        keys: int = 1000,
        start: int = 0,
        rate: float = 0.0,
        pad: int = 0,
        channel: str = "/v2/me/outbound",
        in_turn: bool = False,
        mixed: bool = False,
    ) -> None:
        """Let the server publish acknowledgements of its own making; returns when all are published.

        recordHandle is i % keys, referenceId str(start + i), sentAt the time in ms since the epoch with its fraction.
        `rate`: events/s, 0 for as fast as it goes. `pad`: bytes added to each. Every session gets each event; with
        `in_turn` one session gets it, the next session the next event, and so on. With `mixed` every second event of a
        session is a user event on /me/internal, and the recordHandle of each event is start + i.
        """
        order = {
            "generate": count,
            "keys": keys,
            "start": start,
            "rate": rate,
            "pad": pad,
            "channel": channel,
            "inTurn": in_turn,
            "mixed": mixed,
        }
        expected = count / rate if rate else count / 1_000
        await self.control("POST", "/publish", order, _Count, deadline=expected + _CONTROL_TIMEOUT)

    async def reset(self) -> None:
        """Make the server one that was just started: without sessions, logins, operations, faults and new passwords."""
        await self.control("POST", "/reset", None, object)

    async def expire_sessions(self) -> int:
        """Let the server forget every CometD session with its queue; a parked poll stays parked. Returns how many."""
        return (await self.control("POST", "/expire-sessions", None, _Count)).expired

    async def drop_logins(self) -> int:
        """Make every JSESSIONID invalid; returns how many there were."""
        return (await self.control("POST", "/drop-logins", None, _Count)).dropped

    async def change_password(self, user: str, password: str) -> None:
        """Accept only this password in the user's later logins; those that are open stay open."""
        await self.control("POST", "/password", {"user": user, "password": password}, object)

    async def sessions(self) -> list[SessionView]:
        """The CometD sessions that the server knows."""
        return await self.control("GET", "/sessions", None, list[SessionView])

    async def operations(self) -> list[ForwardedOperation]:
        """The operations posted since the server started, oldest first."""
        return await self.control("GET", "/operations", None, list[ForwardedOperation])

    async def control(
        self, method: str, path: str, body: object, reply: type[_T], *, deadline: float = _CONTROL_TIMEOUT
    ) -> _T:
        """Call one /simulator path; text is sent as it is, anything else as JSON.

        Raises:
            aiohttp.ClientResponseError: the server refused it.
            TimeoutError: no answer within `deadline` seconds.
        """
        content = body.encode() if isinstance(body, str) else msgspec.json.encode(body)
        timeout = aiohttp.ClientTimeout(total=deadline)
        async with (
            aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as client,
            client.request(method, f"{self.url}/simulator{path}", data=None if body is None else content) as response,
        ):
            return msgspec.json.decode(await response.read(), type=reply)

    async def _launch(self, directory: Path) -> None:
        command = [*self._program(), *self._arguments]
        self._process = ServerProcess(command, log=directory / "output.log", name=self.name)
        await self._process.ready(self._listens, deadline=30)

    def _program(self) -> list[str]:
        """The command without its arguments."""
        return ["java", f"-Xmx{self._heap}", "-cp", self._classpath, "webservices.WebServicesServer"]

    async def _listens(self) -> bool:
        output = await asyncio.to_thread(self._running().output)
        return f"listening {self._port}\n" in output
