"""Restricts routes to callers with a scope."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from fastapi import Depends, Request, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security import SecurityScopes  # noqa: TC002 -- FastAPI reads the annotation
from fastapi.security.base import SecurityBase

from bridge.http.auth.authentication import ANYBODY, Authentication, Caller, Scope, admit
from bridge.http.problems.types import ADMISSION, GUARD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from contextlib import AbstractContextManager

    from fastapi.params import Depends as Dependency

    from bridge.http.auth.request_shares import RequestShares

SCHEME: Final = "bearer"
"""Name of the security scheme in /openapi.json."""


class _Bearer(SecurityBase):
    """FastAPI dependency that checks the token. As a `SecurityBase` it appears in /openapi.json.

    FastAPI's own `HTTPBearer` ignores a second Authorization header, and sends its own error responses.
    """

    scheme_name = SCHEME

    def __init__(self, authentication: Authentication) -> None:
        self._authentication = authentication
        self.model = HTTPBearer.model_validate(authentication.scheme)

    async def __call__(self, request: Request, needed: SecurityScopes) -> Caller:
        (scope,) = needed.scopes
        return await self.caller(request, cast("Scope", scope))

    async def caller(self, request: Request, scope: Scope) -> Caller:
        """Return the caller of a request, if the caller has the scope."""
        return await admit(self._authentication, request.headers.getlist("Authorization"), scope)


async def _anybody(_: Request) -> Caller:
    return ANYBODY


class Guard(NamedTuple):
    """The access check of a router, and the errors that it can return."""

    dependencies: Sequence[Dependency]
    """FastAPI dependencies, to be passed to the `APIRouter`."""
    problems: Sequence[str]
    """Codes of the problems that the check may answer with."""
    caller: Callable[[Request], Awaitable[Caller]]
    """Returns the caller of a request. A route that skips FastAPI's dependencies calls this and `admitted` instead."""


def admitted(request: Request, caller: Caller) -> AbstractContextManager[None]:
    """Store the caller in `request.state.caller` for the route, and return a context that holds a place.

    The context raises:
        Refused: (429) the caller has too many requests under way.
    """
    request.state.caller = caller
    peer = "" if request.client is None else request.client.host
    shares: RequestShares = request.app.state.shares
    return shares.place(peer if caller.name is None else caller.name)


def guarded(authentication: Authentication, scope: Scope) -> Guard:
    """Make the guard of a router whose routes need `scope`. The routes find the caller in `request.state.caller`.

    The check runs before the body is read, so an unauthorised request costs little. The guard also limits the
    concurrent requests of each caller (`RequestShares`), by the caller's name or else by the client's address.
    """
    bearer = None if authentication.scheme is None else _Bearer(authentication)
    admission = Security(bearer or _anybody, scopes=[scope])

    async def dependency(request: Request, caller: Caller = admission) -> AsyncIterator[None]:
        with admitted(request, caller):
            yield

    # Scope "function" frees the place when the route returns. Otherwise a slow reader of the response would hold it.
    dependencies = [Depends(dependency, scope="function")]
    if bearer is None:
        return Guard(dependencies, ADMISSION, _anybody)
    return Guard(dependencies, (*ADMISSION, *GUARD), partial(bearer.caller, scope=scope))
