"""An upstream that answers by script: each request gets the next reply, and the last one again when none is left."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiohttp import web

from tests.serving import serving


@dataclass(frozen=True)
class Scripted:
    """One reply; it waits for `gate` where one is given."""

    status: int = 200
    body: str | bytes = '{"statusCode":0}'
    headers: dict[str, str] = field(default_factory=dict)
    gate: asyncio.Event | None = None


OK = Scripted()
NOT_AUTHENTICATED = Scripted(403, '{"statusCode":20,"statusMessage":"Access denied"}')
CSRF = Scripted(403, "Missing or invalid Csrf token")


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


class ScriptedUpstream:
    """A server on loopback; `gets` and `posts` are the scripts, `seen` what came."""

    def __init__(self, gets: Iterable[Scripted] = (OK,), posts: Iterable[Scripted] = (OK,)) -> None:
        self._scripts = {"GET": list(gets), "POST": list(posts)}
        self.seen: list[Seen] = []
        self.url = ""

    @property
    def methods(self) -> list[str]:
        return [one.method for one in self.seen]

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._serving = serving(app)
        self.url = await self._serving.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._serving.__aexit__(kind, error, trace)

    async def _answer(self, request: web.Request) -> web.Response:
        self.seen.append(Seen(request.method, request.raw_path, dict(request.headers), await request.text()))
        script = self._scripts[request.method]
        reply = script.pop(0) if len(script) > 1 else script[0]
        if reply.gate is not None:
            await reply.gate.wait()
        body = reply.body.encode() if isinstance(reply.body, str) else reply.body
        return web.Response(status=reply.status, body=body, headers=reply.headers)
