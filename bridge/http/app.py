"""Makes the ASGI applications: the whole REST API, and a small one with health and metrics for a second port."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from bridge import __version__
from bridge.contract import DEFAULT_PREFIX
from bridge.errors import BridgeError, SettingsError
from bridge.http.auth.authentication import Unauthenticated
from bridge.http.auth.browsers import BrowserGuard
from bridge.http.auth.request_shares import RequestShares
from bridge.http.console.console import console
from bridge.http.console.sources import Sources
from bridge.http.openapi import complete
from bridge.http.pages import pages
from bridge.http.problems.problems import Refused, bridge_problem, problem, validation_problem
from bridge.http.problems.types import INTERNAL, OTHER
from bridge.http.routes.events import events
from bridge.http.routes.evidence import evidence as evidence_route
from bridge.http.routes.evidence import no_evidence
from bridge.http.routes.fleet import FleetView, fleet
from bridge.http.routes.health import Missing, Note, health
from bridge.http.routes.metrics import RequestMetrics, metrics_page
from bridge.http.routes.operations import operations
from bridge.http.routes.outbound_records import outbound_records
from bridge.http.routes.sessions import SessionView, sessions
from bridge.http.server.connection import MOST_CONNECTIONS
from bridge.http.tracing import RequestTracing
from bridge.observability import tracing
from bridge.operations import LONGEST_REFERENCE, OUTBOUND_OPERATIONS
from bridge.unimported import unimported

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from fastapi import APIRouter
    from fastapi.telemetry import TelemetryConfig

    from bridge.http.auth.authentication import Authentication
    from bridge.http.console.sources import ConsoleSources
    from bridge.http.routes.evidence import MakeEvidence
    from bridge.http.routes.operations import Operations

DEFAULT_OPERATIONS: Final = ("DoNotCallRecord",)
_TITLE: Final = "CometD to Kafka bridge for Genesys Web Services"
_CODES: Final = {404: "not-found", 405: "method-not-allowed"}
_NO_TELEMETRY: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False}
"""Switches FastAPI's own telemetry off. `RequestTracing` and `RequestMetrics` do its work, without personal data."""


@unimported("pydantic.v1")  # FastAPI asks for each parameter whether its type is a model of pydantic 1
def create_app(
    service: Operations,
    *,
    readiness: Callable[[], Sequence[Missing]],
    session_views: Callable[[], Sequence[SessionView]],
    notes: Callable[[], Sequence[Note]] = tuple,
    fleet_session_views: Callable[[], Awaitable[Sequence[SessionView]]] | None = None,
    fleet_view: Callable[[], FleetView] = FleetView,
    evidence: MakeEvidence = no_evidence,
    authentication: Authentication | None = None,
    enabled: Collection[str] = DEFAULT_OPERATIONS,
    management: bool = True,
    topic_prefix: str = DEFAULT_PREFIX,
    hosts: Collection[str] | None = None,
    console_sources: ConsoleSources | None = None,
) -> FastAPI:
    """Make the application of the REST API. The application needs no start or stop.

    Args:
        service: submits operations, and returns their states.
        readiness: returns the reasons why the bridge is not ready. Must not block.
        session_views: returns the state of each CometD session of this replica. Must not block.
        notes: returns the faults that a person should correct although the bridge works. Must not block.
        fleet_session_views: returns the state of each CometD session of the fleet. Default: this replica's sessions.
        fleet_view: returns which replica relays which account. Must not block.
        evidence: returns the file with the evidence of an operation.
        authentication: checks the callers' tokens, None for no authentication.
        enabled: the `operationName`s that callers may submit.
        management: whether this application also serves health and metrics.
        topic_prefix: the prefix of the topics in /asyncapi.json.
        hosts: the host names that requests may be sent to, besides IP addresses (`allowed_hosts`). None allows all.
        console_sources: further functions for the console, None for no console.

    Raises:
        SettingsError: `enabled` is empty or has an unknown operation.
    """
    authentication = authentication or Unauthenticated()
    known = [name for name, operation in OUTBOUND_OPERATIONS.items() if operation.forwarded]
    if not enabled or not set(enabled) <= set(known):
        raise SettingsError([f"BRIDGE_OPERATIONS__ENABLED: must name one or more of {', '.join(known)}"])
    summary = "One dependable call that marks an outbound record as DoNotCall."
    guard = Middleware(BrowserGuard, hosts=hosts)
    # FastAPIOffline serves the scripts of /docs itself, because the user's browser may have no internet.
    app = _bare_app(FastAPIOffline, summary=summary, docs_url=None, redoc_url=None, middleware=[guard])
    app.state.shares = RequestShares(MOST_CONNECTIONS)
    submissions, direct = outbound_records(service, authentication, enabled)
    app.routes[:0] = direct
    _add(app, submissions)
    _add(app, evidence_route(evidence, authentication))
    _add(app, operations(service, authentication))
    _add(app, sessions(session_views, fleet_session_views or _awaitable(session_views), authentication))
    _add(app, fleet(fleet_view, authentication))
    _add(app, events(topic_prefix))
    _add(app, pages(_TITLE, management=management, console=console_sources is not None))
    if management:
        _add(app, health(readiness, notes))
        _add(app, metrics_page())
    if console_sources is not None:
        sources = Sources(
            own=console_sources,
            service=service,
            authentication=authentication,
            readiness=readiness,
            session_views=session_views,
            fleet_view=fleet_view,
            enabled=enabled,
        )
        _add(app, console(sources))
    complete(app, enabled)
    return app


