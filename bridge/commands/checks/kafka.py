"""Whether Kafka works. Nothing is written: no topic is made, no record sent, no position touched."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, for_code

from bridge.commands.checks.finding import failed, ok, skipped, warning
from bridge.delivery import connection, position_topic, topic_names
from bridge.settings import Delivery

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from bridge.commands.checks.finding import Finding
    from bridge.settings import Kafka

KAFKA, TOPICS, TRANSACTIONS = "kafka", "topics", "transactions"
END: Final = 2.0
_SAME_PARTITIONS: Final = ("acknowledgements.v1", "user-events.v1")
# TimeoutError and ssl.SSLError are OSErrors; aiokafka's state machines assert, and miss connections that just went.
_FAILURES: Final = (KafkaError, OSError, AssertionError, KeyError)


async def check_kafka(settings: Kafka) -> AsyncIterator[Finding]:
    """Look at the cluster, the topics and transactions."""
    try:
        admin: Any = AIOKafkaAdminClient(**connection(settings))
    except OSError as error:
        yield failed(KAFKA, f"A certificate or key can't be read ({_cause(error)}); check BRIDGE_KAFKA__SSL_*.")
        for finding in skipped([TOPICS, TRANSACTIONS], KAFKA):
            yield finding
        return
    try:
        try:
            async with asyncio.timeout(settings.request_timeout):
                await admin.start()
                cluster = await admin.describe_cluster()
        except _FAILURES as error:
            remedy = "check BRIDGE_KAFKA__BOOTSTRAP_SERVERS, the security settings and the network"
            yield failed(KAFKA, f"{settings.bootstrap_servers} can't be used ({_cause(error)}); {remedy}.")
            for finding in skipped([TOPICS, TRANSACTIONS], KAFKA):
                yield finding
            return
        yield ok(KAFKA, f"{settings.bootstrap_servers} answers; brokers: {len(cluster['brokers'])}.")
        yield await _topics(admin, cluster, settings)
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(END):
                await admin.close()
    yield await _transactions(settings)


async def _topics(admin: Any, cluster: Mapping[str, Any], settings: Kafka) -> Finding:
    wanted = [*topic_names(settings), position_topic(settings)]
    try:
        async with asyncio.timeout(settings.request_timeout):
            present = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
            missing = [topic for topic in wanted if topic not in present]
            if missing:
                return await _missing(admin, cluster, settings, missing)
    except _FAILURES as error:
        return failed(TOPICS, f"The topics can't be seen ({_cause(error)}); permit the bridge to describe them.")
    counts = {topic: present[f"{settings.topic_prefix}.{topic}"] for topic in _SAME_PARTITIONS}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{topic} {count}" for topic, count in counts.items())
        return warning(
            TOPICS, f"Give both topics the same number of partitions, or a record's events part: {told} partitions."
        )
    return ok(TOPICS, f"All {len(wanted)} are there.")


async def _missing(admin: Any, cluster: Mapping[str, Any], settings: Kafka, missing: Sequence[str]) -> Finding:
    """Ask the cluster whether the bridge may create them, without creating them."""
    names = ", ".join(missing)
    if cluster["controller_id"] not in {broker["node_id"] for broker in cluster["brokers"]}:
        return ok(TOPICS, f"They will appear on first use: {names}.")
    if not settings.create_topics:
        return failed(TOPICS, f"Missing: {names}; create them, or set BRIDGE_KAFKA__CREATE_TOPICS=true.")
    response = await admin.create_topics(
        [NewTopic(name, settings.partitions, settings.replication_factor, replica_assignments={}) for name in missing],
        validate_only=True,
    )
    refused = {for_code(code) for _, code, *_ in response.topic_errors} - {NoError, TopicAlreadyExistsError}
    if refused:
        causes = ", ".join(sorted(error.__name__ for error in refused))
        return failed(TOPICS, f"The bridge may not create {names} ({causes}); permit it, or create them.")
    return ok(TOPICS, f"The bridge may create what is missing: {names}.")


async def _transactions(settings: Kafka) -> Finding:
    """Begin and abort one, with a transactional id of its own: the running bridge's would be fenced."""
    if settings.delivery is not Delivery.EXACTLY_ONCE:
        return ok(TRANSACTIONS, f"Not needed with BRIDGE_KAFKA__DELIVERY={settings.delivery}.")
    transactional_id = f"{settings.topic_prefix}.check"
    producer: Any = AIOKafkaProducer(
        **connection(settings), transactional_id=transactional_id, enable_idempotence=True, acks="all"
    )
    try:
        async with asyncio.timeout(settings.request_timeout):
            await producer.start()
            await producer.begin_transaction()
            await producer.abort_transaction()
    except _FAILURES as error:
        remedy = f"permit transactional ids that begin with {settings.topic_prefix}., or use at-least-once"
        return failed(TRANSACTIONS, f"Kafka does not begin one as {transactional_id} ({_cause(error)}); {remedy}.")
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(END):
                await producer.stop()
    return ok(TRANSACTIONS, "The coordinator began and aborted one.")


def _cause(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        return "TLS failed"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return type(error).__name__
