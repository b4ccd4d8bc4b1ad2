"""The answers of Web Services to accepted and refused requests: HTTP status, statusCode, statusMessage.

Source of the codes: the page Return Values of the Web Services documentation. A real server was seen to send HTTP
status 403 with code 20, and 500 with code 4. The HTTP status for codes 1 and 10 is unknown, so the simulator uses 400.
"""

from dataclasses import dataclass

import msgspec
from aiohttp import web


@dataclass(frozen=True)
class Refusal:
    """A refusal by Web Services. `status_code` is None if the answer is plain text (for a missing CSRF token)."""

    http_status: int
    status_code: int | None
    message: str


class RefusedError(Exception):
    """Web Services refuses a request."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


ACCESS_DENIED = Refusal(403, 20, "Access denied")
FORBIDDEN = Refusal(403, 3, "Forbidden")
NO_PERMISSION = Refusal(403, 5, "No permission")
CSRF = Refusal(403, None, "Missing or invalid Csrf token")
NOT_REGISTERED = Refusal(500, 4, "Device '5001' is not registered.")
NOT_FOUND = Refusal(404, 6, "Resource not found")
UNKNOWN_OPERATION = Refusal(400, 10, "Unknown operation for this resource")


def missing(parameter: str) -> Refusal:
    """Return the refusal of a request without a required parameter."""
    return Refusal(400, 1, f"Required parameter '{parameter}' is missing")


def invalid(parameter: str) -> Refusal:
    """Return the refusal of a request with a parameter of a wrong type or form."""
    return Refusal(400, 10, f"Parameter '{parameter}' is not valid")


def ok(**attributes: object) -> web.Response:
    """Return a response with statusCode 0 and further attributes."""
    return _json(200, {"statusCode": 0, **attributes})


def no(refusal: Refusal) -> web.Response:
    """Return a response with a refusal."""
    if refusal.status_code is None:
        return web.Response(status=refusal.http_status, text=refusal.message)
    return _json(refusal.http_status, {"statusCode": refusal.status_code, "statusMessage": refusal.message})


def _json(http_status: int, body: dict[str, object]) -> web.Response:
    encoded = msgspec.json.encode(body)
    return web.Response(status=http_status, body=encoded, content_type="application/json", charset="utf-8")
