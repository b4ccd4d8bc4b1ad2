"""The commands of `bridge topics plan`, run by Kafka's own tools, against the topics that the bridge creates."""

import asyncio
import shlex
import uuid
from typing import Any

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from bridge.commands.preparing.plan import plan_of
from bridge.delivery import wanted_topics
from bridge.settings import Settings, load
from tests.real import KafkaServer, create_bridge_topics, kafka_admin
from tests.unit.settings_parts import ENVIRONMENT


def settings_of(kafka: KafkaServer) -> Settings:
    changed = {
        "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap,
        "BRIDGE_KAFKA__TOPIC_PREFIX": f"plan-{uuid.uuid4().hex}",
        "BRIDGE_KAFKA__PARTITIONS": "3",
        "BRIDGE_KAFKA__SLOTS": "2",
        "BRIDGE_KAFKA__REPLICATION_FACTOR": "1",
    }
    return load(environment=ENVIRONMENT | changed)


async def created(kafka: KafkaServer, settings: Settings) -> dict[str, Any]:
    """By short name the partitions, replicas and own configs of each topic."""
    names = [topic.name for topic in wanted_topics(settings.kafka)]
    found: dict[str, Any] = {}
    async with asyncio.timeout(30), kafka_admin(kafka.bootstrap) as admin:
        for topic in await admin.describe_topics(names):
            partitions = topic["partitions"]
            found[topic["topic"]] = (len(partitions), {len(one["replicas"]) for one in partitions})
        for name in names:
            [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
            [(_, _, _, _, entries)] = answer.resources
            wanted = {"cleanup.policy", "segment.bytes", "segment.ms", "delete.retention.ms"}
            found[name] = (*found[name], {entry[0]: entry[1] for entry in entries if entry[0] in wanted})
    return {name.removeprefix(settings.kafka.topic_prefix): value for name, value in found.items()}


async def test_kafkas_tools_create_the_same_topics(real_kafka: KafkaServer) -> None:
    """What kafka-topics makes of the plan has the partitions, replicas and configs that the bridge itself gives."""
    by_bridge, by_plan = settings_of(real_kafka), settings_of(real_kafka)
    await create_bridge_topics(by_bridge.kafka)
    lines = plan_of(by_plan, user="bridge").as_commands().splitlines()
    for line in lines:
        tool, *arguments = shlex.split(line)
        if tool == "kafka-topics":
            status, output = await real_kafka.run_tool("org.apache.kafka.tools.TopicCommand", arguments)
            assert status == 0, output
    async with kafka_admin(real_kafka.bootstrap) as admin:
        await admin.until_served(topic.name for topic in wanted_topics(by_plan.kafka))
    assert await created(real_kafka, by_plan) == await created(real_kafka, by_bridge)
