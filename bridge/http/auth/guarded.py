"""Routes that only callers with a scope come through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi.routing import APIRoute

from bridge.http.auth.authentication import Authentication, Scope, admit
from bridge.http.problems.problems import also_documented
from bridge.http.problems.types import ADMISSION, GUARD

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fastapi import Request, Response

SCHEME: Final = "bearer"
"""Name of the security scheme in /openapi.json."""


def guarded(authentication: Authentication, scope: Scope) -> type[APIRoute]:
    """Make the class of the routes that need `scope`; who calls is `request.state.caller` there.

    It asks before the body is read: strangers get no work done. Each caller, by its name or else its address, has a
    share of the places (`RequestShares`).
    """

    class Guarded(APIRoute):
        def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
            options["responses"] = also_documented(options.get("responses") or {}, *ADMISSION)
            if authentication.scheme is not None:
                security = {"security": [{SCHEME: [scope]}]}
                options["openapi_extra"] = (options.get("openapi_extra") or {}) | security
                options["responses"] = also_documented(options["responses"], *GUARD)
            super().__init__(path, endpoint, **options)

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def admitted(request: Request) -> Response:
                headers = request.headers.getlist("Authorization")
                request.state.caller = caller = await admit(authentication, headers, scope)
                peer = "" if request.client is None else request.client.host
                with request.app.state.shares.place(peer if caller.name is None else caller.name):
                    return await handle(request)

            return admitted

    return Guarded
