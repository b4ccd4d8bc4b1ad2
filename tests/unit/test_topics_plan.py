"""`bridge topics plan`: the topics and rights, as commands and as resources of Strimzi."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.commands.preparing.plan import Plan, plan_of
from bridge.delivery import wanted_topics
from bridge.settings import load, load_for_topics
from tests.evidence_parts import key_file
from tests.unit.settings_parts import ENVIRONMENT

PAGE = Path(__file__).parents[2] / "docs" / "kafka-security.md"
KAFKA = "BRIDGE_KAFKA__BOOTSTRAP_SERVERS"
Grant = tuple[str, str, str]
"""The kind of a resource, its name, and an operation."""


def plan(**changed: str) -> Plan:
    changes = {f"BRIDGE_{name}": value for name, value in changed.items()}
    return plan_of(load_for_topics(environment={KAFKA: ENVIRONMENT[KAFKA]} | changes), user="bridge")


def grants(text: str) -> set[Grant]:
    """Those of all kafka-acls commands in a text."""
    found = set()
    for line in re.findall(r"^ *(kafka-acls .*--add .*)$", text, re.MULTILINE):
        words = shlex.split(line)
        [kind] = [word for word in words if word in {"--topic", "--transactional-id", "--group"}]
        operations = [words[at + 1] for at, word in enumerate(words) if word == "--operation"]
        found |= {(kind, words[words.index(kind) + 1], operation) for operation in operations}
    return found


def test_the_rights_are_those_of_the_page(tmp_path: Path) -> None:
    """With all optional parts, the plan grants what docs/kafka-security.md lists, and the ids of slots by a prefix."""
    documented = {one for one in grants(PAGE.read_text(encoding="utf-8")) if ".slot." not in one[1]}
    optional = {
        "FLEET__ENABLED": "true",
        "OPERATIONS__REQUEST_TOPIC": "true",
        "EVIDENCE__KEY_FILE": str(key_file(tmp_path)),
    }
    planned = grants(plan(**optional).as_commands())
    assert {one for one in planned if ".slot." not in one[1]} == documented
    assert planned - documented == {("--transactional-id", "gws.slot.", "Write")}


def test_requests_by_kafka() -> None:
    """With the setting the plan has the request topic, which the bridge only reads, and the group that reads it."""
    text = plan(OPERATIONS__REQUEST_TOPIC="true").as_commands()
    wanted = {("--topic", "gws.requests.v1", "Read"), ("--group", "gws.requests", "Read")}
    assert wanted <= grants(text)
    assert "--create --if-not-exists --topic gws.requests.v1" in text
    assert "gws.requests" not in plan().as_commands()


def test_the_topics_are_those_that_the_bridge_creates() -> None:
    """There is a command for each topic, with its partitions, replication factor and configs."""
    settings = load(environment=ENVIRONMENT | {"BRIDGE_KAFKA__REPLICATION_FACTOR": "3"})
    lines = plan(KAFKA__REPLICATION_FACTOR="3").as_commands("admin.properties").splitlines()
    commands = [shlex.split(line) for line in lines if line.startswith("kafka-topics")]
    assert all(command[3:5] == ["--command-config", "admin.properties"] for command in commands)
    found = {command[command.index("--topic") + 1]: command for command in commands}
    for topic in wanted_topics(settings.kafka):
        command = found.pop(topic.name)
        assert command[command.index("--partitions") + 1] == str(topic.num_partitions)
        assert command[command.index("--replication-factor") + 1] == "3"
        configs = dict(command[at + 1].split("=") for at, word in enumerate(command) if word == "--config")
        assert configs == topic.topic_configs
    assert not found
    assert "--replication-factor" not in plan().as_commands()


@pytest.mark.parametrize("factor", ["-1", "1", "3"])
def test_any_replication_factor_can_be_created(factor: str) -> None:
    """The bridge's own creation of topics takes each factor that the setting allows."""
    settings = load(environment=ENVIRONMENT | {"BRIDGE_KAFKA__REPLICATION_FACTOR": factor})
    assert {topic.replication_factor for topic in wanted_topics(settings.kafka)} == {int(factor)}


def test_settings_change_the_rights(tmp_path: Path) -> None:
    """The rights of a fleet, of the console, of evidence and of transactions depend on their settings."""
    console = {("--topic", f"gws.{topic}.v1", "Read") for topic in ("sessions", "dead-letters")}
    assert console <= grants(plan().as_commands())
    assert not console & grants(plan(HTTP__CONSOLE="false").as_commands())
    evidence = {("--topic", "gws.user-events.v1", "Read"), ("--group", "gws.archive", "Read")}
    assert not evidence & grants(plan().as_commands())
    assert evidence <= grants(plan(EVIDENCE__KEY_FILE=str(key_file(tmp_path))).as_commands())
    assert ("--group", "gws.fleet", "Read") in grants(plan(FLEET__ENABLED="true").as_commands())
    assert not [one for one in grants(plan(KAFKA__DELIVERY="at-least-once").as_commands()) if "transactional" in one[0]]


def test_resources_of_strimzi_say_the_same(tmp_path: Path) -> None:
    """The KafkaTopics and the KafkaUser have the topics and the rights of the commands."""
    given = plan(FLEET__ENABLED="true", KAFKA__TOPIC_PREFIX="Site_1", EVIDENCE__KEY_FILE=str(key_file(tmp_path)))
    *topics, user = yaml.safe_load_all(given.as_strimzi("main"))
    assert [one["spec"]["topicName"] for one in topics] == [one.name for one in given.topics]
    assert [one["spec"]["partitions"] for one in topics] == [one.partitions for one in given.topics]
    assert [one["spec"].get("config", {}) for one in topics] == [one.configs for one in given.topics]
    names = [one["metadata"]["name"] for one in topics]
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name) for name in names)
    assert {one["metadata"]["labels"]["strimzi.io/cluster"] for one in (*topics, user)} == {"main"}
    acls = user["spec"]["authorization"]["acls"]
    assert {grant for acl in acls for grant in granted(acl)} == grants(given.as_commands())
    assert [acl["resource"]["name"] for acl in acls if acl["resource"]["patternType"] == "prefix"] == ["Site_1.slot."]


def granted(acl: dict[str, Any]) -> list[Grant]:
    kinds = {"topic": "--topic", "transactionalId": "--transactional-id", "group": "--group"}
    resource = acl["resource"]
    return [(kinds[resource["type"]], resource["name"], operation) for operation in acl["operations"]]


@pytest.mark.parametrize(
    ("changed", "login"),
    [
        ({}, None),
        (
            {
                "KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
                "KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
                "KAFKA__SASL_USERNAME": "bridge",
                "KAFKA__SASL_PASSWORD": "secret",
            },
            {"type": "scram-sha-512"},
        ),
    ],
)
def test_the_user_logs_in_as_the_settings_say(changed: dict[str, str], login: dict[str, str] | None) -> None:
    """The KafkaUser has the login of the settings, and none where they have none."""
    *_, user = yaml.safe_load_all(plan(**changed).as_strimzi("main"))
    assert user["spec"].get("authentication") == login
