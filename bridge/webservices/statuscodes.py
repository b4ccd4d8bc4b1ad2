"""The statusCodes of Web Services: the meaning of each, and the HTTP status of the bridge's reply to the caller.

Source: the documentation page Return Values (8.6.0). Older servers have only the first six statusCodes. Newer servers
may have more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

OK: Final = 0
MISSING: Final = 1
PARTIAL_SUCCESS: Final = 7
PASSWORD_CHANGE_DEMANDED: Final = 8
INVALID: Final = 10
NOT_AUTHENTICATED: Final = 20


@dataclass(frozen=True, slots=True)
class StatusCode:
    """The meaning of a statusCode, the caller's remedy, and the HTTP status of the bridge's reply."""

    meaning: str
    remedy: str
    http_status: int


_STATE = "repeat the request after that state has changed, not before"

STATUS_CODES: Final[Mapping[int, StatusCode]] = {
    OK: StatusCode("accepted", "wait for the acknowledgement", 200),
    MISSING: StatusCode("a required parameter is missing", "add it", 422),
    2: StatusCode("a parameter is invalid in the current state", "correct it", 422),
    3: StatusCode("the operation is forbidden", "ask the administrator of Web Services", 403),
    # It comes with HTTP 500, but means a state ("device is not registered"), so an immediate retry changes nothing.
    4: StatusCode("the present state of Web Services, or of a server behind it, does not allow it", _STATE, 409),
    5: StatusCode("the account lacks the permission", "ask the administrator of Web Services", 403),
    6: StatusCode("the resource is not there", "correct the path", 404),
    PARTIAL_SUCCESS: StatusCode("only a part was done", "read the message, then repeat the request", 409),
    PASSWORD_CHANGE_DEMANDED: StatusCode("the account's password must be changed", "tell the operator", 503),
    9: StatusCode("the processing is incomplete", _STATE, 409),
    INVALID: StatusCode("a parameter is not valid", "correct it", 422),
    11: StatusCode("a property is read-only", "leave it out", 422),
    12: StatusCode("the object can't be retrieved", _STATE, 409),
    13: StatusCode("the object can't be created", _STATE, 409),
    14: StatusCode("the object can't be deleted", _STATE, 409),
    15: StatusCode("the object can't be updated", _STATE, 409),
    16: StatusCode("the object can't be assigned", _STATE, 409),
    17: StatusCode("the object can't be unassigned", _STATE, 409),
    18: StatusCode("the object already exists", "do nothing, or choose another name", 409),
    19: StatusCode("the object is in use", _STATE, 409),
    # Callers get the problem codes `login-refused` and `login-not-kept` instead.
    NOT_AUTHENTICATED: StatusCode("the bridge's login is not accepted", "tell the operator; try again later", 503),
}

_UNKNOWN = StatusCode("Web Services does not document this code", "read the message", 409)


def status_code(number: int) -> StatusCode:
    """Return the meaning of a statusCode. An undocumented statusCode counts as a refusal."""
    return STATUS_CODES.get(number, _UNKNOWN)


def refusal(number: int) -> str:
    """Return a sentence that says why Web Services refuses an operation, and what the caller should do."""
    known = status_code(number)
    return f"Web Services refuses: {known.meaning} (statusCode {number}). Remedy: {known.remedy}."
