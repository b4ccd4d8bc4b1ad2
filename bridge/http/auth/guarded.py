"""Routes that only callers with a scope come through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, cast

from fastapi import Depends, Request, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security import SecurityScopes  # noqa: TC002 -- FastAPI reads the annotation
from fastapi.security.base import SecurityBase

from bridge.http.auth.authentication import ANYBODY, Authentication, Caller, Scope, admit
from bridge.http.problems.types import ADMISSION, GUARD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from fastapi.params import Depends as Dependency

SCHEME: Final = "bearer"
"""Name of the security scheme in /openapi.json."""


class _Bearer(SecurityBase):
    """Admits a request by its token; being a `SecurityBase`, FastAPI puts it into /openapi.json.

    FastAPI's own `HTTPBearer` looks at one Authorization header only, and answers by itself.
    """

    scheme_name = SCHEME

    def __init__(self, authentication: Authentication) -> None:
        self._authentication = authentication
        self.model = HTTPBearer.model_validate(authentication.scheme)

    async def __call__(self, request: Request, needed: SecurityScopes) -> Caller:
        (scope,) = needed.scopes
        return await admit(self._authentication, request.headers.getlist("Authorization"), cast("Scope", scope))


async def _anybody() -> Caller:
    return ANYBODY


class Guard(NamedTuple):
    """What lets callers in."""

    dependencies: Sequence[Dependency]
    """For the `APIRouter`."""
    problems: Sequence[str]
    """Codes of the problems that callers may get from it."""


def guarded(authentication: Authentication, scope: Scope) -> Guard:
    """Make the guard of the routes that need `scope`; who calls is `request.state.caller` there.

    It asks before the body is read: strangers get no work done. Each caller, by its name or else its address, has a
    share of the places (`RequestShares`).
    """
    open_to_all = authentication.scheme is None
    admission = Security(_anybody if open_to_all else _Bearer(authentication), scopes=[scope])

    async def admitted(request: Request, caller: Caller = admission) -> AsyncIterator[None]:
        request.state.caller = caller
        peer = "" if request.client is None else request.client.host
        with request.app.state.shares.place(peer if caller.name is None else caller.name):
            yield

    # By its scope the place is free again as soon as there is an answer, not when the caller has taken it.
    return Guard([Depends(admitted, scope="function")], ADMISSION if open_to_all else (*ADMISSION, *GUARD))
