"""The statusCodes of Web Services: what each means, and the HTTP status that the bridge answers its caller with.

Source: the documentation page Return Values (8.6.0). Older servers know only the first six, newer ones may know more.
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
    """One statusCode: its meaning and what the caller should do, each a phrase; and the bridge's HTTP status."""

    meaning: str
    remedy: str
    http_status: int


_STATE = "repeat the request once the state it speaks of has changed, not before"

STATUS_CODES: Final[Mapping[int, StatusCode]] = {
    OK: StatusCode("accepted", "wait for the acknowledgement", 200),
    MISSING: StatusCode("a required parameter is missing", "add it", 422),
    2: StatusCode("a parameter is invalid in the current state", "correct it", 422),
    3: StatusCode("the operation is forbidden", "ask the administrator of Web Services", 403),
    # Arrives with HTTP 500, yet names a state ("device is not registered"), so a blind retry changes nothing.
    4: StatusCode("the present state of Web Services, or of a server behind it, does not allow it", _STATE, 409),
    5: StatusCode("the account lacks the permission", "ask the administrator of Web Services", 403),
    6: StatusCode("the resource is not there", "correct the path", 404),
    PARTIAL_SUCCESS: StatusCode("only a part was done", "read the message, then repeat the request", 409),
    PASSWORD_CHANGE_DEMANDED: StatusCode("the account's password must be changed", "tell the operator", 503),
    9: StatusCode("the processing is incomplete", _STATE, 409),
    INVALID: StatusCode("a parameter is not valid", "correct it", 422),
    11: StatusCode("a property is read-only", "leave it out", 422),
    12: StatusCode("it can't be retrieved", _STATE, 409),
    13: StatusCode("it can't be created", _STATE, 409),
    14: StatusCode("it can't be deleted", _STATE, 409),
    15: StatusCode("it can't be updated", _STATE, 409),
    16: StatusCode("it can't be assigned", _STATE, 409),
    17: StatusCode("it can't be unassigned", _STATE, 409),
    18: StatusCode("it already exists", "nothing is left to do, or choose another name", 409),
    19: StatusCode("it is in use", _STATE, 409),
    # No caller sees it: a refused login is `login-refused`, a login that was forgotten at once `login-not-kept`.
    NOT_AUTHENTICATED: StatusCode("the bridge's login is not accepted", "tell the operator; try again later", 503),
}

_UNKNOWN = StatusCode("Web Services refuses it with a code that is not documented", "read the message", 409)


def status_code(number: int) -> StatusCode:
    """Look a statusCode up; one that is not documented is a refusal all the same."""
    return STATUS_CODES.get(number, _UNKNOWN)


def refusal(number: int) -> str:
    """Say that Web Services refuses an operation, why, and what the caller should do."""
    known = status_code(number)
    return f"Web Services refuses: {known.meaning} (statusCode {number}). Remedy: {known.remedy}."
