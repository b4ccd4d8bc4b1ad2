"""Requests by Kafka that a record is marked as DoNotCall, and waits for the outcome.

Needs: pip install aiokafka. The bridge needs operations.request_topic.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import uuid

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

ENDED = {"acknowledged", "rejected", "timed-out"}


async def start(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, arguments: argparse.Namespace) -> None:
    """Connect to Kafka, and end the program if a topic is missing.

    A producer could make a broker create the topics with its own defaults.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the message below says the same
    try:
        await consumer.start()
        present = await consumer.topics()
        await producer.start()
    except (KafkaError, OSError):
        raise SystemExit(f"no Kafka answers at {arguments.bootstrap}; does it run, and is --bootstrap right?") from None
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    topics = [f"{arguments.prefix}.{name}.v1" for name in ("requests", "operations")]
    if missing := [topic for topic in topics if topic not in present]:
        raise SystemExit(
            f"there is no topic {', '.join(missing)}; is --prefix right, and has a bridge with "
            "operations.request_topic run?"
        )


async def outcome(consumer: AIOKafkaConsumer, reference: str) -> str:
    """Wait for the operation's last event. A rejected request without a reply of Web Services was invalid."""
    async for record in consumer:
        if record.key == reference.encode() and record.value:
            event = json.loads(record.value[5:] if record.value[:1] == b"\0" else record.value)
            if event["status"] in ENDED:
                return str(event["status"])
    raise AssertionError("a consumer without a deadline does not end")


async def request(arguments: argparse.Namespace) -> str:
    """Send one request. Return its outcome."""
    call = {
        "operationName": "DoNotCallRecord",
        "applicationId": arguments.application,
        "campaignName": arguments.campaign,
        "callingList": arguments.list,
        "devicePath": f"/devices/{arguments.device}",
    }
    value = {"account": None, "recordHandle": arguments.handle, "request": call}
    headers = {
        "ce_specversion": "1.0",
        "ce_id": uuid.uuid4().hex,
        "ce_source": "/examples/python",
        "ce_type": "gws.request.v1",
        "content-type": "application/json",
    }
    topic = f"{arguments.prefix}.operations.v1"
    consumer = AIOKafkaConsumer(bootstrap_servers=arguments.bootstrap, isolation_level="read_committed")
    producer = AIOKafkaProducer(bootstrap_servers=arguments.bootstrap, acks="all", enable_idempotence=True)
    try:
        await start(consumer, producer, arguments)
        # Read from here on, before the request is sent. A program that may restart keeps a group and its offsets.
        places = [TopicPartition(topic, number) for number in await producer.partitions_for(topic)]
        consumer.assign(places)
        for place in places:
            await consumer.position(place)
        await producer.send_and_wait(
            f"{arguments.prefix}.requests.v1",
            json.dumps(value).encode(),
            key=arguments.reference.encode(),
            headers=[(name, text.encode()) for name, text in headers.items()],
        )
        async with asyncio.timeout(arguments.timeout):
            return await outcome(consumer, arguments.reference)
    except (KafkaError, TimeoutError) as error:
        raise SystemExit(
            f"no outcome of {arguments.reference} ({error or 'none came in time'}); run this again with --reference "
            f"{arguments.reference}: the bridge forwards nothing twice"
        ) from None
    finally:
        await producer.stop()
        await consumer.stop()


def parsed() -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--prefix", default="gws", help="of the topics")
    parser.add_argument("--handle", type=int, required=True)
    parser.add_argument("--application", type=int, required=True)
    parser.add_argument("--campaign", required=True)
    parser.add_argument("--list", required=True)
    parser.add_argument("--device", required=True)
    # The reference names the request. If this program runs again with it, the bridge forwards nothing twice.
    parser.add_argument("--reference", default=uuid.uuid4().hex, help="of the request; default: a new one")
    parser.add_argument("--timeout", type=float, default=60, help="seconds to wait for the outcome")
    return parser.parse_args()


if __name__ == "__main__":
    given = parsed()
    try:
        status = asyncio.run(request(given))
    except KeyboardInterrupt:
        print(f"stopped; the outcome of {given.reference} is not known", file=sys.stderr)
        sys.exit(130)
    print(f"{given.reference} {status}")
    sys.exit(0 if status == "acknowledged" else 1)
