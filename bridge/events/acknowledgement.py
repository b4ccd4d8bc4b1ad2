"""An acknowledgement: an OutboundRecordMessage, which tells the outcome of an operation or the state of a record."""

from __future__ import annotations

import msgspec

TOPIC = "acknowledgements.v1"
TYPE = "gws.acknowledgement.v1"
SCHEMA = "urn:cometd-kafka-bridge:schema:acknowledgement:v1"


class Acknowledgement(msgspec.Struct, rename="camel", kw_only=True, frozen=True, gc=False):
    """The value of an acknowledgement event. What Web Services did not send, or not legibly, is None."""

    notification_type: str | None
    reference_id: str | None
    record_handle: int | None
    phone_number: str | None
    application_id: int | None
    campaign_name: str | None
    calling_list: str | None
    device_path: str | None
    operation: str | None
    """The `operationName` of the REST call that this kind of notification answers."""
    account: str
    received_at: str
    """When the bridge received it, RFC 3339."""
    original: msgspec.Raw
    """The message's `data` as it came."""
