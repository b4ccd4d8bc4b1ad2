"""Runs the bridge with an embedded Kafka broker and a simulated Web Services in one process, or starts a fleet."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr
from rich.console import Console

from bridge.app import Bridge
from bridge.commands.demo.calls import curl, keep_calling
from bridge.commands.demo.events import SILENCE, events
from bridge.commands.demo.fleet import ACCOUNTS, PASSWORD, play_fleet
from bridge.commands.output.views import Lines, LiveTable
from bridge.commands.process import run_to_end, stop_on_signals
from bridge.delivery import create_missing_topics
from bridge.errors import CommandFailed, installation_of
from bridge.observability import configure
from bridge.settings import Http, Kafka, Settings, WebServices
from bridge.simulator import EmbeddedBroker, Simulator

if TYPE_CHECKING:
    from bridge.commands.output.views import View
    from bridge.settings import Log

USERNAME: Final = ACCOUNTS[0]
READY_POLL: Final = 0.02
END: Final = 10.0
"""Seconds that the bridge may take to end."""


def run_demo(*, limit: int | None, replicas: int, as_json: bool, log: Log) -> None:
    """Show events from Kafka until a signal (SIGTERM, SIGINT) or until `limit` events were shown (None: no limit).

    With several `replicas`, show a fleet, kill one of its replicas, and end after another replica has taken over.

    Raises:
        CommandFailed: the embedded broker is not installed, or no event arrived.
    """
    configure(log.format, log.level)
    run_to_end(_demo(limit, replicas, as_json=as_json, log=log))


async def _demo(limit: int | None, replicas: int, *, as_json: bool, log: Log) -> None:
    stop = stop_on_signals()
    broker = EmbeddedBroker()
    try:
        await asyncio.to_thread(broker.start)
    except ModuleNotFoundError:
        raise CommandFailed(
            f"bridge demo needs an embedded broker, the extra `demo`; {installation_of('demo')}"
        ) from None
    try:
        async with Simulator(users=dict.fromkeys(ACCOUNTS, PASSWORD)) as upstream:
            kafka = Kafka(bootstrap_servers=broker.bootstrap, check_crcs=False, partitions=4)
            if replicas > 1:
                await play_fleet(upstream, kafka, replicas, limit, stop, as_json=as_json, log=log)
                return
            settings = Settings(
                web_services=WebServices(url=upstream.url, username=USERNAME, password=SecretStr(PASSWORD)),
                kafka=kafka,
                http=Http(port=0),
                log=log,
            )
            await _play(settings, limit, stop, as_json=as_json)
    finally:
        broker.stop()


async def _play(settings: Settings, limit: int | None, stop: asyncio.Event, *, as_json: bool) -> None:
    """Run the bridge, the calls and the consumer together, until one of the three ends or `stop` is set."""
    bridge = Bridge(settings)
    end = asyncio.Event()
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(bridge.run(end, disconnect_on_exit=True, listening=listening.set_result))
    beside = [
        asyncio.create_task(_call(bridge, listening)),
        asyncio.create_task(_show(settings, listening, limit, as_json=as_json)),
        asyncio.create_task(stop.wait()),
    ]
    try:
        await asyncio.wait([running, *beside], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in beside:
            task.cancel()
        await asyncio.wait(beside)
        end.set()
        _, late = await asyncio.wait([running], timeout=END)
        running.cancel()
        await asyncio.wait([running])
    for task in (*beside, running):
        if not task.cancelled():
            task.result()
    if late:
        raise CommandFailed(f"the bridge did not end within {END:g} s")


async def _call(bridge: Bridge, listening: asyncio.Future[str]) -> None:
    url = await asyncio.shield(listening)
    try:
        async with asyncio.timeout(SILENCE):
            while bridge.status.readiness():  # noqa: ASYNC110 -- the bridge has no event for readiness
                await asyncio.sleep(READY_POLL)
    except TimeoutError:
        missing = "; ".join(f"{one.name}: {one.reason}" for one in bridge.status.readiness())
        raise CommandFailed(f"the bridge was not ready within {SILENCE:g} s: {missing}") from None
    await keep_calling(lambda: [url])


async def _show(settings: Settings, listening: asyncio.Future[str], limit: int | None, *, as_json: bool) -> None:
    console = Console(stderr=as_json)
    console.print(_invitation(await asyncio.shield(listening), settings), soft_wrap=True, highlight=False, markup=False)
    view: View = LiveTable(console) if console.is_terminal and not as_json else Lines(as_json=as_json, console=console)
    await create_missing_topics(settings.kafka)
    shown = 0
    with view:
        async with aclosing(events(settings.kafka)) as records:
            async for record in records:
                view.show(record)
                shown += 1
                if shown == limit:
                    break
    console.print(f"{shown} events read back from Kafka.", highlight=False)


def _invitation(url: str, settings: Settings) -> str:
    upstream, kafka = settings.web_services.url, settings.kafka.bootstrap_servers
    return f"""Console: {url}/console
Simulated Web Services {upstream}, embedded Kafka {kafka}, bridge {url}
While the demo runs, try: {url}/docs  {url}/metrics  {url}/sessions  {url}/health/ready
{curl(url)}
"""
