"""The REST side: the ingress, operations, health, sessions and metrics."""

from bridge.http.app import create_app, create_management_app
from bridge.http.authentication import Authentication, Caller, Unauthenticated
from bridge.http.browsers import allowed_hosts
from bridge.http.callers import authentication_of
from bridge.http.health import Missing
from bridge.http.server import serve
from bridge.http.sessions import Guarantee, SessionView

__all__ = [
    "Authentication",
    "Caller",
    "Guarantee",
    "Missing",
    "SessionView",
    "Unauthenticated",
    "allowed_hosts",
    "authentication_of",
    "create_app",
    "create_management_app",
    "serve",
]
