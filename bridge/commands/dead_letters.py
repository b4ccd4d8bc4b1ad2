"""`bridge dead-letters list`: prints the records that Kafka refused."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from bridge.commands.output.reading import read_json
from bridge.commands.output.views import in_cell, json_line, value_of
from bridge.commands.process import run_to_end
from bridge.commands.tail import unreadable, whole_name
from bridge.observability import configure

if TYPE_CHECKING:
    from bridge.delivery import ConsumedRecord
    from bridge.settings import Kafka, Settings

TOPIC = "dead-letters.v1"
_COLUMNS = ("receivedAt", "reason", "topic", "size", "eventId", "account", "sha256")


def list_dead_letters(settings: Settings, *, as_json: bool) -> None:
    """Print every dead letter that Kafka still has, oldest first in each partition.

    Raises:
        CommandFailed: Kafka can't be reached or read.
    """
    configure("console", "warning")
    letters = run_to_end(_letters(settings.kafka))
    if as_json:
        for letter in letters:
            print(json_line(letter))  # noqa: T201 -- the command's output
        return
    console = Console()
    if letters:
        console.print(_table(letters))
    else:
        console.print(f"No dead letters on {whole_name(settings.kafka, TOPIC)}.", markup=False)


async def _letters(settings: Kafka) -> list[ConsumedRecord]:
    topics = [whole_name(settings, TOPIC)]
    try:
        async with aclosing(read_json(settings, topics, from_beginning=True, until_end=True)) as records:
            return [record async for record in records]
    except (KafkaError, OSError) as error:  # TimeoutError is an OSError
        raise unreadable(settings, error) from None


def _table(letters: list[ConsumedRecord]) -> Table:
    table = Table()
    for name in ("at", *_COLUMNS[1:]):
        table.add_column(name, overflow="fold")
    for letter in letters:
        value: Any = value_of(letter)
        told = value if isinstance(value, dict) else {}
        table.add_row(*(in_cell(told.get(name, "")) for name in _COLUMNS))
    return table
