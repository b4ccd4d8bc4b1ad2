"""A Kafka-compatible broker inside this process: librdkafka's mock cluster.

The broker supports idempotence, transactions, consumer groups and compression. The broker has no controller and creates
topics on first use, with four partitions. Only the newest megabytes of records are kept. The batches of the broker have
no valid checksum, so consumers need `BRIDGE_KAFKA__CHECK_CRCS=false`.
"""

from __future__ import annotations

from typing import Any

START_TIMEOUT = 10.0


class EmbeddedBroker:
    """A broker on a free port of the loopback address. Needs the extra `demo`."""

    def __init__(self) -> None:
        self._cluster: Any = None
        self.bootstrap = ""
        """`host:port` of the broker. Empty before `start`."""

    def start(self) -> None:
        """Start the broker and find its address."""
        from confluent_kafka import Producer  # noqa: PLC0415 -- only the demo and tests need it

        self._cluster = Producer({"bootstrap.servers": "127.0.0.1", "test.mock.num.brokers": 1, "log_level": 3})
        [broker] = self._cluster.list_topics(timeout=START_TIMEOUT).brokers.values()
        self.bootstrap = f"{broker.host}:{broker.port}"

    def stop(self) -> None:
        """End the broker and delete its records. The mock cluster ends together with the client that contains it."""
        self._cluster = None
