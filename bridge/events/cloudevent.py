"""CloudEvents 1.0 in Kafka's binary mode: the attributes are headers `ce_…`, in UTF-8, and the value is the data.

Source: CloudEvents 1.0.2, Kafka Protocol Binding, section 3.2.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from bridge.events.record import Headers

SOURCE_PREFIX = "/web-services/"
CONTENT_TYPE = "application/json"
_SPEC_VERSION = ("ce_specversion", b"1.0")


def source(account: str) -> str:
    """`ce_source` of everything that concerns an account: `/web-services/<account>`, percent-encoded (a URI path)."""
    return SOURCE_PREFIX + quote(account, safe="")


def account_of(source_header: str) -> str | None:
    """Return the account that a `ce_source` names, None where it is none of the bridge's."""
    if not source_header.startswith(SOURCE_PREFIX):
        return None
    return unquote(source_header.removeprefix(SOURCE_PREFIX))


def session_hash(account: str, client_id: str) -> str:
    """Name a CometD session without giving its secret clientId away: 16 hex digits of SHA-256(account NUL clientId)."""
    return hashlib.sha256(f"{account}\0{client_id}".encode()).hexdigest()[:16]


def event_id(session: str, sequence: int) -> str:
    """`ce_id` of a relayed event: the same each time that the server sends the event."""
    return f"{session}-{sequence}"


class HeaderTemplate:
    """The headers of events that share type, schema, account and time; only id, subject and sequence differ.

    Args:
        type_: `ce_type`.
        schema: `ce_dataschema`, the `$id` of the value's schema.
        account: the account, for `ce_source`.
        time: `ce_time`, RFC 3339.
        content_type: the value's media type.
    """

    __slots__ = ("_content_type", "_schema", "_source", "_time", "_type")

    def __init__(self, type_: str, schema: str, account: str, time: str, content_type: str = CONTENT_TYPE) -> None:
        self._source = ("ce_source", source(account).encode())
        self._type = ("ce_type", type_.encode())
        self._time = ("ce_time", time.encode())
        self._schema = ("ce_dataschema", schema.encode())
        self._content_type = ("content-type", content_type.encode())

    def headers(
        self, id_: bytes, subject: bytes, *, sequence: bytes | None = None, traceparent: str | None = None
    ) -> Headers:
        """Return the headers of one event.

        Args:
            id_: `ce_id`, unique for the account.
            subject: `ce_subject`, the record's key.
            sequence: `ce_sequence`, the event's number in its CometD session; None for events that no session counts.
            traceparent: the W3C trace context of what caused the event, where there is one.
        """
        headers = [
            _SPEC_VERSION,
            ("ce_id", id_),
            self._source,
            self._type,
            self._time,
            ("ce_subject", subject),
            self._schema,
            self._content_type,
        ]
        if sequence is not None:
            headers.append(("ce_sequence", sequence))
        if traceparent is not None:
            headers.append(("traceparent", traceparent.encode()))
        return headers
