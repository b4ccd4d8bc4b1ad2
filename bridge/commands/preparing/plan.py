"""`bridge topics plan`: prints commands or YAML that create the bridge's topics in Kafka and grant its rights.

The plan uses the bridge's own code for topics, ids and rights. The command opens no connection.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from bridge.delivery import (
    archive_group,
    check_transactional_id,
    evidence_rights,
    slot_ids_prefix,
    topic_name,
    topic_rights,
    wanted_topics,
)
from bridge.events import DEAD_LETTERS, SESSIONS
from bridge.fleet import fleet_group
from bridge.requests import request_topics, requests_group
from bridge.settings import Delivery

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bridge.settings import TopicSettings

Kind = Literal["topic", "transactionalId", "group"]
_OPTIONS: Final[dict[Kind, str]] = {"topic": "--topic", "transactionalId": "--transactional-id", "group": "--group"}
STRIMZI: Final = "kafka.strimzi.io/v1beta2"


@dataclass(frozen=True)
class Topic:
    """A topic. `replication` is None for the cluster's default."""

    name: str
    partitions: int
    replication: int | None
    configs: Mapping[str, str]


@dataclass(frozen=True)
class Right:
    """The rights (such as Read and Write) that the bridge needs on a resource.

    `prefixed` means all names that begin with `name`.
    """

    kind: Kind
    name: str
    operations: tuple[str, ...]
    prefixed: bool = False


@dataclass(frozen=True)
class Plan:
    """The topics and rights of a bridge with the Kafka user `user`."""

    servers: str
    user: str
    login: str | None
    """The bridge's kind of login, in Strimzi's words: tls or scram-sha-512. None for another kind, or without a
    login."""
    topics: tuple[Topic, ...]
    rights: tuple[Right, ...]

    def as_commands(self, command_config: str | None = None) -> str:
        """Return lines for a shell: a kafka-topics command for each topic, and a kafka-acls command for each right.

        `command_config` is the path of a properties file by which the administrator logs in.
        """
        common = ["--bootstrap-server", self.servers]
        common += [] if command_config is None else ["--command-config", command_config]
        lines = [["kafka-topics", *common, *_creation(topic)] for topic in self.topics]
        user = ["--add", "--allow-principal", f"User:{self.user}"]
        lines += [["kafka-acls", *common, *user, *_grant(right)] for right in self.rights]
        return "\n".join(map(shlex.join, lines))

    def as_strimzi(self, cluster: str) -> str:
        """Return a KafkaTopic for each topic and a KafkaUser for the bridge, as YAML documents.

        `cluster` is the name of the Kafka resource.
        """
        labels = {"strimzi.io/cluster": cluster}
        resources = [
            {
                "apiVersion": STRIMZI,
                "kind": "KafkaTopic",
                "metadata": {"name": _resource_name(topic.name), "labels": labels},
                "spec": {
                    "topicName": topic.name,
                    "partitions": topic.partitions,
                    **({} if topic.replication is None else {"replicas": topic.replication}),
                    **({"config": dict(topic.configs)} if topic.configs else {}),
                },
            }
            for topic in self.topics
        ]
        acls = [
            {
                "resource": {
                    "type": right.kind,
                    "name": right.name,
                    "patternType": "prefix" if right.prefixed else "literal",
                },
                "operations": [_camel_case(operation) for operation in right.operations],
            }
            for right in self.rights
        ]
        login = {} if self.login is None else {"authentication": {"type": self.login}}
        resources.append(
            {
                "apiVersion": STRIMZI,
                "kind": "KafkaUser",
                "metadata": {"name": _resource_name(self.user), "labels": labels},
                "spec": {**login, "authorization": {"type": "simple", "acls": acls}},
            }
        )
        return "\n".join(["---\n" + "\n".join(_yaml(one)) for one in resources])


def plan_of(settings: TopicSettings, *, user: str) -> Plan:
    """Return the plan for a bridge with these settings, whose Kafka user is `user`."""
    kafka = settings.kafka
    reads = request_topics(settings)
    topics = tuple(
        Topic(
            one.name,
            one.num_partitions,
            None if one.replication_factor == -1 else one.replication_factor,
            one.topic_configs,
        )
        for one in wanted_topics(kafka, reads)
    )
    operations = {name: dict.fromkeys(needed) for name, needed in topic_rights(kafka, reads).items()}
    for name, more in _optional(settings):
        operations[name] |= dict.fromkeys(more)
    rights = [Right("topic", name, tuple(all_)) for name, all_ in operations.items()]
    if kafka.delivery is Delivery.EXACTLY_ONCE:
        rights += [
            Right("transactionalId", slot_ids_prefix(kafka), ("write",), prefixed=True),
            Right("transactionalId", check_transactional_id(kafka), ("write",)),
        ]
    if settings.fleet.enabled:
        rights.append(Right("group", fleet_group(kafka), ("read",)))
    if reads:
        rights.append(Right("group", requests_group(kafka), ("read",)))
    if settings.evidence.key_file is not None:
        rights.append(Right("group", archive_group(kafka), ("read",)))
    login = "scram-sha-512" if kafka.sasl_mechanism == "SCRAM-SHA-512" else None
    if kafka.ssl_certfile is not None:
        login = "tls"
    return Plan(kafka.bootstrap_servers, user, login, topics, tuple(rights))


def _optional(settings: TopicSettings) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the rights on topics that only parts of the bridge need, if the settings switch these parts on."""
    if settings.http.console:
        for topic in (SESSIONS, DEAD_LETTERS):
            yield topic_name(settings.kafka, topic), ("read",)
    if settings.evidence.key_file is not None:
        yield from evidence_rights(settings.kafka).items()


def _creation(topic: Topic) -> Iterator[str]:
    yield from ("--create", "--if-not-exists", "--topic", topic.name, "--partitions", str(topic.partitions))
    if topic.replication is not None:
        yield from ("--replication-factor", str(topic.replication))
    for name, value in topic.configs.items():
        yield from ("--config", f"{name}={value}")


def _grant(right: Right) -> Iterator[str]:
    for operation in right.operations:
        yield from ("--operation", _camel_case(operation))
    yield from (_OPTIONS[right.kind], right.name)
    if right.prefixed:
        yield from ("--resource-pattern-type", "prefixed")


def _camel_case(operation: str) -> str:
    """Return an operation as Kafka's tools and Strimzi write it, such as DescribeConfigs."""
    return "".join(map(str.capitalize, operation.split()))


def _resource_name(name: str) -> str:
    """Return the name of a Kubernetes resource: lower case, digits, dots and hyphens (RFC 1123)."""
    return re.sub(r"[^a-z0-9.-]", "-", name.lower()).strip(".-")


def _yaml(value: Any, indent: str = "") -> Iterator[str]:
    """Yield the lines of a YAML document. A text is written as in JSON, which YAML reads as the same text."""
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield f"{indent}{name}:"
            yield from _yaml(inner, f"{indent}  ")
        elif isinstance(inner, list) and inner and isinstance(inner[0], dict):
            yield f"{indent}{name}:"
            for one in inner:
                first, *others = _yaml(one, f"{indent}    ")
                yield f"{indent}  - {first.strip()}"
                yield from others
        else:
            plain = isinstance(inner, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9./-]*", inner)
            yield f"{indent}{name}: {inner if plain else msgspec.json.encode(inner).decode()}"
