"""The fields that a row can have, and the column names by which each field is recognised."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "phone": frozenset({"phone", "phonenumber", "telephone", "telephonenumber", "number", "msisdn", "gswphone"}),
    "handle": frozenset({"handle", "recordhandle", "gswrecordhandle"}),
    "application": frozenset({"application", "applicationid", "gswapplicationid"}),
    "campaign": frozenset({"campaign", "campaignname", "gswcampaignname"}),
    "list": frozenset({"list", "callinglist", "gswcallinglist"}),
    "device": frozenset({"device", "devicepath"}),
    "chain": frozenset({"chain", "chainattribute", "gswchainattr"}),
    "account": frozenset({"account"}),
}
"""The column names that are recognised without `--column`, for each field: in lower case, only letters and digits."""
_NOT_NAMES: Final = re.compile(r"[^a-z0-9]")


def field_of(name: str) -> str | None:
    """Return the field that a column with this name contains, or None if the name is unknown."""
    plain = _NOT_NAMES.sub("", name.lower())
    return next((field for field, names in FIELDS.items() if plain in names), None)


class RowInvalid(Exception):
    """A row can't be sent. `reason` is a stable word. `detail` is a sentence that never contains the row's value."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
