"""A message that is neither an acknowledgement nor a user event: published raw, so that nothing vanishes."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from bridge.events.fields import Account, ReplyReceivedAt

TOPIC = "unrecognized.v1"
TYPE = "gws.unrecognized.v1"
SCHEMA = "urn:cometd-kafka-bridge:schema:unrecognized:v1"


class Unrecognized(msgspec.Struct, rename="camel", kw_only=True, frozen=True, gc=False):
    """A CometD message that is neither an acknowledgement nor a user event, raw, so that nothing vanishes."""

    reason: Annotated[
        str,
        Meta(
            description="unknown-message-type: another messageType (campaigns, device states, errors); "
            "no-message-type: an object without one; not-an-object; no-data: none, or null; "
            "invalid-json: not readable as JSON.",
            extra_json_schema={
                "enum": ["unknown-message-type", "no-message-type", "not-an-object", "no-data", "invalid-json"]
            },
        ),
    ]
    channel: Annotated[str, Meta(description="The CometD channel it came on, for example `/v2/me/devices`.")]
    message_type: Annotated[str | None, Meta(description="Source: data.messageType.")]
    account: Account
    received_at: ReplyReceivedAt
    original: Annotated[
        msgspec.Raw,
        Meta(
            description="`data` of the CometD message as it came, byte for byte (only what is no UTF-8 or no text is "
            "replaced, and phone numbers where `privacy.phone_numbers` hides them). Null where there was none; its "
            "text, as a string, where it is no JSON."
        ),
    ]
