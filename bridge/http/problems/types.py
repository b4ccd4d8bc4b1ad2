"""The problems that the REST side can answer with: the catalogue of their codes, each with an example."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final, TypeAlias

Example: TypeAlias = dict[str, Any]

TYPE: Final = "urn:cometd-kafka-bridge:problem:"
_REFERENCE: Final[dict[str, Any]] = {"referenceId": "123456789"}


def _fault(location: str, name: str, detail: str, code: int = 10) -> dict[str, Any]:
    return {"errors": [{"location": location, "name": name, "detail": detail, "statusCode": code}]}


_REJECTED: Final = (
    (403, 3, "the operation is forbidden"),
    (404, 6, "the resource is not there"),
    (409, 4, "the present state of Web Services, or of a server behind it, does not allow it"),
    (422, 10, "a parameter is not valid"),
    (503, 8, "the account's password must be changed"),
)
_PLAIN: Final[tuple[tuple[int, str, str, Example], ...]] = (
    (400, "malformed-json", "The body is not JSON: A name stands twice in one object.", {"statusCode": 10}),
    (400, "malformed-request", "The request is not valid HTTP.", {}),
    (401, "unauthenticated", "Send a bearer token: `Authorization: Bearer …`.", {}),
    (403, "foreign-origin", "A web page of another origin may not use the bridge.", {}),
    (403, "insufficient-scope", "The token lacks the scope operations:write: it may not hand operations in.", {}),
    (
        404,
        "unknown-account",
        "The bridge has no account of that name; leave the header out for the default one.",
        {"statusCode": 10} | _REFERENCE | _fault("header", "X-Account", "The bridge has no account of that name."),
    ),
    (404, "unknown-operation", "No operation of that referenceId is known: it never was, or it is too old.", {}),
    (404, "not-found", "Not Found", {}),
    (405, "method-not-allowed", "Method Not Allowed", {}),
    (408, "body-too-slow", "The body did not come within 10 s.", {}),
    (413, "body-too-large", "The body has more than 65536 bytes.", {}),
    (415, "unsupported-media-type", "The body must be application/json.", {}),
    (421, "foreign-host", "The bridge does not answer under the name in the header Host.", {}),
    (
        422,
        "invalid-request",
        "Nothing was forwarded; missing or wrong: campaignName.",
        {"statusCode": 1} | _REFERENCE | _fault("body", "campaignName", "Field required", 1),
    ),
    (
        422,
        "idempotency-key-mismatch",
        "It is not the body's referenceId; send one of the two, or the same.",
        {"statusCode": 10} | _REFERENCE | _fault("header", "Idempotency-Key", "It is not the body's referenceId."),
    ),
    (
        422,
        "reference-conflict",
        "The referenceId belongs to another request; nothing was forwarded. Remedy: use a new one.",
        _REFERENCE,
    ),
    (429, "too-many-requests", "Too many requests of this caller are under way; nothing was forwarded.", {}),
    (429, "busy", "Too many operations are under way; nothing was forwarded.", _REFERENCE),
    (500, "internal", "The bridge failed; its log says where.", _REFERENCE),
    (
        502,
        "upstream-invalid-reply",
        "Web Services, or something in front of it, answered HTTP 503 without a statusCode",
        _REFERENCE,
    ),
    (503, "upstream-unreachable", "Web Services can't be reached: no connection (Connection refused)", _REFERENCE),
    (503, "login-refused", "Web Services refuses the account's name or password", _REFERENCE),
    (
        503,
        "login-not-kept",
        "Web Services forgets each login at the next request; is the balancer sticky?",
        _REFERENCE,
    ),
    (503, "kafka-unavailable", "Kafka can't be written now, so the request can't be made durable", _REFERENCE),
    (503, "ledger-unread", "The bridge is still reading earlier operations from Kafka; try again later.", {}),
    (
        503,
        "undelivered",
        "Web Services never judged the operation; send it again, under the same referenceId if you like.",
        _REFERENCE,
    ),
    (503, "signing-keys-unavailable", "The keys that sign tokens can't be fetched; try again later.", {}),
    (504, "upstream-timeout", "Web Services did not answer within 10 s", _REFERENCE),
)
OTHER: Final = "http"
"""The code of a refusal of the HTTP server that has none of its own."""


def _problem(status: int, code: str, detail: str, members: Example) -> Example:
    title = HTTPStatus(status).phrase
    return {"type": f"{TYPE}{code}", "title": title, "status": status, "detail": detail, "code": code} | members


EXAMPLES: Final[tuple[Example, ...]] = (
    *(_problem(*one) for one in _PLAIN),
    *(
        _problem(
            status,
            "upstream-rejected",
            f"Web Services refuses: {meaning} (statusCode {number}).",
            {"statusCode": number, "statusMessage": "its own words"} | _REFERENCE,
        )
        for status, number, meaning in _REJECTED
    ),
)
"""One problem of each code under each of its statuses."""
CODES: Final = sorted({*(example["code"] for example in EXAMPLES), OTHER})
ADMISSION: Final = ("foreign-origin", "foreign-host", "too-many-requests")
"""What every route for callers may answer, whoever they are."""
GUARD: Final = ("unauthenticated", "insufficient-scope", "signing-keys-unavailable")
"""What every route that asks for a token may answer."""
SUBMISSION: Final = (
    "malformed-json",
    "upstream-rejected",
    "unknown-account",
    "body-too-slow",
    "body-too-large",
    "unsupported-media-type",
    "invalid-request",
    "idempotency-key-mismatch",
    "reference-conflict",
    "busy",
    "upstream-invalid-reply",
    "upstream-unreachable",
    "login-refused",
    "login-not-kept",
    "kafka-unavailable",
    "undelivered",
    "upstream-timeout",
)
"""What a submitted operation may be answered with."""
