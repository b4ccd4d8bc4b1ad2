"""A row as the operation that it asks for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from bridge.commands.mark.fields import FIELDS, RowInvalid
from bridge.commands.mark.numbers import number_reader
from bridge.commands.mark.source import UNDECODABLE
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
"""The request's members by field."""
_IDENTITY: Final = ("account", "application", "campaign", "list", "handle", "phone")
"""The fields that tell which record a row is about."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row's operation. `values` are its fields as they are sent."""

    row: int
    values: Mapping[str, str]

    @property
    def account(self) -> str | None:
        """The bridge's account that forwards it; None: its default one."""
        return self.values.get("account")

    @property
    def handle(self) -> int | None:
        """The record's handle; None where the phone number names the record."""
        handle = self.values.get("handle")
        return None if handle is None else int(handle)

    @property
    def identity(self) -> bytes:
        """Stands for the record: equal for two rows about one record."""
        return identity_of(self.values)

    def body(self, reference_id: str) -> dict[str, Any]:
        """Return the request under that referenceId."""
        members: dict[str, Any] = {NAMES[field]: value for field, value in self.values.items() if field in NAMES}
        members["applicationId"] = int(members["applicationId"])
        return {"operationName": OPERATION, **members, "referenceId": reference_id}


def reference_of(job: str, row: int, attempt: int) -> str:
    """Return the referenceId of a row: the job's name and the row's line; with the attempt, if it is not the first.

    The same list under the same job has the same referenceIds, so that the bridge forwards nothing twice. They hold no
    phone number, and no digest of any: they appear in logs.
    """
    return f"{job}-{row}" if attempt == 1 else f"{job}-{row}.{attempt}"


def identity_of(values: Mapping[str, str]) -> bytes:
    """Return a digest of the fields that tell which record is meant: with a handle, the phone number tells no more."""
    named = [values.get(field) or "" for field in _IDENTITY[: -1 if values.get("handle") else None]]
    return hashlib.blake2b("\0".join(named).encode(errors="surrogatepass"), digest_size=16).digest()


class EntryReader:
    """Makes entries of rows; `defaults` (by field) stand in for cells that a row does not have."""

    def __init__(self, defaults: Mapping[str, str], region: str | None, columns: Collection[str]) -> None:
        """Check that every row can have what it needs.

        Raises:
            CommandFailed: the numbering plans are not installed.
            UnusableInput: a field has neither a column nor a default, or there is no such region.
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
        """Return a row's operation, checked by the rules of the bridge's REST side.

        Raises:
            RowInvalid: it can't be sent.
        """
        values = self._defaults | dict(row.cells)
        for field, value in values.items():
            if not value.isprintable() or UNDECODABLE in value:
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
