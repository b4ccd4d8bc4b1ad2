"""Types that fields of several kinds share. What an annotation tells is the contract; `bridge.contract` writes it out.

Nothing of it is looked at when a value is made or encoded; when one is decoded only bounds are, which costs nothing.
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
            # Not msgspec's own `pattern`: that would be matched against each event of the ledger that a start decodes.
            "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
        }
    ),
]
JsonObject: TypeAlias = Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object"})]
JsonObjectOrNull: TypeAlias = Annotated[msgspec.Raw, Meta(extra_json_schema={"type": ["object", "null"]})]

Account: TypeAlias = Annotated[
    str, Meta(description="The Web Services account whose CometD session it concerns (the bridge's setting).")
]
ReplyReceivedAt: TypeAlias = Annotated[
    Time, Meta(description="When the bridge received the reply with the message, RFC 3339, UTC, milliseconds.")
]
Original: TypeAlias = Annotated[
    JsonObject,
    Meta(
        description="`data` of the CometD message as it came, byte for byte (only what is no UTF-8 or no text is "
        "replaced, and phone numbers where `privacy.phone_numbers` hides them)."
    ),
]
