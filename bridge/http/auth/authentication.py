"""Authentication by bearer token (RFC 6750), or no authentication.

Every request must carry the token, because there are no logins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from bridge.http.problems.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Scope: TypeAlias = Literal["operations:write", "operations:read", "operations:read-personal"]
WRITE: Final[Scope] = "operations:write"
READ: Final[Scope] = "operations:read"
PERSONAL: Final[Scope] = "operations:read-personal"
SCOPES: Final[Mapping[Scope, str]] = {
    WRITE: "submit operations",
    READ: "read operations and sessions",
    PERSONAL: "see phone numbers in the console without asking for each",
}
USUAL: Final[frozenset[Scope]] = frozenset({WRITE, READ})
"""The scopes of callers for whom no scopes are set."""
REALM: Final = "cometd-kafka-bridge"
_BEARER: Final = re.compile(r"bearer +([A-Za-z0-9\-._~+/]+=*) *", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request. `name` is None without authentication."""

    name: str | None
    scopes: frozenset[str]


class InvalidToken(Exception):
    """The token is not valid. The error's text never contains a part of the token."""


class Authentication(Protocol):
    """A way to authenticate callers."""

    @property
    def scheme(self) -> Mapping[str, Any] | None:
        """The security scheme for OpenAPI, None without authentication."""
        ...

    async def caller(self, token: str) -> Caller:
        """Return the caller that the token belongs to.

        Raises:
            InvalidToken: the token is not valid.
            Refused: (503) the token can't be checked now.
        """
        ...


class Unauthenticated:
    """Allows everything to every caller. Use it on loopback, or behind a proxy that authenticates the callers."""

    scheme: Mapping[str, Any] | None = None

    async def caller(self, token: str) -> Caller:
        """Accept every token."""
        del token
        return ANYBODY


ANYBODY: Final = Caller(None, USUAL)


async def admit(authentication: Authentication, headers: Sequence[str], scope: Scope) -> Caller:
    """Return the caller of a request with these `Authorization` headers, if the caller has the scope.

    Raises:
        Refused: 401 without a valid token, 403 without the scope, 503 if the token can't be checked now.
    """
    if not headers:
        raise _unauthorized("Send a bearer token: `Authorization: Bearer …`.", "")
    bearer = _BEARER.fullmatch(headers[0]) if len(headers) == 1 else None
    if bearer is None:
        raise _unauthorized("The header Authorization has no bearer token.", ', error="invalid_request"')
    try:
        caller = await authentication.caller(bearer[1])
    except InvalidToken:
        raise _unauthorized("The token is invalid or has expired.", ', error="invalid_token"') from None
    if scope not in caller.scopes:
        challenge = f'Bearer realm="{REALM}", error="insufficient_scope", scope="{scope}"'
        detail = f"The token lacks the scope {scope}, needed to {SCOPES[scope]}."
        raise Refused(403, "insufficient-scope", detail, headers={"WWW-Authenticate": challenge})
    return caller


def _unauthorized(detail: str, error: str) -> Refused:
    challenge = f'Bearer realm="{REALM}"{error}'
    return Refused(401, "unauthenticated", detail, headers={"WWW-Authenticate": challenge})
