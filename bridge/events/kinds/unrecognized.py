"""The unrecognized event: any CometD message that is neither an acknowledgement nor a user event."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from bridge.events.fields import Account, ReplyReceivedAt

TOPIC = "unrecognized.v1"
TYPE = "gws.unrecognized.v1"
SCHEMA = "urn:cometd-kafka-bridge:schema:unrecognized:v1"


class Unrecognized(msgspec.Struct, rename="camel", kw_only=True, frozen=True, gc=False):
    """A CometD message that is neither an acknowledgement nor a user event. It is published unchanged."""

    reason: Annotated[
        str,
        Meta(
            description="unknown-message-type: another messageType (campaigns, device states, errors); "
            "no-message-type: an object without messageType; not-an-object: another JSON value; no-data: no data, or "
            "null; invalid-json: no valid JSON.",
            extra_json_schema={
                "enum": ["unknown-message-type", "no-message-type", "not-an-object", "no-data", "invalid-json"]
            },
        ),
    ]
    channel: Annotated[str, Meta(description="CometD channel of the message, for example `/v2/me/devices`.")]
    message_type: Annotated[str | None, Meta(description="Source: data.messageType.")]
    account: Account
    received_at: ReplyReceivedAt
    original: Annotated[
        msgspec.Raw,
        Meta(
            description="The `data` of the CometD message, byte for byte. Only invalid characters are replaced, and "
            "phone numbers if `privacy.phone_numbers` hides them. Null if there was no data. A string with the data's "
            "text if the data is not JSON."
        ),
    ]
