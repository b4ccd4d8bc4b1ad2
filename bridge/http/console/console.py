"""Makes the router of the console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import Response

from bridge.http.console.operations import add_operations
from bridge.http.console.pages import HEADERS, Pages, not_found, see_other
from bridge.http.console.rendering import static_files
from bridge.http.console.sign_in import add_sign_in
from bridge.http.console.state import add_state
from bridge.http.console.submit import add_submit
from bridge.http.console.visits import PATH

if TYPE_CHECKING:
    from fastapi import APIRouter, Request

    from bridge.http.console.pages import Visit
    from bridge.http.console.sources import Sources

KEEP: Final = "public, max-age=31536000, immutable"
"""Cache-Control of static files, whose URL changes with their content."""


def console(sources: Sources) -> APIRouter:
    """Make the router of all pages under /console."""
    pages = Pages(sources)
    add_sign_in(pages)
    add_state(pages)
    add_operations(pages)
    add_submit(pages)
    _add_static_files(pages)

    async def overview(_: Visit) -> Response:
        return see_other(PATH)

    async def nothing(_: Visit) -> Response:
        raise not_found()

    pages.add("GET", "/", overview)
    pages.add("GET", "/{path:path}", nothing)
    return pages.router


def _add_static_files(pages: Pages) -> None:
    """Serve the static files to everybody. They are part of the package, and tell nothing about the site."""
    for name, file in static_files().items():
        headers = HEADERS | {"Cache-Control": KEEP}
        response = Response(file.content, headers=headers, media_type=file.media_type)

        async def get(_: Request, response: Response = response) -> Response:
            return response

        pages.router.add_route(f"{PATH}/static/{name}", get, ["GET"], include_in_schema=False)
