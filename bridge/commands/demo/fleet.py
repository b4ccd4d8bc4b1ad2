"""Shows a fleet: several replicas as processes. One replica is killed, and another replica takes over."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import aiohttp
from rich.console import Console
from rich.table import Table

from bridge.commands.demo.calls import keep_calling
from bridge.commands.demo.events import events
from bridge.commands.demo.replica import Replica
from bridge.commands.output.views import Lines, LiveTable
from bridge.errors import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bridge.commands.output.views import View
    from bridge.settings import Kafka, Log
    from bridge.simulator import Simulator

ACCOUNTS: Final = ("agent", "north", "south", "west")
"""The accounts of the simulator. The embedded broker has four slots, and the accounts hash to different slots. So in a
fleet of up to four replicas, each replica relays one account."""
PASSWORD: Final = "secret"  # noqa: S105 -- the password of the simulator
SESSION_TIMEOUT: Final = 3
"""Seconds. A rebalance on the embedded broker takes this time minus 1 s, and much less on a real broker. With 3 s a
takeover takes about as long as on a real broker with the default of 6 s."""
START: Final = 60.0
"""Seconds that the replicas may take to start and to share the accounts."""
TAKEOVER: Final = 60.0
"""Seconds that the takeover may take."""
EVENTS: Final = 200
"""Number of events that counts as the limit if there is no limit. A replica is killed after half of the limit."""
AFTER: Final = 10.0
"""Seconds for which the demo continues after the takeover, if there is no limit for the events."""
LAST: Final = 10.0
"""Seconds that the events of the last calls may take to arrive."""
TICK: Final = 0.1
ROWS: Final = 10
RELAYED: Final = (".acknowledgements.v1", ".user-events.v1")
CONNECTED: Final = ("connected", "holding")
EVENTS_OF_A_CALL: Final = 2
"""Number of events that Web Services sends for each accepted call: an acknowledgement and a user event."""


async def play_fleet(
    upstream: Simulator,
    kafka: Kafka,
    count: int,
    limit: int | None,
    stop: asyncio.Event,
    *,
    as_json: bool,
    log: Log,
) -> None:
    """Show the fleet until `limit` events were shown and a replica was replaced, or until `stop` is set.

    Raises:
        CommandFailed: the fleet did not start or did not take over in time, a replica ended by itself, or no event
            arrived.
    """
    console = Console(stderr=as_json)
    names = [f"bridge-{number + 1}" for number in range(count)]
    replicas = [Replica(name, _environment(upstream, kafka, name, ACCOUNTS[:count]), log.level) for name in names]
    async with aiohttp.ClientSession() as client:
        scene = _Scene(upstream, kafka, replicas, client, console)
        play = asyncio.create_task(scene.play(limit, as_json=as_json))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([play, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (play, stopped):
                task.cancel()
            await asyncio.wait([play, stopped])
            await asyncio.gather(*(replica.end() for replica in replicas))
        if not play.cancelled() and (error := play.exception()) is not None:
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            raise error


def _environment(upstream: Simulator, kafka: Kafka, replica: str, accounts: Sequence[str]) -> dict[str, str]:
    known = [{"name": name, "username": name, "password": PASSWORD} for name in accounts]
    return {
        "BRIDGE_WEB_SERVICES__URL": upstream.url,
        "BRIDGE_ACCOUNTS": json.dumps(known),
        "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "BRIDGE_KAFKA__CHECK_CRCS": "false",
        "BRIDGE_KAFKA__PARTITIONS": str(kafka.partitions),
        "BRIDGE_HTTP__PORT": "0",
        "BRIDGE_FLEET__ENABLED": "true",
        "BRIDGE_FLEET__REPLICA": replica,
        "BRIDGE_FLEET__SESSION_TIMEOUT": str(SESSION_TIMEOUT),
    }


class _Scene:
    """The fleet, its calls, and the output for the viewer."""

    def __init__(
        self,
        upstream: Simulator,
        kafka: Kafka,
        replicas: Sequence[Replica],
        client: aiohttp.ClientSession,
        console: Console,
    ) -> None:
        self._upstream = upstream
        self._kafka = kafka
        self._replicas = replicas
        self._accounts = ACCOUNTS[: len(replicas)]
        self._client = client
        self._console = console
        self._sessions: dict[str, tuple[str, str]] = {}
        """The replica that relays each account, connected, and the hash of its session."""
        self._handshakes = 0
        """The number of handshakes until the replicas shared the accounts."""
        self._shown = 0
        self._kill_after = 0
        self._half_shown = asyncio.Event()
        self._ids: list[str] = []
        """The `ce_id` of each event of Web Services that was shown."""
        self._sent = 0
        """The number of events that Web Services had sent when `_complete` looked. A late call may cause more later."""

    @property
    def _alive(self) -> list[Replica]:
        return [replica for replica in self._replicas if replica.alive]

    async def play(self, limit: int | None, *, as_json: bool) -> None:
        """Start the fleet, show events, kill a replica, and show the takeover."""
        self._kill_after = max(1, (limit or EVENTS) // 2)
        self._tell(f"Starting {len(self._replicas)} bridges, each in a separate process ...")
        await asyncio.gather(*(replica.start() for replica in self._replicas))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(replica.watch()) for replica in self._replicas]
            await self._until(self._shared, within=START, what="the bridges did not share the accounts")
            self._handshakes = self._upstream.handshakes
            self._introduce()
            view: View = Lines(as_json=as_json)
            if self._console.is_terminal and not as_json:
                view = LiveTable(self._console, rows=ROWS, above=self._table)
            with view:
                calling = group.create_task(keep_calling(lambda: [one.url for one in self._alive], self._accounts))
                reading = group.create_task(self._read(view, limit))
                await self._half_shown.wait()
                await self._replace_one()
                if limit is None:
                    await asyncio.sleep(AFTER)
                    calling.cancel()
                    await self._until(self._complete, within=LAST, what="not every event of Web Services arrived")
                    reading.cancel()
                await asyncio.wait([reading])
            for task in (*tasks, calling):
                task.cancel()
        self._conclude(complete=limit is None)

    async def _read(self, view: View, limit: int | None) -> None:
        async with aclosing(events(self._kafka)) as records:
            async for record in records:
                view.show(record)
                self._shown += 1
                if record.topic.endswith(RELAYED):
                    self._ids.append(record.headers["ce_id"].decode())
                if self._shown == self._kill_after:
                    self._half_shown.set()
                if self._shown == limit:
                    return

    async def _replace_one(self) -> None:
        """Kill the replica that relays the first account, and wait until other replicas relay its accounts."""
        before = dict(self._sessions)
        name, _ = before[self._accounts[0]]
        [victim] = [replica for replica in self._alive if replica.name == name]
        lost = [account for account, (replica, _) in before.items() if replica == name]
        for account in lost:
            del self._sessions[account]
        began = time.monotonic()
        await victim.kill()
        self._tell(f"{_clock()}  {name} was killed (kill -9 {victim.pid}). It relayed {', '.join(lost)}.")
        await self._until(self._all_relayed, within=TAKEOVER, what=f"no bridge took over what {name} relayed")
        took = time.monotonic() - began
        for account in lost:
            successor, session = self._sessions[account]
            same = "the same" if session == before[account][1] else "a new"
            self._tell(f"{_clock()}  {successor} relays {account} after {took:.1f} s, in {same} CometD session.")

    # -- the state of the fleet ---------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Ask the living replicas for their sessions."""
        alive = self._alive
        replies = await asyncio.gather(*(replica.get(self._client, "/sessions") for replica in alive))
        self._sessions |= {
            one["account"]: (replica.name, one["session"])
            for replica, reply in zip(alive, replies, strict=True)
            for one in reply or ()
            if one["state"] in CONNECTED
        }

    async def _all_relayed(self) -> bool:
        await self._look()
        return self._sessions.keys() == set(self._accounts)

    async def _shared(self) -> bool:
        """Whether each replica is ready and relays an account."""
        self._sessions.clear()
        if not await self._all_relayed() or len({replica for replica, _ in self._sessions.values()}) < len(self._alive):
            return False
        return all([await replica.get(self._client, "/health/ready") for replica in self._alive])

    async def _complete(self) -> bool:
        """Whether all events that Web Services has sent were shown.

        After a lost session, missing events are accepted.
        """
        self._sent = EVENTS_OF_A_CALL * sum(one.status_code == 0 for one in self._upstream.operations)
        return self._opened_anew > 0 or len(set(self._ids)) == self._sent

    @property
    def _opened_anew(self) -> int:
        """The number of CometD sessions that were opened since the replicas shared the accounts."""
        return self._upstream.handshakes - self._handshakes

    async def _until(self, condition: Callable[[], Awaitable[bool]], *, within: float, what: str) -> None:
        """Wait until the condition holds.

        Raises: CommandFailed: the condition did not hold within `within` seconds. `what` is the error's text.
        """
        try:
            async with asyncio.timeout(within):
                while not await condition():  # noqa: ASYNC110 -- other processes have no event for it
                    await asyncio.sleep(TICK)
        except TimeoutError:
            raise CommandFailed(f"{what} within {within:g} s") from None

    # -- what the viewer sees -----------------------------------------------------------------------------------------

    def _tell(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, highlight=False, markup=False)

    def _introduce(self) -> None:
        url = self._replicas[0].url
        for replica in self._replicas:
            own = [account for account, (name, _) in self._sessions.items() if name == replica.name]
            self._tell(f"  {replica.name}  process {replica.pid:<7}  {replica.url}  relays {', '.join(own)}")
        self._tell(
            f"Simulated Web Services {self._upstream.url}, embedded Kafka {self._kafka.bootstrap_servers}\n"
            f"While the demo runs, try: curl {url}/fleet\n"
            f"                          curl '{url}/sessions?scope=fleet'\n"
            f"The calls go to all bridges in turn. After {self._kill_after} events, one bridge is killed.\n"
        )

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for name in ("bridge", "process", "state", "relays"):
            table.add_column(name, no_wrap=True)
        for replica in self._replicas:
            own = [account for account, (name, _) in self._sessions.items() if name == replica.name]
            state = "running" if replica.alive else "killed"
            table.add_row(replica.name, str(replica.pid), state, ", ".join(own))
        waiting = [account for account in self._accounts if account not in self._sessions]
        if waiting:
            table.add_row("(none yet)", "", "", ", ".join(waiting))
        return table

    def _conclude(self, *, complete: bool) -> None:
        """Print a summary. With `complete`, all events that Web Services has sent were shown.

        Raises:
            CommandFailed: an event was shown twice.
        """
        twice = len(self._ids) - len(set(self._ids))
        if twice:
            raise CommandFailed(f"{twice} of {len(self._ids)} events of Web Services came twice")
        self._tell(f"{self._shown} events read back from Kafka.")
        sent = f" Web Services has sent {self._sent}" if complete else ""
        if sent:
            sent += ". A gap event reports the loss." if self._opened_anew else ", so none is missing."
        self._tell(f"{len(self._ids)} of them are events of Web Services, none twice.{sent}")
        self._tell(f"CometD sessions opened anew since the start: {self._opened_anew}.")


def _clock() -> str:
    """Return the time of day, UTC, as in the column of the events."""
    return datetime.now(UTC).strftime("%H:%M:%S.%f")[:-3]
