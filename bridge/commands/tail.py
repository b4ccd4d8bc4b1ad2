"""`bridge tail`: prints the published events as they arrive."""

from __future__ import annotations

import re
import sys
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from aiokafka.errors import KafkaError

from bridge.commands.output.reading import read_json
from bridge.commands.output.topics import find_topics, unreadable
from bridge.commands.output.views import Lines, value_of
from bridge.commands.process import ended_or_stopped, run_to_end
from bridge.delivery import topic_names
from bridge.observability import configure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.delivery import ConsumedRecord
    from bridge.settings import Kafka

_PERIOD: Final = re.compile(r"(\d+)([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class TailOptions:
    """The events that `bridge tail` prints, and how."""

    topics: Sequence[str] = ()
    """Topics, with or without prefix and version. Empty: all event topics."""
    from_beginning: bool = False
    since: datetime | None = None
    follow: bool = True
    """Whether to wait for further events. If false, the command prints the events that exist at its start, and ends."""
    key: str | None = None
    """Print only events with this key."""
    reference: str | None = None
    """Print only events with this referenceId."""
    events: int | None = None
    """Number of events after which the command ends."""
    as_json: bool = False

    def wants(self, record: ConsumedRecord) -> bool:
        """Return whether the record has the wanted key and reference."""
        if self.key is not None and record.key != self.key.encode():
            return False
        if self.reference is None:
            return True
        value = value_of(record)
        return isinstance(value, dict) and value.get("referenceId") == self.reference


def read_since(text: str) -> datetime:
    """Parse the beginning of a period: its length up to now, such as 30m, 2h or 7d, or a time such as 2026-01-31T12:00.

    A time without an offset is UTC.

    Raises:
        ValueError: the text has neither form, or is a time in the future.
    """
    now = datetime.now(UTC)
    try:
        if period := _PERIOD.fullmatch(text):
            return now - timedelta(**{_UNITS[period[2]]: int(period[1])})
        since = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ValueError("should be a period such as 30m, 2h or 7d, or a time such as 2026-01-31T12:00Z") from None
    since = since.replace(tzinfo=UTC) if since.tzinfo is None else since
    if since > now:
        raise ValueError(f"is in the future; now it is {now:%Y-%m-%dT%H:%M:%SZ}")
    return since


def run_tail(settings: Kafka, options: TailOptions) -> None:
    """Print committed events until a signal arrives, or until the options end the command.

    The command joins no consumer group, creates no topic and does not disturb a running bridge.

    Raises:
        UnusableInput: a topic does not exist.
        CommandFailed: Kafka can't be reached or read.
        KeyboardInterrupt: Ctrl-C has ended the command.
    """
    configure("console", "warning")
    run_to_end(_tail(settings, options))


async def _tail(settings: Kafka, options: TailOptions) -> None:
    printing = await ended_or_stopped(_print(settings, options))
    if not printing.cancelled():
        printing.result()


async def _print(settings: Kafka, options: TailOptions) -> None:
    topics = await find_topics(settings, options.topics)
    if not options.topics and (missing := [topic for topic in topic_names(settings) if topic not in topics]):
        sys.stderr.write(f"Not shown, because they don't exist or you may not read them: {', '.join(missing)}\n")
    shown = 0
    records = read_json(
        settings,
        topics,
        from_beginning=options.from_beginning or not options.follow,
        since=None if options.since is None else options.since.timestamp(),
        until_end=not options.follow,
    )
    try:
        with Lines(as_json=options.as_json) as lines:
            async with aclosing(records):
                async for record in records:
                    if not options.wants(record):
                        continue
                    lines.show(record)
                    shown += 1
                    if shown == options.events:
                        return
        if not shown:
            sys.stderr.write("No events.\n")
    except BrokenPipeError:
        raise
    except (KafkaError, OSError) as error:  # TimeoutError is an OSError
        raise unreadable(settings, error) from None
