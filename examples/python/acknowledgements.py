"""Marks records as done, once each, as their acknowledgements come; and tells of gaps.

Needs: pip install aiokafka pydantic, and the models: bridge schemas models --output gws_events.py
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from gws_events import Acknowledgement, Session

TABLES = """
CREATE TABLE IF NOT EXISTS seen (source TEXT, id TEXT, PRIMARY KEY (source, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marked (record TEXT PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID;
"""


def value_of(record: ConsumerRecord) -> bytes:
    """The JSON of a value: with kafka.format = json-registry a frame of five bytes comes before it."""
    return record.value[5:] if record.value[:1] == b"\0" else record.value


def acknowledged(database: sqlite3.Connection, record: ConsumerRecord) -> None:
    """What an acknowledgement means here: its record is marked."""
    event = Acknowledgement.model_validate_json(value_of(record))
    if event.notification_type == "DoNotCallAcknowledge":
        database.execute(
            "INSERT INTO marked VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1", (record.key.decode(),)
        )


def changed(record: ConsumerRecord) -> None:
    """A gap says that acknowledgements may be missing, and no event will ever tell: ask Web Services."""
    event = Session.model_validate_json(value_of(record))
    if event.change == "gap":
        print(f"gap of {event.account}: nothing is known from {event.from_} to {event.to}", flush=True)


def handle(database: sqlite3.Connection, record: ConsumerRecord) -> bool:
    """Deal with one event in one transaction; False where that was done before.

    An event has the same ce_source and ce_id each time that it comes: after a crash of this program, which commits its
    offsets later, and from a bridge with kafka.delivery = at-least-once.
    """
    headers = dict(record.headers)
    with database:
        fresh = database.execute(
            "INSERT OR IGNORE INTO seen VALUES (?, ?)", (headers["ce_source"].decode(), headers["ce_id"].decode())
        )
        if fresh.rowcount == 0:
            return False
        if headers["ce_type"] == b"gws.acknowledgement.v1":
            acknowledged(database, record)
        elif headers["ce_type"] == b"gws.session.v1":
            changed(record)
    return True


async def consume(arguments: argparse.Namespace) -> None:
    """Read on for ever, or until so many events have come."""
    database = sqlite3.connect(arguments.database)
    database.executescript(TABLES)
    consumer = AIOKafkaConsumer(
        f"{arguments.prefix}.acknowledgements.v1",
        f"{arguments.prefix}.sessions.v1",
        bootstrap_servers=arguments.bootstrap,
        group_id=arguments.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        # Without this, events of transactions that were aborted, and came again, show as well.
        isolation_level="read_committed",
    )
    left = arguments.events
    async with consumer:
        async for record in consumer:
            if handle(database, record):
                print(f"{record.topic} {dict(record.headers)['ce_id'].decode()}", flush=True)
            left -= 1
            if left == 0:
                return  # without a commit: a next run gets them again, and knows them
            await consumer.commit()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--prefix", default="gws", help="of the topics")
    parser.add_argument("--group", default="acknowledgements")
    parser.add_argument("--database", default="acknowledgements.db")
    parser.add_argument("--events", type=int, default=0, help="end after so many")
    asyncio.run(consume(parser.parse_args()))
