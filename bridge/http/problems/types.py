"""The catalogue of problem codes of the REST API, with an example of each."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final, TypeAlias

from bridge.operations import LARGEST_REQUEST

Example: TypeAlias = dict[str, Any]

TYPE: Final = "urn:cometd-kafka-bridge:problem:"
FOREIGN_HOST: Final = (
    "The bridge does not accept the host name in the header Host. The setting BRIDGE_HTTP__ALLOWED_HOSTS can allow it."
)
FOREIGN_ORIGIN: Final = "The bridge does not accept requests from web pages of another origin."
INTERNAL: Final = "The bridge failed because of a bug. Its log has the details."
KEY_MISMATCH: Final = "The Idempotency-Key differs from the body's referenceId. Send only one of the two."
NO_NUMBERS: Final = (
    "The bridge can't search for a phone number, because the setting privacy.phone_numbers is `omit`. Search by "
    "referenceId or by record."
)
NO_SIGNING_KEYS: Final = "The bridge can't fetch the keys that verify tokens. Try again later."
UNDELIVERED: Final = (
    "The request did not get through to Web Services. Send the request again. It may have the same referenceId."
)
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
    (400, "malformed-json", "The body is not valid JSON: An object has the same name twice.", {"statusCode": 10}),
    (400, "malformed-request", "The request is not valid HTTP.", {}),
    (401, "unauthenticated", "Send a bearer token: `Authorization: Bearer …`.", {}),
    (403, "foreign-origin", FOREIGN_ORIGIN, {}),
    (403, "insufficient-scope", "The token lacks the scope operations:write, needed to submit operations.", {}),
    (
        404,
        "unknown-account",
        "The bridge has no account of that name. Without the header the bridge uses its default account.",
        {"statusCode": 10} | _REFERENCE | _fault("header", "X-Account", "The bridge has no account of that name."),
    ),
    (404, "unknown-operation", "No operation with that referenceId is known. Old operations are forgotten.", {}),
    (404, "no-evidence", "No record about this reference was found. Records read on gws.operations.v1: 3.", {}),
    (404, "not-found", "Not Found", {}),
    (405, "method-not-allowed", "Method Not Allowed", {}),
    (408, "body-too-slow", "The body did not arrive within 10 s.", {}),
    (413, "body-too-large", f"The body has more than {LARGEST_REQUEST} bytes.", {}),
    (415, "unsupported-media-type", "The body must be application/json.", {}),
    (421, "foreign-host", FOREIGN_HOST, {}),
    (
        422,
        "invalid-request",
        "The request is invalid. Nothing was forwarded. Missing or invalid: campaignName.",
        {"statusCode": 1} | _REFERENCE | _fault("body", "campaignName", "Field required", 1),
    ),
    (
        422,
        "idempotency-key-mismatch",
        KEY_MISMATCH,
        {"statusCode": 10} | _REFERENCE | _fault("header", "Idempotency-Key", KEY_MISMATCH),
    ),
    (
        422,
        "reference-conflict",
        "The referenceId belongs to another request. Nothing was forwarded. Remedy: use a new referenceId.",
        _REFERENCE,
    ),
    (
        422,
        "number-search-impossible",
        NO_NUMBERS,
        {"statusCode": 10},
    ),
    (
        429,
        "too-many-requests",
        "Too many requests of this caller are under way. Nothing was forwarded. Wait for some to end first.",
        {},
    ),
    (
        422,
        "too-much-evidence",
        "The subject has more than 50,000 records, which are too many for one bundle.",
        {},
    ),
    (429, "busy", "Too many operations are under way. Nothing was forwarded.", _REFERENCE),
    (500, "internal", INTERNAL, _REFERENCE),
    (
        502,
        "upstream-invalid-reply",
        "Web Services, or something in front of it, answered HTTP 503 without a statusCode",
        _REFERENCE,
    ),
    (
        502,
        "timestamp-refused",
        "The time-stamping authority https://tsa.example.com can't be reached (TimeoutError).",
        {},
    ),
    (503, "upstream-unreachable", "Web Services can't be reached: no connection (Connection refused)", _REFERENCE),
    (503, "login-refused", "Web Services refuses the account's name or password", _REFERENCE),
    (
        503,
        "login-not-kept",
        "Web Services forgets each login at the next request; is the balancer sticky?",
        _REFERENCE,
    ),
    (503, "kafka-unavailable", "Kafka is unreachable now, so the bridge can't store the request there.", _REFERENCE),
    (503, "ledger-unread", "The bridge is still reading earlier operations from Kafka. Try again later.", {}),
    (503, "undelivered", UNDELIVERED, _REFERENCE),
    (503, "signing-keys-unavailable", NO_SIGNING_KEYS, {}),
    (504, "upstream-timeout", "Web Services did not answer within 10 s", _REFERENCE),
)
OTHER: Final = "http"
"""The code of HTTP errors that have no code of their own."""


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
            {"statusCode": number, "statusMessage": "the message of Web Services"} | _REFERENCE,
        )
        for status, number, meaning in _REJECTED
    ),
)
"""An example for each code and each HTTP status that the code occurs with."""
CODES: Final = sorted({*(example["code"] for example in EXAMPLES), OTHER})
ADMISSION: Final = ("foreign-origin", "foreign-host", "too-many-requests")
"""The codes that every route of the API may answer with."""
GUARD: Final = ("unauthenticated", "insufficient-scope", "signing-keys-unavailable")
"""The further codes that a route with authentication may answer with."""
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
"""The further codes that the routes for submitting an operation may answer with."""
