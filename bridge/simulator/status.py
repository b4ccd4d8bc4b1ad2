"""How Web Services says yes and no: HTTP status, statusCode, statusMessage.

Source: the Return Values page (codes) and the wire (403 with 20, 500 with 4). The HTTP statuses of codes 1 and 10 are
not documented; 400 stands in for them.
"""

from dataclasses import dataclass

import msgspec
from aiohttp import web


@dataclass(frozen=True)
class Refusal:
    """A no of Web Services; `status_code` None is the plain text about the CSRF token, which has no code."""

    http_status: int
    status_code: int | None
    message: str


class RefusedError(Exception):
    """A request that Web Services turns down."""

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
    """A required parameter is not there."""
    return Refusal(400, 1, f"Required parameter '{parameter}' is missing")


def invalid(parameter: str) -> Refusal:
    """A parameter has a wrong type or shape."""
    return Refusal(400, 10, f"Parameter '{parameter}' is not valid")


def ok(**attributes: object) -> web.Response:
    """Answer statusCode 0, with further attributes."""
    return _json(200, {"statusCode": 0, **attributes})


def no(refusal: Refusal) -> web.Response:
    """Answer with a refusal."""
    if refusal.status_code is None:
        return web.Response(status=refusal.http_status, text=refusal.message)
    return _json(refusal.http_status, {"statusCode": refusal.status_code, "statusMessage": refusal.message})


def _json(http_status: int, body: dict[str, object]) -> web.Response:
    encoded = msgspec.json.encode(body)
    return web.Response(status=http_status, body=encoded, content_type="application/json", charset="utf-8")
