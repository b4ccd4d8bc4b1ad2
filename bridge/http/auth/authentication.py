"""Who calls, and what they may do. Each request proves it anew, by a bearer token (RFC 6750) or not at all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from bridge.http.problems.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Scope: TypeAlias = Literal["operations:write", "operations:read"]
WRITE: Final[Scope] = "operations:write"
READ: Final[Scope] = "operations:read"
SCOPES: Final[Mapping[Scope, str]] = {
    WRITE: "hand operations in",
    READ: "see operations and sessions",
}
REALM: Final = "cometd-kafka-bridge"
_BEARER: Final = re.compile(r"bearer +([A-Za-z0-9\-._~+/]+=*) *", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls; `name` None: nobody asked."""

    name: str | None
    scopes: frozenset[str]


class InvalidToken(Exception):
    """The token proves nothing. The text never holds a part of it, and goes to the log's debug level at most."""


class Authentication(Protocol):
    """One way to prove who calls."""

    @property
    def scheme(self) -> Mapping[str, Any] | None:
        """The security scheme as OpenAPI has it; None where nobody need prove anything."""
        ...

    async def caller(self, token: str) -> Caller:
        """Tell whose token it is.

        Raises:
            InvalidToken: it is nobody's.
            Refused: (503) it can't be told now.
        """
        ...


class Unauthenticated:
    """Anybody may do everything: for callers on the same machine, or behind something that asks them."""

    scheme: Mapping[str, Any] | None = None

    async def caller(self, token: str) -> Caller:
        """Take any token, or none."""
        del token
        return ANYBODY


ANYBODY: Final = Caller(None, frozenset(SCOPES))


async def admit(authentication: Authentication, headers: Sequence[str], scope: Scope) -> Caller:
    """Let a request in by its `Authorization` headers, or refuse it.

    Raises:
        Refused: 401 without a valid token, 403 without the scope, 503 when it can't be told now.
    """
    if not headers:
        raise _unauthorized("Send a bearer token: `Authorization: Bearer …`.", "")
    bearer = _BEARER.fullmatch(headers[0]) if len(headers) == 1 else None
    if bearer is None:
        raise _unauthorized("The header Authorization holds no bearer token.", ', error="invalid_request"')
    try:
        caller = await authentication.caller(bearer[1])
    except InvalidToken:
        raise _unauthorized("The token is not valid, or no longer.", ', error="invalid_token"') from None
    if scope not in caller.scopes:
        challenge = f'Bearer realm="{REALM}", error="insufficient_scope", scope="{scope}"'
        detail = f"The token lacks the scope {scope}: it may not {SCOPES[scope]}."
        raise Refused(403, "insufficient-scope", detail, headers={"WWW-Authenticate": challenge})
    return caller


def _unauthorized(detail: str, error: str) -> Refused:
    challenge = f'Bearer realm="{REALM}"{error}'
    return Refused(401, "unauthenticated", detail, headers={"WWW-Authenticate": challenge})
