"""The headers of a kind's records: CloudEvents 1.0 in Kafka's binary mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from bridge.events import REQUEST, operation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.events import Kind

_SEQUENCED: Final = {
    "always": "Every event of this kind has it.",
    "as-refused": "A dead letter has it if the refused record had it.",
}


class Header(msgspec.Struct, frozen=True):
    """One header. The header's value is UTF-8 text."""

    name: str
    description: str
    value: str | None = None
    """The header's value, if the value is the same in all records."""
    always: bool = True


_REQUEST_HEADERS: Final = (
    Header("ce_specversion", "Version of CloudEvents.", "1.0"),
    Header("ce_id", "Id of the record, which the sender chooses."),
    Header("ce_source", "The program that sends the request. It is the `requestedBy` of the operation's events."),
    Header("ce_type", "Kind and version of the record.", REQUEST.event_type),
    Header("ce_time", "When the request was made, RFC 3339.", always=False),
    Header("ce_dataschema", "`$id` of the JSON Schema of the value.", REQUEST.schema, always=False),
    Header("content-type", "Media type of the value.", "application/json", always=False),
    Header("traceparent", "W3C trace context, which the operation continues.", always=False),
)


def headers_of(kind: Kind) -> Iterator[Header]:
    """Yield the headers that records of this kind have, in the order in which a record has them."""
    if kind is REQUEST:
        yield from _REQUEST_HEADERS
        return
    yield Header("ce_specversion", "Version of CloudEvents.", "1.0")
    yield Header("ce_id", "Id of the event. It is the same for each delivery, so consumers can detect duplicates.")
    yield Header("ce_source", "`/web-services/<account>`, percent-encoded.")
    yield Header("ce_type", "Kind and version of the event.", kind.event_type)
    yield Header("ce_time", "When the bridge received the message or made the event, RFC 3339, UTC, milliseconds.")
    yield Header("ce_subject", "The record's key.")
    yield Header("ce_dataschema", "`$id` of the JSON Schema of the value.", kind.schema)
    yield Header("content-type", "Media type of the value.", "application/json")
    if kind.sequenced is not None:
        description = f"Number of the event in its CometD session, counted from 0. {_SEQUENCED[kind.sequenced]}"
        yield Header("ce_sequence", description, always=kind.sequenced == "always")
    if kind.event_type == operation.TYPE:
        description = "Signature of the account's bridge, which other replicas check: HMAC-SHA-256 in hexadecimal."
        yield Header(operation.SIGNATURE, description, always=False)
        description = (
            "Random name of the process that wrote the event. Only `requested` events of a fleet have it. If several "
            "replicas get the same request at the same moment, the replica whose event comes first forwards it."
        )
        yield Header(operation.PROCESS, description, always=False)
    yield Header("traceparent", "W3C trace context of the event's cause, if there is one.", always=False)