def _add(app: FastAPI, router: APIRouter) -> None:
    """Add the routes of `router` to the application.

    FastAPI's `include_router` would make a second copy of each route at the first request, and import pydantic 1 there.
    """
    app.router.routes.extend(router.routes)


def _awaitable(views: Callable[[], Sequence[SessionView]]) -> Callable[[], Awaitable[Sequence[SessionView]]]:
    async def call() -> Sequence[SessionView]:
        return views()

    return call


@unimported("pydantic.v1")
def create_management_app(
    readiness: Callable[[], Sequence[Missing]], notes: Callable[[], Sequence[Note]] = tuple
) -> FastAPI:
    """Make the application of the management port: health and metrics, without authentication."""
    app = _bare_app(FastAPI, openapi_url=None)
    _add(app, health(readiness, notes))
    _add(app, metrics_page())
    return app


def _bare_app(kind: Callable[..., FastAPI], **options: Any) -> FastAPI:
    app = kind(title=_TITLE, version=__version__, redirect_slashes=False, telemetry=_NO_TELEMETRY, **options)
    app.state.ending = asyncio.Event()  # `serve` sets it when the server stops, so that `Prefer: wait` returns early
    app.add_middleware(RequestMetrics)
    if tracing.on():
        app.add_middleware(RequestTracing)
    app.add_exception_handler(BridgeError, _on_bridge_error)
    app.add_exception_handler(Refused, _on_refused)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_failure)
    return app


async def _on_bridge_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, BridgeError)
    return bridge_problem(error, getattr(request.state, "reference_id", None))


async def _on_refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return problem(error.status, error.code, str(error), headers=error.headers, **error.members)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return validation_problem(error.errors(), _reference_of(error.body), submission=request.method == "POST")


async def _on_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, _CODES.get(error.status_code, OTHER), error.detail, headers=error.headers)


async def _on_failure(request: Request, _: Exception) -> Response:
    reference = getattr(request.state, "reference_id", None)
    return problem(500, "internal", INTERNAL, reference_id=reference)


def _reference_of(body: Any) -> str | None:
    reference = body.get("referenceId") if isinstance(body, dict) else None
    return reference if isinstance(reference, str) and 0 < len(reference) <= LONGEST_REFERENCE else None
