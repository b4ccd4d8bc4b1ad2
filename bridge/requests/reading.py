"""Reads a record of the request topic, by the same rules as a REST call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bridge.events import request
from bridge.observability import tracing
from bridge.operations import (
    LARGEST_ID,
    LARGEST_REQUEST,
    LONGEST_REFERENCE,
    InvalidRequest,
    Submission,
    parse_json,
    request_forms,
    validated,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bridge.delivery import ConsumedRecord
    from bridge.events import Encoding

_HEADERS: Final = ("ce_specversion", "ce_id", "ce_source", "ce_type")
"""The attributes that CloudEvents requires."""
_MEMBERS: Final = frozenset({"account", "recordHandle", "request"})


class Envelope(NamedTuple):
    """The known parts of a record. A part is None if it is missing or invalid."""

    reference_id: str | None = None
    requested_by: str | None = None
    account: str | None = None
    record_handle: int | None = None
    request: Mapping[str, Any] | None = None


class Refused(Exception):
    """The record can't become an operation. `problem` is a stable word, and `detail` quotes nothing of the record."""

    def __init__(self, problem: str, detail: str, envelope: Envelope) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail
        self.envelope = envelope


class RequestReading:
    """Reads records. `enabled` has the names of the operations that may be requested."""

    def __init__(self, encoding: Encoding, enabled: Collection[str]) -> None:
        self._encoding = encoding
        self._enabled = enabled
        self._on_record = request_forms(enabled, with_handle=True)
        self._on_none = request_forms(enabled, with_handle=False)

    async def submission(self, record: ConsumedRecord) -> Submission:
        """Return the operation that a record requests.

        Raises:
            Refused: the record is invalid.
            RegistryUnavailable: the schema registry does not return the value's schema now.
        """
        reference = _reference(record.key)
        envelope = Envelope(reference, requested_by=_text(record.headers.get("ce_source")))
        if reference is None:
            detail = f"The key must be the referenceId: 1 to {LONGEST_REFERENCE} characters in UTF-8."
            raise Refused("reference-invalid", detail, envelope)
        if (fault := _header_fault(record.headers)) is not None:
            raise Refused("headers-invalid", fault, envelope)
        envelope = _with_members(envelope, await self._value(record.value, envelope))
        assert envelope.request is not None
        forms = self._on_none if envelope.record_handle is None else self._on_record
        try:
            body = validated(envelope.request, forms, self._enabled)
        except InvalidRequest as error:
            raise Refused("invalid-request", str(error), envelope) from None
        if body.reference_id not in {None, reference}:
            raise Refused("reference-mismatch", "request.referenceId differs from the record's key.", envelope)
        return Submission(
            envelope.account,
            envelope.record_handle,
            body.with_reference(reference),
            envelope.requested_by,
            tracing.well_formed(_text(record.headers.get("traceparent"))),
        )

    async def _value(self, value: bytes | None, envelope: Envelope) -> Any:
        if not value:
            raise Refused("value-missing", "The record has no value.", envelope)
        content = await self._encoding.json_of(value) if len(value) <= LARGEST_REQUEST else value
        if len(content) > LARGEST_REQUEST:
            raise Refused("value-too-large", f"The value has more than {LARGEST_REQUEST} bytes.", envelope)
        try:
            return parse_json(content)
        except json.JSONDecodeError as error:
            raise Refused("malformed-json", f"The value is not valid JSON: {error.msg}", envelope) from None


def _with_members(envelope: Envelope, value: Any) -> Envelope:
    """Add the members of the value.

    Raises:
        Refused: the value has an unknown member, or a member is missing or not valid.
    """
    if not isinstance(value, dict):
        raise Refused("invalid-request", "The value should be an object.", envelope)
    account, handle, body = value.get("account"), value.get("recordHandle"), value.get("request")
    if isinstance(handle, float) and handle.is_integer():
        handle = int(handle)  # JSON Schema counts 13.0 as a whole number
    faults = []
    if not (account is None or (isinstance(account, str) and account)):
        faults.append("account: should be a text, or null")
        account = None
    if not (handle is None or (type(handle) is int and 0 <= handle <= LARGEST_ID)):
        faults.append(f"recordHandle: should be a whole number from 0 to {LARGEST_ID}, or null")
        handle = None
    if not isinstance(body, dict):
        faults.append("request: should be an object")
        body = None
    if value.keys() - _MEMBERS:
        faults.append(f"the only allowed members are {', '.join(sorted(_MEMBERS))}")
    envelope = envelope._replace(account=account, record_handle=handle, request=body)
    if faults:
        raise Refused("invalid-request", "; ".join(faults), envelope)
    return envelope


def _reference(key: bytes | None) -> str | None:
    text = _text(key)
    return text if text is not None and len(text) <= LONGEST_REFERENCE else None


def _text(sent: bytes | None) -> str | None:
    """Return the text of a key or a header. None if it is missing, empty or not UTF-8."""
    try:
        return sent.decode() if sent else None
    except UnicodeDecodeError:
        return None


def _header_fault(headers: Mapping[str, bytes]) -> str | None:
    missing = [name for name in _HEADERS if _text(headers.get(name)) is None]
    if missing:
        return f"Headers that CloudEvents requires are missing or not UTF-8: {', '.join(missing)}."
    if headers["ce_specversion"] != b"1.0":
        return "ce_specversion should be 1.0."
    if headers["ce_type"] != request.TYPE.encode():
        return f"ce_type should be {request.TYPE}."
    return None
