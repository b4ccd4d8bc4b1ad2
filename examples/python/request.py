"""Requests by Kafka that a record is marked as DoNotCall, and waits for the outcome.

Needs: pip install aiokafka. The bridge needs operations.request_topic.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import uuid

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

ENDED = {"acknowledged", "rejected", "timed-out"}


async def outcome(consumer: AIOKafkaConsumer, reference: str) -> str:
    """Wait for the operation's last event. A rejected request without a reply of Web Services was invalid."""
    async for record in consumer:
        if record.key == reference.encode() and record.value:
            event = json.loads(record.value[5:] if record.value[:1] == b"\0" else record.value)
            if event["status"] in ENDED:
                return str(event["status"])
    raise AssertionError("a consumer without a deadline does not end")


async def main() -> None:
    """Send one request, and print its reference and outcome. The exit code is 0 if the record is marked."""
    arguments = parsed()
    # A reference that says what is requested: when this program is repeated with it, nothing is forwarded twice.
    reference = arguments.reference or uuid.uuid4().hex
    request = {
        "operationName": "DoNotCallRecord",
        "applicationId": arguments.application,
        "campaignName": arguments.campaign,
        "callingList": arguments.list,
        "devicePath": f"/devices/{arguments.device}",
    }
    value = {"account": None, "recordHandle": arguments.handle, "request": request}
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
    async with consumer, producer:
        # Read from here on, before the request is sent. A program that may restart keeps a group and its offsets.
        places = [TopicPartition(topic, number) for number in await producer.partitions_for(topic)]
        consumer.assign(places)
        for place in places:
            await consumer.position(place)
        await producer.send_and_wait(
            f"{arguments.prefix}.requests.v1",
            json.dumps(value).encode(),
            key=reference.encode(),
            headers=[(name, text.encode()) for name, text in headers.items()],
        )
        async with asyncio.timeout(arguments.timeout):
            status = await outcome(consumer, reference)
    print(f"{reference} {status}")
    sys.exit(0 if status == "acknowledged" else 1)


def parsed() -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--prefix", default="gws")
    parser.add_argument("--handle", type=int, required=True)
    parser.add_argument("--application", type=int, required=True)
    parser.add_argument("--campaign", required=True)
    parser.add_argument("--list", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--reference")
    parser.add_argument("--timeout", type=float, default=60, help="seconds to wait for the outcome")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main())
