"""Turns a row of the list into the operation that the bridge is asked to forward."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from bridge.commands.mark.fields import FIELDS, RowInvalid
from bridge.commands.mark.numbers import number_reader
from bridge.commands.mark.source import REPLACEMENT
from bridge.errors import UnusableInput
from bridge.webservices import LARGEST_ID, DoNotCallByHandle, DoNotCallByNumber

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bridge.commands.mark.rows import Row

OPERATION: Final = "DoNotCallRecord"
NAMES: Final = {
    "application": "applicationId",
    "campaign": "campaignName",
    "list": "callingList",
    "device": "devicePath",
    "chain": "chainAttribute",
    "phone": "phoneNumber",
}
"""The member of the request for each field of a row."""
_IDENTITY: Final = ("account", "application", "campaign", "list", "handle", "phone")
"""The fields that identify the record of a row."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The operation of one row. `values` maps each field to the text that is sent."""

    row: int
    values: Mapping[str, str]

    @property
    def account(self) -> str | None:
        """The account that forwards the operation, or None for the bridge's default account."""
        return self.values.get("account")

    @property
    def handle(self) -> int | None:
        """The record handle, or None if the phone number identifies the record."""
        handle = self.values.get("handle")
        return None if handle is None else int(handle)

    @property
    def identity(self) -> bytes:
        """A digest of the record's identity. Two rows about the same record have equal digests."""
        return identity_of(self.values)

    def body(self, reference_id: str) -> dict[str, Any]:
        """Return the body of the request, with this referenceId."""
        members: dict[str, Any] = {NAMES[field]: value for field, value in self.values.items() if field in NAMES}
        members["applicationId"] = int(members["applicationId"])
        return {"operationName": OPERATION, **members, "referenceId": reference_id}


def reference_of(job: str, row: int, attempt: int) -> str:
    """Return the referenceId of a row: JOB-ROW for the first attempt, JOB-ROW.ATTEMPT for a later one.

    With the same list and job name, each run uses the same referenceIds. So the bridge forwards no row twice.
    ReferenceIds appear in logs, so they contain neither a phone number nor its digest.
    """
    return f"{job}-{row}" if attempt == 1 else f"{job}-{row}.{attempt}"


def identity_of(values: Mapping[str, str]) -> bytes:
    """Return a digest of the fields that identify the record: with the phone number only if there is no handle."""
    named = [values.get(field) or "" for field in _IDENTITY[: -1 if values.get("handle") else None]]
    return hashlib.blake2b("\0".join(named).encode(errors="surrogatepass"), digest_size=16).digest()


class EntryReader:
    """Converts rows to entries. If a cell is empty or missing, its value comes from `defaults`."""

    def __init__(self, defaults: Mapping[str, str], region: str | None, columns: Collection[str]) -> None:
        """Check that each required field has a column (in `columns`) or a default.

        Raises:
            CommandFailed: the library for numbering plans is not installed.
            UnusableInput: a required field has neither a column nor a default, or the region does not exist.
        """
        self._defaults = {field: value for field, value in defaults.items() if value}
        self._number = number_reader(region)
        known = {*columns, *self._defaults}
        needed = ["application", "campaign", "device"] + ([] if "phone" in known else ["list"])
        missing = [field for field in needed if field not in known]
        if missing:
            options = ", ".join(f"--{field}" for field in missing)
            raise UnusableInput(f"each row needs {' and '.join(missing)}: give a column, or {options}")

    def entry(self, row: Row) -> Entry:
        """Return the operation of a row, after the checks that the bridge's REST API makes too.

        Raises:
            RowInvalid: the row can't be sent.
        """
        values = self._defaults | dict(row.cells)
        for field, value in values.items():
            if not value.isprintable() or REPLACEMENT in value:
                raise RowInvalid("characters", f"{field} has characters that can't be printed or decoded")
        if "phone" in values:
            values["phone"] = self._number(values["phone"])
        elif "handle" not in values:
            raise RowInvalid("no-record", "the row has neither a phone number nor a record handle")
        for field in ("handle", "application"):
            if field in values:
                values[field] = _whole(field, values[field])
        if "/" not in values.get("device", "/"):
            values["device"] = f"/devices/{values['device']}"
        missing = [field for field in ("application", "campaign", "device") if field not in values]
        if missing:
            raise RowInvalid("missing", f"the row has no {' and no '.join(missing)}")
        entry = Entry(row.number, {field: values[field] for field in FIELDS if field in values})
        _check(entry)
        return entry


def _whole(field: str, text: str) -> str:
    if not (text.isascii() and text.isdecimal()) or int(text[:20]) > LARGEST_ID:
        raise RowInvalid(f"invalid-{field}", f"{field} must be a whole number, in digits, at most {LARGEST_ID}")
    return str(int(text))


def _check(entry: Entry) -> None:
    form = DoNotCallByNumber if entry.handle is None else DoNotCallByHandle
    try:
        form.model_validate(entry.body("-"))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        faults = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found)
        raise RowInvalid("invalid-request", faults) from None
