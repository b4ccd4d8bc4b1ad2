"""The AsyncAPI 3 document: every topic with its key, headers, value and an example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from bridge import __version__
from bridge.contract.examples import example_of
from bridge.contract.headers import headers_of
from bridge.contract.json_schema import json_schema
from bridge.events import KINDS, RECORD_KEY

if TYPE_CHECKING:
    from bridge.events import Kind

DEFAULT_PREFIX: Final = "gws"
_BINDING_VERSION: Final = "0.5.0"
_DESCRIPTION: Final = f"""\
What the bridge publishes: every acknowledgement and every user event of Genesys Web Services, the life of each \
operation that it forwards, and what befell on the way.

Read with `isolation.level=read_committed`: then each event comes exactly once. Otherwise, and where the bridge is set \
to at-least-once, drop what comes again by its `ce_id`.

The record key is {RECORD_KEY}.

A version only ever gains fields that have a default. Anything else is a new version, on a topic of its own."""


def asyncapi(topic_prefix: str = DEFAULT_PREFIX) -> dict[str, Any]:
    """Return the document of a bridge whose topics have that prefix."""
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
                    "bootstrapServer": {"default": "localhost:9092", "description": "One of its brokers, host:port."}
                },
            }
        },
        "channels": {_channel_name(kind): _channel(kind, topic_prefix) for kind in KINDS},
        "operations": {f"publish-{kind.name}-{kind.version}": _operation(kind) for kind in KINDS},
        "components": {
            "messages": {_name(kind): _message(kind) for kind in KINDS},
            "schemas": {_name(kind): _payload(kind) for kind in KINDS},
        },
    }


def _name(kind: Kind) -> str:
    return f"{kind.name}-{kind.version}"


def _channel_name(kind: Kind) -> str:
    return kind.topic.replace(".", "-")


def _channel(kind: Kind, topic_prefix: str) -> dict[str, Any]:
    schema = json_schema(kind)
    return {
        "address": f"{topic_prefix}.{kind.topic}",
        "title": schema["title"],
        "description": schema["description"],
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {_name(kind): {"$ref": f"#/components/messages/{_name(kind)}"}},
    }


def _operation(kind: Kind) -> dict[str, Any]:
    channel = f"#/channels/{_channel_name(kind)}"
    return {
        "action": "send",
        "description": f"Publish with a key: {kind.key}.",
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{_name(kind)}"}],
    }


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
    """AsyncAPI has its own dialect, of which this schema is one, too; its id is the header `ce_dataschema`."""
    return {word: told for word, told in json_schema(kind).items() if word not in {"$schema", "$id"}}
