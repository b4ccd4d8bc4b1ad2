"""Reads a caller's request for an outbound operation: the body, the Idempotency-Key and the trace context."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError

from bridge.http.problems.problems import header_refused
from bridge.http.problems.types import KEY_MISMATCH
from bridge.observability import tracing
from bridge.operations import LONGEST_REFERENCE, InvalidRequest, validated

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from starlette.datastructures import Headers

    from bridge.operations import Forms, OutboundRecordRequest

ACCOUNT: Final = "X-Account"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
BARE_KEY: Final = rf"^[!#-+.-~\-]{{1,{LONGEST_REFERENCE}}}$"
"""An Idempotency-Key without quotes, as most callers send it: visible ASCII, no double quotes and no commas."""
_QUOTED_KEY: Final = re.compile(rf'"((?:[ !#-\[\]-~]|\\["\\]){{1,{LONGEST_REFERENCE}}})"')


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
        request = validated(body, forms, enabled)
    except InvalidRequest as error:
        found = [{**one, "loc": ("body", *one["loc"])} for one in error.faults]
        raise RequestValidationError(found, body=body) from None
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


def traceparent(headers: Headers) -> str | None:
    """Return the header traceparent (W3C trace context), None if it is missing or malformed."""
    return tracing.well_formed(headers.get("traceparent"))


def _idempotency_key(sent: str | None) -> str | None:
    """Parse the key: a quoted string (RFC 9651, section 3.3.3), or without quotes, as most callers send it."""
    if sent is None:
        return None
    if re.fullmatch(BARE_KEY, sent):
        return sent
    if quoted := _QUOTED_KEY.fullmatch(sent):
        return re.sub(r"\\(.)", r"\1", quoted[1])
    raise header_refused(
        IDEMPOTENCY_KEY,
        "invalid-request",
        f"Should be 1 to {LONGEST_REFERENCE} characters of visible ASCII without commas, or a quoted string of ASCII",
    )
