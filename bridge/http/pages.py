"""The pages for people: `/` with links, and `/docs` with Swagger UI. These pages load nothing from other servers."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse

from bridge import __version__

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

CONSOLE: Final = "/console"
STATIC: Final = "/static-offline-docs"
"""Where FastAPIOffline serves the scripts of Swagger UI."""
LINKS: Final = {
    CONSOLE: "pages for people: sessions, operations, gaps and dead letters",
    "/docs": "the REST API, to read and to try",
    "/operations": "the newest operations",
    "/sessions": "the CometD session of each account",
    "/fleet": "which replica relays which account",
    "/health/ready": "whether the bridge is ready, and what is missing",
    "/metrics": "metrics for Prometheus",
    "/openapi.json": "the REST API, for programs",
    "/asyncapi.json": "the topics and events in Kafka, for programs",
}
"""The links of the first page."""
MANAGEMENT: Final = frozenset({"/health/ready", "/metrics"})
"""Links that the first page omits if another port serves health and metrics."""
_STYLE: Final = """\
:root { color-scheme: light dark }
body { font: 1rem/1.6 system-ui, sans-serif; margin: 2rem auto; max-width: 44rem; padding: 0 1rem }
h1 { font-size: 1.3rem }
dt { font-family: ui-monospace, monospace; margin-top: .6rem }
dd { margin: 0 }
"""
# Swagger UI has light colours only. A filter inverts the colours and turns the hues back, which gives a dark page with
# the same accents.
_DARK: Final = """\
<style>
@media (prefers-color-scheme: dark) {
  html { background: #1b1b1b }
  body > div { filter: invert(.89) hue-rotate(180deg) }
}
</style>
"""


def pages(title: str, *, management: bool, console: bool) -> APIRouter:
    """Make the router. `title` is the name of the API.

    `management`: whether the API has health and metrics. `console`: whether the API has the console.
    """
    absent = (set() if management else MANAGEMENT) | (set() if console else {CONSOLE})
    served = [path for path in LINKS if path not in absent]
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def links(http: Request) -> HTMLResponse:
        return HTMLResponse(_page(title, http.scope.get("root_path", ""), served))

    @router.get("/docs")
    @router.get("/docs/")
    async def documentation(http: Request) -> HTMLResponse:
        root = http.scope.get("root_path", "")
        page = get_swagger_ui_html(
            openapi_url=f"{root}/openapi.json",
            title=title,
            swagger_js_url=f"{root}{STATIC}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{STATIC}/swagger-ui.css",
            swagger_favicon_url=f"{root}{STATIC}/favicon.png",
        )
        return HTMLResponse(bytes(page.body).decode().replace("</head>", f"{_DARK}</head>"))

    return router


def _page(title: str, root: str, served: Collection[str]) -> str:
    def rows() -> Iterator[str]:
        for path in served:
            yield f'<dt><a href="{escape(root + path)}">{path}</a></dt><dd>{LINKS[path]}</dd>'

    listed = "\n".join(rows())
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{escape(title)}</title>
<style>
{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p>Version {__version__}. Operations go to <code>POST /api/v2/me/outbound-records</code>.</p>
<dl>
{listed}
</dl>
</body>
</html>
"""
