"""Checks whether Kafka works. The check creates no topic and writes no record."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaClient, AIOKafkaProducer

from bridge.commands.checks.finding import Finding, Outcome, failed, ok, skipped, warning
from bridge.delivery import (
    KAFKA_FAILURES,
    check_transactional_id,
    closed,
    connection,
    connection_trouble,
    creation_refusals,
    guarded,
    kafka_reason,
    may_join,
    may_use,
    needed_transactional_ids,
    position_topic,
    retention_of,
    topic_name,
    view_cluster,
)
from bridge.events import acknowledgement, user_event
from bridge.fleet import fleet_group
from bridge.requests import requests_group
from bridge.settings import Delivery

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from bridge.delivery import ClusterView
    from bridge.settings import Kafka

KAFKA, TOPICS, TRANSACTIONS, FLEET, REQUESTS = "kafka", "topics", "transactions", "fleet", "requests"
EVIDENCE = "evidence"
_SAME_PARTITIONS: Final = (acknowledgement.TOPIC, user_event.TOPIC)


async def check_kafka(
    settings: Kafka, accounts: Sequence[str], *, in_fleet: bool, reads: Sequence[str] = ()
) -> AsyncIterator[Finding]:
    """Check the cluster, the topics, and the right to use transactions for the slots of the accounts.

    If this bridge is a replica of a fleet, also check the right to join the fleet's consumer group. `reads` has the
    request topic if this bridge takes requests from it. In this case also check the right to join the consumer group
    for this topic.
    """
    groups = {FLEET: fleet_group(settings)} if in_fleet else {}
    groups |= {REQUESTS: requests_group(settings)} if reads else {}
    client: AIOKafkaClient | None = None
    try:
        try:
            client = guarded(AIOKafkaClient(**connection(settings)))
            async with asyncio.timeout(settings.request_timeout):
                await client.bootstrap()
                seen = await view_cluster(client, settings, reads)
        except KAFKA_FAILURES as error:
            cause = await connection_trouble(settings, settings.request_timeout) or _cause(error, settings)
            remedy = "check BRIDGE_KAFKA__BOOTSTRAP_SERVERS, the security settings and the network"
            yield failed(KAFKA, f"{settings.bootstrap_servers} can't be used ({cause}); {remedy}.")
            for finding in skipped([TOPICS, TRANSACTIONS, *groups, EVIDENCE], KAFKA):
                yield finding
            return
        yield ok(KAFKA, f"{settings.bootstrap_servers} answers; brokers: {seen.brokers}.")
        yield await _topics(client, seen, settings, reads)
        yield await _transactions(client, settings, needed_transactional_ids(settings, accounts, seen))
        for subject, group in groups.items():
            yield await _group(client, settings, subject, group)
        yield await _evidence(settings)
    finally:
        if client is not None:
            await closed(client.close())


async def _topics(client: AIOKafkaClient, seen: ClusterView, settings: Kafka, reads: Sequence[str]) -> Finding:
    if seen.lacking:
        return failed(TOPICS, f"Not authorised: {', '.join(seen.lacking)}; grant it (docs/kafka-security.md).")
    if (fault := seen.position_fault(settings)) is not None:
        topic = position_topic(settings)
        return failed(TOPICS, f"{fault[:1].upper()}{fault[1:]}; set cleanup.policy=compact on {topic} (kafka-configs).")
    if seen.unknown:
        return await _missing(client, seen, settings, reads)
    counts = {topic: seen.partitions.get(topic_name(settings, topic)) for topic in _SAME_PARTITIONS}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{topic} {count}" for topic, count in counts.items())
        return warning(
            TOPICS,
            "Give both topics the same number of partitions, so that the events of a calling record are in partitions "
            f"of the same number: {told} partitions.",
        )
    return _position_topic(seen, settings)


def _position_topic(seen: ClusterView, settings: Kafka) -> Finding:
    """Compare the position topic with the topic that the bridge would create."""
    topic, slots = position_topic(settings), seen.partitions[position_topic(settings)]
    told = f"All {len(seen.partitions)} topics exist, and the bridge has the necessary rights."
    if seen.creates_on_use:
        return ok(TOPICS, told)
    if "delete" in (seen.position_cleanup or "").split(","):
        return warning(
            TOPICS,
            f"{topic} has cleanup.policy={seen.position_cleanup}; set it to compact, because Kafka will delete the "
            "positions of accounts without events.",
        )
    if slots != settings.slots:
        return warning(
            TOPICS,
            f"{topic} has another number of partitions ({slots}) than BRIDGE_KAFKA__SLOTS ({settings.slots}). Accounts "
            "share these partitions, and a replica of a fleet needs at least one. If the number is intended, set "
            f"BRIDGE_KAFKA__SLOTS={slots}.",
        )
    if seen.position_cleanup is None:
        told += f" Whether {topic} is compacted is unknown, because the DescribeConfigs right on it is missing."
    return ok(TOPICS, told)


async def _missing(client: AIOKafkaClient, seen: ClusterView, settings: Kafka, reads: Sequence[str]) -> Finding:
    """Ask the cluster whether the bridge may create the missing topics. Nothing is created."""
    names = ", ".join(seen.unknown)
    if not settings.create_topics:
        return failed(
            TOPICS,
            f"Missing topics: {names}; create them (`bridge topics plan`), or set BRIDGE_KAFKA__CREATE_TOPICS=true.",
        )
    if seen.creates_on_use:
        return ok(TOPICS, f"The cluster will create the missing topics on first use: {names}.")
    try:
        async with asyncio.timeout(settings.request_timeout):
            refused = await creation_refusals(client, settings, seen.unknown, reads)
    except KAFKA_FAILURES as error:
        return failed(TOPICS, f"Kafka did not say if it can create {names} ({_cause(error, settings)}); try again.")
    if refused:
        return failed(TOPICS, f"The bridge may not create {_reasons(refused)}; permit it, or create these topics.")
    return ok(TOPICS, f"The bridge may create the missing topics: {names}.")


async def _transactions(client: AIOKafkaClient, settings: Kafka, needed: Sequence[str]) -> Finding:
    """Check all rights, then test a transaction.

    The test transaction has a separate transactional id, because a transaction with a slot's id would fence the slot.
    """
    if settings.delivery is not Delivery.EXACTLY_ONCE:
        return ok(TRANSACTIONS, f"Not needed with BRIDGE_KAFKA__DELIVERY={settings.delivery}.")
    own = check_transactional_id(settings)
    remedy = f"permit transactional ids that begin with {settings.topic_prefix}., or set at-least-once"
    try:
        async with asyncio.timeout(settings.request_timeout):
            ids = [own, *needed]
            denied = [f"write on transactional id {name}" for name in ids if not await may_use(client, name)]
    except KAFKA_FAILURES as error:
        return failed(TRANSACTIONS, f"Kafka did not say which rights exist ({_cause(error, settings)}); {remedy}.")
    if denied:
        return failed(TRANSACTIONS, f"Not authorised: {', '.join(denied)}; {remedy}.")
    producer: Any = guarded(
        AIOKafkaProducer(**connection(settings), transactional_id=own, enable_idempotence=True, acks="all")
    )
    try:
        async with asyncio.timeout(settings.request_timeout):
            await producer.start()
            await producer.begin_transaction()
            await producer.abort_transaction()
    except KAFKA_FAILURES as error:
        return failed(TRANSACTIONS, f"A test transaction as {own} failed ({_cause(error, settings)}); {remedy}.")
    finally:
        await closed(producer.stop())
    return ok(TRANSACTIONS, "A test transaction worked.")


async def _group(client: AIOKafkaClient, settings: Kafka, subject: str, group: str) -> Finding:
    """Check the right on a consumer group. The check does not join the group, so it starts no rebalance."""
    try:
        async with asyncio.timeout(settings.request_timeout):
            may = await may_join(client, group)
    except KAFKA_FAILURES as error:
        return failed(
            subject, f"Kafka did not say if the bridge may join {group} ({_cause(error, settings)}); try again."
        )
    if not may:
        return failed(subject, f"Not authorised: read on group {group}; grant it (docs/kafka-security.md).")
    return ok(subject, f"The bridge may join the consumer group {group}.")


async def _evidence(settings: Kafka) -> Finding:
    """Check whether the topics keep their records for five years. If not, check whether an archive is being written."""
    try:
        async with asyncio.timeout(settings.request_timeout):
            found = await retention_of(settings)
    except KAFKA_FAILURES as error:
        return warning(EVIDENCE, f"Kafka did not say how long it keeps records ({_cause(error, settings)}).")
    if found is None:
        text = "Skipped: there are no topics yet, or Kafka does not say how long it keeps records."
        return Finding(EVIDENCE, Outcome.SKIPPED, text)
    if not found.short:
        return ok(EVIDENCE, "Kafka keeps the records that prove what became of a request for five years or longer.")
    days = min(found.short.values())
    told = f"Kafka keeps records for {days:,.0f} days ({', '.join(sorted(found.short))})"
    if found.archived:
        return ok(EVIDENCE, f"{told}, and an archive is being written.")
    return warning(
        EVIDENCE,
        f"{told}, which is less than five years, and no archive is being written. Run bridge evidence archive every "
        "day, or keep the records longer (docs/evidence.md).",
    )


def _reasons(refused: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({why})" for name, why in refused.items())


def _cause(error: BaseException, settings: Kafka) -> str:
    return kafka_reason(error, settings.ssl_certfile)
