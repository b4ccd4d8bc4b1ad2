"""The bridge's HTTP server: REST API, health checks, metrics and API documentation."""

from bridge.http import deferred_models  # isort: skip  # noqa: F401 -- before FastAPI is imported
from bridge.http.app import create_app, create_management_app
from bridge.http.auth.browsers import allowed_hosts
from bridge.http.auth.from_settings import authentication_of
from bridge.http.console.sources import ConsoleSources, Gap, IncidentsView, RefusedRecord
from bridge.http.routes.fleet import FleetView, ReplicaView, SlotView
from bridge.http.routes.health import Missing, Note
from bridge.http.routes.sessions import Guarantee, SessionView
from bridge.http.server.server import MANAGEMENT_PORT, PORT, listen, serve

__all__ = [
    "MANAGEMENT_PORT",
    "PORT",
    "ConsoleSources",
    "FleetView",
    "Gap",
    "Guarantee",
    "IncidentsView",
    "Missing",
    "Note",
    "RefusedRecord",
    "ReplicaView",
    "SessionView",
    "SlotView",
    "allowed_hosts",
    "authentication_of",
    "create_app",
    "create_management_app",
    "listen",
    "serve",
]
