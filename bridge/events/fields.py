"""Types of fields that several kinds of events share. `bridge.contract` generates the schemas from the annotations.

msgspec ignores the annotations when it creates or encodes a struct. While decoding, msgspec checks only bounds.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1

Int64: TypeAlias = Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
Time: TypeAlias = Annotated[
    str,
    Meta(
        extra_json_schema={
            "format": "date-time",
            # msgspec's own `pattern` would slow the start down, which decodes every event of the ledger.
            "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
        }
    ),
]
JsonObject: TypeAlias = Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object"})]
JsonObjectOrNull: TypeAlias = Annotated[msgspec.Raw, Meta(extra_json_schema={"type": ["object", "null"]})]

Account: TypeAlias = Annotated[str, Meta(description="Name of the Web Services account in the bridge's settings.")]
ReplyReceivedAt: TypeAlias = Annotated[
    Time, Meta(description="When the bridge received the reply with the message, RFC 3339, UTC, milliseconds.")
]
Original: TypeAlias = Annotated[
    JsonObject,
    Meta(
        description="The `data` of the CometD message, byte for byte. Only invalid characters are replaced, and phone "
        "numbers if `privacy.phone_numbers` hides them."
    ),
]
