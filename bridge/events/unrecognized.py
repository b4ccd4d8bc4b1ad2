"""A message that is neither an acknowledgement nor a user event: published raw, so that nothing vanishes."""

from __future__ import annotations

import msgspec

TOPIC = "unrecognized.v1"
TYPE = "gws.unrecognized.v1"
SCHEMA = "urn:cometd-kafka-bridge:schema:unrecognized:v1"


class Unrecognized(msgspec.Struct, rename="camel", kw_only=True, frozen=True, gc=False):
    """The value of an unrecognized event."""

    reason: str
    """`unknown-message-type`, `no-message-type`, `not-an-object`, `no-data` or `invalid-json`."""
    channel: str
    message_type: str | None
    account: str
    received_at: str
    """When the bridge received it, RFC 3339."""
    original: msgspec.Raw
    """The message's `data` as it came; `null` where it had none, its text where it is no JSON."""
