"""CloudEvents 1.0 in Kafka's binary mode. Attributes are headers `ce_…` in UTF-8, and the record's value is the data.

Source: CloudEvents 1.0.2, Kafka Protocol Binding, section 3.2.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from bridge.events.record import Headers

SOURCE_PREFIX = "/web-services/"
CONTENT_TYPE = "application/json"
_SPEC_VERSION = ("ce_specversion", b"1.0")


@lru_cache(maxsize=1024)  # `quote` is slow, and all events of an account have the same source
def source(account: str) -> str:
    """Return the `ce_source` of an account's events: `/web-services/<account>`, percent-encoded as in a URI path."""
    return SOURCE_PREFIX + quote(account, safe="")


def account_of(source_header: str) -> str | None:
    """Return the account in a `ce_source`, None if the bridge did not write that `ce_source`."""
    if not source_header.startswith(SOURCE_PREFIX):
        return None
    return unquote(source_header.removeprefix(SOURCE_PREFIX))


def session_hash(account: str, client_id: str) -> str:
    """Return the public name of a CometD session: 16 hex digits of SHA-256(account NUL clientId).

    The clientId itself is a secret.
    """
    return hashlib.sha256(f"{account}\0{client_id}".encode()).hexdigest()[:16]


def event_id(session: str, sequence: int) -> str:
    """Return the `ce_id` of a relayed event. If the server sends the event again, the `ce_id` is the same."""
    return f"{session}-{sequence}"


class HeaderTemplate:
    """Makes the headers of events that have the same type, schema, account and time.

    Args:
        type_: the `ce_type`.
        schema: the `ce_dataschema`, which is the `$id` of the value's schema.
        account: the account, for `ce_source`.
        time: the `ce_time`, in RFC 3339.
        content_type: the value's media type.
    """

    __slots__ = ("_content_type", "_schema", "_source", "_time", "_type")

    def __init__(self, type_: str, schema: str, account: str, time: str, content_type: str = CONTENT_TYPE) -> None:
        self._source = ("ce_source", source(account).encode())
        self._type = ("ce_type", type_.encode())
        self._time = ("ce_time", time.encode())
        self._schema = ("ce_dataschema", schema.encode())
        self._content_type = ("content-type", content_type.encode())

    def set_time(self, time: str) -> None:
        """Use another time from now on."""
        self._time = ("ce_time", time.encode())

    def headers(
        self, id_: bytes, subject: bytes, *, sequence: bytes | None = None, traceparent: str | None = None
    ) -> Headers:
        """Return the headers of one event.

        Args:
            id_: the `ce_id`, unique for the account.
            subject: the `ce_subject`, which is the record's key.
            sequence: the `ce_sequence` (the event's number in its CometD session), None for events of the bridge.
            traceparent: the W3C trace context of the event's cause, if there is one.
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
