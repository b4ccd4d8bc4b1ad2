"""Marks records as done, once each, and prints their acknowledgements as lines of JSON. Gaps go to standard error.

Needs: pip install aiokafka pydantic, and the models: bridge schemas models --output gws_events.py
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sqlite3
import sys

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError
from pydantic import ValidationError

try:
    from gws_events import Acknowledgement, Session
except ImportError:
    sys.exit("gws_events.py is missing; write it with: bridge schemas models --output gws_events.py")

TABLES = """
CREATE TABLE IF NOT EXISTS seen (source TEXT, id TEXT, PRIMARY KEY (source, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marked (record TEXT PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID;
"""


def value_of(record: ConsumerRecord) -> bytes:
    """The JSON of a value: with kafka.format = json-registry a frame of five bytes comes before it."""
    return record.value[5:] if record.value[:1] == b"\0" else record.value


def acknowledged(database: sqlite3.Connection, record: ConsumerRecord) -> None:
    """What an acknowledgement means here: its record is marked, and the event printed."""
    event = Acknowledgement.model_validate_json(value_of(record))
    line = {
        "id": dict(record.headers)["ce_id"].decode(),
        "key": record.key.decode(),
        "notificationType": event.notification_type,
        "referenceId": event.reference_id,
        "recordHandle": event.record_handle,
    }
    print(json.dumps(line), flush=True)
    if event.notification_type == "DoNotCallAcknowledge":
        database.execute(
            "INSERT INTO marked VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1", (record.key.decode(),)
        )


def changed(record: ConsumerRecord) -> None:
    """A gap says that acknowledgements may be missing, and no event will ever tell: ask Web Services."""
    event = Session.model_validate_json(value_of(record))
    if event.change == "gap":
        begin, end = (one.isoformat() if one else "an unknown time" for one in (event.from_, event.to))
        print(f"gap of {event.account}: nothing is known from {begin} to {end}", file=sys.stderr)


def handle(database: sqlite3.Connection, record: ConsumerRecord) -> None:
    """Deal with one event in one transaction, or do nothing if that was done before.

    An event has the same ce_source and ce_id each time that it comes: after a crash of this program, which commits its
    offsets later, and from a bridge with kafka.delivery = at-least-once.
    """
    headers = dict(record.headers)
    with database:
        fresh = database.execute(
            "INSERT OR IGNORE INTO seen VALUES (?, ?)", (headers["ce_source"].decode(), headers["ce_id"].decode())
        )
        if fresh.rowcount == 0:
            return
        try:
            if headers["ce_type"] == b"gws.acknowledgement.v1":
                acknowledged(database, record)
            elif headers["ce_type"] == b"gws.session.v1":
                changed(record)
        except ValidationError as error:
            place = f"{record.topic}/{record.partition}@{record.offset}"
            told = f"{place} is not an event in JSON; this example reads kafka.format = json or json-registry"
            raise SystemExit(f"{told}\n{error}") from None


async def start(consumer: AIOKafkaConsumer, arguments: argparse.Namespace) -> None:
    """Connect to Kafka, and subscribe if the topics exist.

    A subscription could make a broker create the topics with its own defaults.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the message below says the same
    try:
        await consumer.start()
        present = await consumer.topics()
    except (KafkaError, OSError):
        raise SystemExit(f"no Kafka answers at {arguments.bootstrap}; does it run, and is --bootstrap right?") from None
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    topics = [f"{arguments.prefix}.{name}.v1" for name in ("acknowledgements", "sessions")]
    if missing := [topic for topic in topics if topic not in present]:
        raise SystemExit(f"there is no topic {', '.join(missing)}; is --prefix right, and has the bridge run?")
    consumer.subscribe(topics)


async def consume(arguments: argparse.Namespace) -> None:
    """Read on for ever, or until so many events have come."""
    database = sqlite3.connect(arguments.database)
    database.executescript(TABLES)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=arguments.bootstrap,
        group_id=arguments.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        # Without this, events of transactions that were aborted, and came again, show as well.
        isolation_level="read_committed",
    )
    left = arguments.events
    try:
        await start(consumer, arguments)
        async for record in consumer:
            handle(database, record)
            left -= 1
            if left == 0:
                return  # without a commit: a next run gets them again, and knows them
            await consumer.commit()
    finally:
        await consumer.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--prefix", default="gws", help="of the topics")
    parser.add_argument("--group", default="acknowledgements")
    parser.add_argument("--database", default="acknowledgements.db")
    parser.add_argument("--events", type=int, default=0, help="end after so many")
    try:
        asyncio.run(consume(parser.parse_args()))
    except KeyboardInterrupt:
        print("stopped; the next start continues here", file=sys.stderr)
        sys.exit(130)
