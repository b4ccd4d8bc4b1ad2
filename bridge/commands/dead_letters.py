"""`bridge dead-letters list`: prints the records that Kafka refused."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import KafkaError
from rich.console import Console

from bridge.commands.output.reading import read_json
from bridge.commands.output.rows import Column, Rows
from bridge.commands.output.topics import find_topics, unreadable
from bridge.commands.output.views import json_line, key_of, short_name, time_of, value_of, visible
from bridge.commands.process import run_to_end
from bridge.events import DEAD_LETTERS
from bridge.observability import configure

if TYPE_CHECKING:
    from bridge.delivery import ConsumedRecord
    from bridge.settings import Kafka

DIGEST: Final = 8
"""Characters of a shortened digest."""
_COLUMNS: Final = (
    Column("time (UTC)", 19),
    Column("reason", 9),
    Column("topic", 16),
    Column("key", 20, grows=True),
    Column("size", 9, optional=True),
    Column("sha256", DIGEST),
)
_WIDE_COLUMNS: Final = (
    Column("time (UTC)", 19),
    Column("place", 8),
    Column("reason", 18),
    Column("topic", 16),
    Column("key", 20),
    Column("size", 9),
    Column("event id", 20),
    Column("account", 10),
    Column("sha256", 64),
)


def list_dead_letters(settings: Kafka, *, wide: bool, as_json: bool) -> None:
    """Print every dead letter that Kafka still has, the oldest first. With `wide`, print all columns in full.

    Raises:
        UnusableInput: the topic of dead letters does not exist.
        CommandFailed: Kafka can't be reached or read.
    """
    configure("console", "warning")
    [topic], letters = run_to_end(_letters(settings))
    if as_json:
        for letter in letters:
            print(json_line(letter))  # noqa: T201 -- the command's output
    elif letters:
        print_letters(letters, Console(), wide=wide)
    else:
        print(f"No dead letters on {topic}.")  # noqa: T201 -- the command's output


async def _letters(settings: Kafka) -> tuple[list[str], list[ConsumedRecord]]:
    topics = await find_topics(settings, [DEAD_LETTERS])
    try:
        async with aclosing(read_json(settings, topics, from_beginning=True, until_end=True)) as records:
            return topics, [record async for record in records]
    except (KafkaError, OSError) as error:  # TimeoutError is an OSError
        raise unreadable(settings, error) from None


def print_letters(letters: list[ConsumedRecord], console: Console, *, wide: bool) -> None:
    """Print one line for each letter, below a header."""
    rows = Rows(_WIDE_COLUMNS if wide else _COLUMNS, console, cut=not wide)
    rows.header()
    for letter in letters:
        value: Any = value_of(letter)
        told = value if isinstance(value, dict) else {}
        reason, topic, size, event_id, account, digest = (
            visible("" if told.get(name) is None else told[name])
            for name in ("reason", "topic", "size", "eventId", "account", "sha256")
        )
        time, key, topic = time_of(letter.timestamp), key_of(letter), short_name(topic)
        if wide:
            place = f"{letter.partition}@{letter.offset}"
            problem = visible(told.get("problem") or told.get("reason") or "")
            rows.show((time, place, problem, topic, key, size, event_id, account, digest))
        else:
            rows.show((time, reason, topic, key, size, digest[:DIGEST]))
