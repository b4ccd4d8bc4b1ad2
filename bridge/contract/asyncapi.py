"""Generates the AsyncAPI 3 document: every topic with its key, headers, value and an example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from bridge import __version__
from bridge.contract.examples import example_of
from bridge.contract.headers import headers_of
from bridge.contract.json_schema import json_schema
from bridge.events import CONTRACT_KINDS, RECORD_KEY, REQUEST, full_topic

if TYPE_CHECKING:
    from bridge.events import Kind

DEFAULT_PREFIX: Final = "gws"
_BINDING_VERSION: Final = "0.5.0"
_DESCRIPTION: Final = f"""\
The bridge publishes every acknowledgement and every user event of Genesys Web Services. It also publishes the status \
of each operation that it forwards, the changes of each CometD session, and the records that Kafka refused.

The bridge reads one topic: other programs send their requests there.

With `isolation.level=read_committed` consumers get each event exactly once. With another isolation level, or if the \
bridge is set to at-least-once, consumers must drop events whose `ce_id` they have already seen.

The record key is {RECORD_KEY}.

A new release may add fields that have a default. Any other change makes a new version with a separate topic."""


def asyncapi(topic_prefix: str = DEFAULT_PREFIX) -> dict[str, Any]:
    """Return the AsyncAPI document of a bridge whose topics have this prefix."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Events of the CometD to Kafka bridge for Genesys Web Services",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "tags": [{"name": "events"}],
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrapServer}",
                "protocol": "kafka",
                "description": "The site's Kafka cluster.",
                "variables": {
                    "bootstrapServer": {
                        "default": "localhost:9092",
                        "description": "Address of a broker, as host:port.",
                    }
                },
            }
        },
        "channels": {_channel_name(kind): _channel(kind, topic_prefix) for kind in CONTRACT_KINDS},
        "operations": {f"{_action(kind)[0]}-{kind.name}-{kind.version}": _operation(kind) for kind in CONTRACT_KINDS},
        "components": {
            "messages": {_name(kind): _message(kind) for kind in CONTRACT_KINDS},
            "schemas": {_name(kind): _payload(kind) for kind in CONTRACT_KINDS},
        },
    }


def _name(kind: Kind) -> str:
    return f"{kind.name}-{kind.version}"


def _channel_name(kind: Kind) -> str:
    return kind.topic.replace(".", "-")


def _channel(kind: Kind, topic_prefix: str) -> dict[str, Any]:
    schema = json_schema(kind)
    return {
        "address": full_topic(topic_prefix, kind.topic),
        "title": schema["title"],
        "description": schema["description"],
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {_name(kind): {"$ref": f"#/components/messages/{_name(kind)}"}},
    }


def _operation(kind: Kind) -> dict[str, Any]:
    channel = f"#/channels/{_channel_name(kind)}"
    _, action, description = _action(kind)
    return {
        "action": action,
        "description": description,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{_name(kind)}"}],
    }


def _action(kind: Kind) -> tuple[str, Literal["send", "receive"], str]:
    """Return the first word of the operation's name, the bridge's action (send or receive), and a description."""
    if kind is REQUEST:
        description = (
            f"Send requests to this topic, with a key: {kind.key}. The bridge reads it if `operations.request_topic` "
            "is set. The outcome of each request is on the topic of operations, under the same key."
        )
        return "take", "receive", description
    return "publish", "send", f"Publish with a key: {kind.key}."


def _message(kind: Kind) -> dict[str, Any]:
    schema, example = json_schema(kind), example_of(kind)
    return {
        "name": kind.event_type,
        "title": schema["title"],
        "summary": schema["description"],
        "contentType": "application/json",
        "headers": _headers(kind),
        "payload": {"$ref": f"#/components/schemas/{_name(kind)}"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"UTF-8: {kind.key}.", "examples": [example.key.decode()]},
                "bindingVersion": _BINDING_VERSION,
            }
        },
        "examples": [
            {
                "name": kind.name,
                "headers": {name: value.decode() for name, value in example.headers},
                "payload": msgspec.json.decode(example.value),
            }
        ],
    }


def _headers(kind: Kind) -> dict[str, Any]:
    headers = list(headers_of(kind))
    properties: dict[str, dict[str, Any]] = {
        header.name: {"type": "string", "description": header.description} for header in headers
    }
    for header in headers:
        if header.value is not None:
            properties[header.name]["const"] = header.value
    return {"type": "object", "required": [one.name for one in headers if one.always], "properties": properties}


def _payload(kind: Kind) -> dict[str, Any]:
    """Return the JSON Schema without `$schema` and `$id`. AsyncAPI sets the dialect, and `ce_dataschema` has the id."""
    return {word: value for word, value in json_schema(kind).items() if word not in {"$schema", "$id"}}
