"""Finds the topics that a command will read, so that a wrong name gets a useful error message."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError

from bridge.delivery import existing_topics, kafka_reason, position_topic, topic_name, topic_names
from bridge.errors import CommandFailed, UnusableInput
from bridge.observability import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bridge.settings import Kafka


async def find_topics(settings: Kafka, names: Sequence[str]) -> list[str]:
    """Return the full names of topics, which may be given without prefix and version, such as `user-events`.

    Without `names`, return the event topics that exist.

    Raises:
        UnusableInput: no topic has the name. The message lists the topics with the prefix.
        CommandFailed: Kafka can't be reached, or has no topic with the prefix.
    """
    try:
        present = await existing_topics(settings)
    except (KafkaError, OSError) as error:  # TimeoutError is an OSError
        raise unreadable(settings, error) from None
    if names:
        return list(dict.fromkeys(_find(settings, name, present) for name in names))
    found = [topic for topic in topic_names(settings) if topic in present]
    if not found:
        raise CommandFailed(_nothing(settings))
    return found


def unreadable(settings: Kafka, error: BaseException) -> CommandFailed:
    """Return the error for a failed read from Kafka."""
    cause = kafka_reason(error, settings.ssl_certfile)
    return CommandFailed(f"Kafka at {settings.bootstrap_servers} can't be read ({cause}); see `bridge check`")


def _find(settings: Kafka, name: str, present: Iterable[str]) -> str:
    prefix = topic_name(settings, "")
    for candidate in (name, prefix + name, f"{prefix}{name}.v1"):
        if candidate in present:
            return candidate
    known = sorted(
        topic.removeprefix(prefix).removesuffix(".v1")
        for topic in present
        if topic.startswith(prefix) and topic != position_topic(settings)
    )
    if not known:
        raise CommandFailed(_nothing(settings))
    near = difflib.get_close_matches(name.removeprefix(prefix).removesuffix(".v1"), known, n=1)
    suggestion = f"did you mean {near[0]}? There are" if near else "there are"
    raise UnusableInput(f"there is no topic {printable(name, 256)}; {suggestion} {', '.join(known)}")


def _nothing(settings: Kafka) -> str:
    return (
        f"Kafka at {settings.bootstrap_servers} has no topics {topic_name(settings, '*')} that you may read. "
        "The bridge creates them when it first runs. Check BRIDGE_KAFKA__TOPIC_PREFIX and your rights."
    )
