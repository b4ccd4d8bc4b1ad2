"""Calls the endpoint of a route directly, for requests whose parameters need no validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.routing import Match, Route

from bridge.http.auth.route_guard import admitted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from bridge.http.auth.route_guard import Guard


class DirectRoute(Route):
    """A route of Starlette that stands before FastAPI's route of the same path, and takes most of its requests.

    FastAPI's router, exit stacks and dependencies took a quarter of the CPU time of a call. FastAPI's route describes
    the requests in /openapi.json, and takes the requests that this route leaves to it.

    Args:
        path: the path, as FastAPI's route has it.
        method: the HTTP method.
        guard: the access check, the same as that of FastAPI's route.
        endpoint: returns the response. Gets the request and the parameters.
        read: returns the parameters from the path, None if they are not valid. Then FastAPI's route validates the
            request and makes the error response.
    """

    def __init__(
        self,
        path: str,
        method: str,
        guard: Guard,
        endpoint: Callable[..., Awaitable[Response]],
        read: Callable[[Mapping[str, str]], Mapping[str, Any] | None],
    ) -> None:
        super().__init__(path, _Endpoint(guard, endpoint), methods=[method], include_in_schema=False)
        self._read = read

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See `Route.matches`. A request whose parameters are not valid does not match."""
        match, found = super().matches(scope)
        parameters = self._read(found["path_params"]) if match is Match.FULL else None
        if parameters is None:
            return Match.NONE, {}
        return match, {"route": self, "path_params": parameters}


class _Endpoint:
    """ASGI application of a `DirectRoute`."""

    def __init__(self, guard: Guard, endpoint: Callable[..., Awaitable[Response]]) -> None:
        self._guard = guard
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http = Request(scope, receive, send)
        with admitted(http, await self._guard.caller(http)):
            response = await self._endpoint(http, **scope["path_params"])
        await response(scope, receive, send)
