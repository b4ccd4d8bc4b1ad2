"""Reads a submission from the HTTP request: the operation, its referenceId and its trace context."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from bridge.http.problems.problems import header_refused
from bridge.http.problems.types import KEY_MISMATCH
from bridge.operations import OUTBOUND_OPERATIONS, OutboundRecordRequest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from fastapi import Request
    from starlette.datastructures import Headers

ACCOUNT: Final = "X-Account"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
BARE_KEY: Final = r"^[!#-+.-~\-]{1,255}$"
"""An Idempotency-Key without quotes, as most callers send it: visible ASCII, no double quotes and no commas."""
_QUOTED_KEY: Final = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\]){1,510})"')
_TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
Forms: TypeAlias = "Mapping[str, type[OutboundRecordRequest]]"
"""The model of each operation's request, by `operationName`."""


def read_request(
    body: Any, forms: Forms, enabled: Collection[str], headers: Mapping[str, str]
) -> OutboundRecordRequest:
    """Validate a body. If the body has no referenceId, the Idempotency-Key becomes the referenceId.

    Raises:
        RequestValidationError: the body is not a valid request, or its operation is not enabled.
        Refused: the Idempotency-Key is malformed, or differs from the body's referenceId.
    """
    key = _idempotency_key(headers.get(IDEMPOTENCY_KEY))
    try:
        request = _form(body, forms, enabled).model_validate(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in found], body=body) from None
    if key is None:
        return request
    if request.reference_id not in {None, key}:
        code, reference = "idempotency-key-mismatch", request.reference_id
        raise header_refused(IDEMPOTENCY_KEY, code, KEY_MISMATCH, reference_id=reference)
    return request.with_reference(key)


def check_headers(headers: Headers) -> None:
    """Refuse a request that repeats X-Account or Idempotency-Key, because it is unclear which value the caller means.

    Raises:
        Refused: one of the headers is repeated.
    """
    for name in (ACCOUNT, IDEMPOTENCY_KEY):
        if len(headers.getlist(name)) > 1:
            raise header_refused(name, "invalid-request", "Must not be repeated")


def traceparent(request: Request) -> str | None:
    """Return the header traceparent (W3C trace context), None if it is missing or malformed."""
    sent = request.headers.get("traceparent", "")
    return sent if _TRACEPARENT.fullmatch(sent) else None


def _form(body: Any, forms: Forms, enabled: Collection[str]) -> type[OutboundRecordRequest]:
    if not isinstance(body, dict):
        fault = {"type": "dict_type", "loc": ("body",), "msg": "Input should be an object"}
        raise RequestValidationError([fault], body=body)
    name = body.get("operationName")
    if name is None and "operationName" not in body:
        return OutboundRecordRequest  # its validation reports all missing fields
    form = forms.get(name) if isinstance(name, str) else None
    if form is None:
        fault = {"type": "operation_name", "loc": ("body", "operationName"), "msg": _wrong_name(name, forms, enabled)}
        raise RequestValidationError([fault], body=body)
    return form


def _wrong_name(name: Any, forms: Forms, enabled: Collection[str]) -> str:
    operation = OUTBOUND_OPERATIONS.get(name) if isinstance(name, str) else None
    if operation is None:
        return f"Input should be one of: {', '.join(forms)}"
    if name not in enabled:
        return f"{name} is not enabled in this bridge's settings. Enabled: {', '.join(enabled)}"
    if operation.by_handle is None:
        return f"{name} takes no record handle in the path"
    return f"{name} needs a record handle in the path"


def _idempotency_key(sent: str | None) -> str | None:
    """Parse the key: a quoted string (RFC 9651, section 3.3.3), or without quotes, as most callers send it."""
    if sent is None:
        return None
    if re.fullmatch(BARE_KEY, sent):
        return sent
    if quoted := _QUOTED_KEY.fullmatch(sent):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
        if len(key) <= 255:
            return key
    raise header_refused(
        IDEMPOTENCY_KEY,
        "invalid-request",
        "Should be 1 to 255 characters of visible ASCII without commas, or a quoted string of ASCII",
    )
