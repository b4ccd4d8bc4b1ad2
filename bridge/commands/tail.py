"""`bridge tail`: prints the published events as they arrive."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError

from bridge.commands.output.reading import read_json
from bridge.commands.output.views import Lines
from bridge.commands.process import run_to_end, stop_on_signals
from bridge.delivery import topic_name
from bridge.errors import CommandFailed
from bridge.events import TOPICS
from bridge.observability import configure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.settings import Kafka, Settings


def run_tail(
    settings: Settings, topics: Sequence[str], *, from_beginning: bool, events: int | None, as_json: bool
) -> None:
    """Print the committed events of `topics` until a signal. Without `topics`, print the events of all event topics.

    A topic may be given without its prefix. The command joins no consumer group and does not disturb a running bridge.

    Raises:
        CommandFailed: Kafka can't be reached or read.
    """
    configure("console", "warning")
    names = [whole_name(settings.kafka, topic) for topic in topics]
    run_to_end(_tail(settings.kafka, names, from_beginning=from_beginning, events=events, as_json=as_json))


def whole_name(settings: Kafka, topic: str) -> str:
    """Return a topic's name in Kafka: an event topic gets the prefix, another name does not change."""
    return topic_name(settings, topic) if topic in TOPICS else topic


def unreadable(settings: Kafka, error: BaseException) -> CommandFailed:
    """Return the error for a failed read from Kafka."""
    cause = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    return CommandFailed(f"Kafka at {settings.bootstrap_servers} can't be read ({cause}); see `bridge check`")


async def _tail(
    settings: Kafka, topics: Sequence[str], *, from_beginning: bool, events: int | None, as_json: bool
) -> None:
    stop = stop_on_signals()
    tasks = [
        asyncio.create_task(_print(settings, topics, from_beginning=from_beginning, events=events, as_json=as_json)),
        asyncio.create_task(stop.wait()),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


async def _print(
    settings: Kafka, topics: Sequence[str], *, from_beginning: bool, events: int | None, as_json: bool
) -> None:
    lines = Lines(as_json=as_json)
    left = events
    try:
        async with aclosing(read_json(settings, topics or None, from_beginning=from_beginning)) as records:
            async for record in records:
                lines.show(record)
                if left is not None:
                    left -= 1
                    if left == 0:
                        return
    except BrokenPipeError:
        raise
    except (KafkaError, OSError) as error:  # TimeoutError is an OSError
        raise unreadable(settings, error) from None
