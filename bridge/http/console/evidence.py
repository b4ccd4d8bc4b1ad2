"""Passes a visitor's request for evidence on to the REST API, with the token from the visitor's cookie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from fastapi import Response

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

ROUTE: Final = "/operations/{referenceId}/evidence"
_KEPT: Final = ("type", "asgi", "http_version", "scheme", "root_path", "client", "server")


class EvidenceDownload(Response):
    """The response of the REST API, as a file to download."""

    def __init__(self, reference: str, token: str | None) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._path = ROUTE.replace("{referenceId}", reference)
        self._raw_path = ROUTE.replace("{referenceId}", quote(reference, safe="")).encode()
        self._authorization = [] if token is None else [(b"authorization", f"Bearer {token}".encode("latin-1"))]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the REST API of the application with the visitor's token."""
        headers = [pair for pair in scope["headers"] if pair[0] == b"host"]
        inner = {name: scope[name] for name in _KEPT if name in scope} | {
            "method": "GET",
            "path": self._path,
            "raw_path": self._raw_path,
            "query_string": b"",
            "headers": [*headers, *self._authorization],
        }

        async def as_download(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(b"content-disposition", b'attachment; filename="evidence.json"'), *self.raw_headers]
                if message["status"] != 200:
                    own = self.raw_headers
                names = {name for name, _ in own}
                message["headers"] = [pair for pair in message["headers"] if pair[0].lower() not in names] + own
            await send(message)

        await scope["app"](inner, receive, as_download)
