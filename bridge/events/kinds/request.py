"""The request: a record that other programs write, and that the bridge turns into an operation."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from bridge.events.fields import Int64, JsonObject

TOPIC = "requests.v1"
TYPE = "gws.request.v1"
SCHEMA = "urn:cometd-kafka-bridge:schema:request:v1"


class Request(msgspec.Struct, rename="camel", kw_only=True, frozen=True, gc=False):
    """Requests an operation, as a REST call with `Prefer: respond-async` does.

    Other programs write these records, and the bridge reads them. The record's key is the referenceId.
    """

    account: Annotated[
        str | None,
        Meta(
            description="Name of the Web Services account in the bridge's settings; null for the bridge's default "
            "account."
        ),
    ]
    record_handle: Annotated[
        Int64 | None,
        Meta(description="Handle of the record; null if the request itself names the record by its phone number."),
    ]
    request: Annotated[
        JsonObject,
        Meta(
            description="Body of the REST call. `operationName` names the operation. `referenceId` may be missing, and "
            "is otherwise the same as the record's key."
        ),
    ]
