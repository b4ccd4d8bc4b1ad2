"""`bridge health`: whether the bridge that runs beside it with the same settings is alive; for container runtimes."""

from __future__ import annotations

import http.client
import ipaddress
import json
from typing import TYPE_CHECKING, Final

from bridge.errors import CommandFailed

if TYPE_CHECKING:
    from bridge.settings import Http

TIMEOUT: Final = 5
"""Seconds that the bridge has for its answer."""


def ask_health(settings: Http, *, ready: bool) -> str:
    """Ask /health/live, or /health/ready, where these settings have it; return its status, "live" or "ready".

    Raises:
        CommandFailed: there is no answer, or one that says no; the message has the reason.
    """
    port = settings.port if settings.management_port is None else settings.management_port
    if port == 0:
        raise CommandFailed("the bridge listens on any free port (0), so nobody can ask it; give it one")
    wanted = "ready" if ready else "live"
    connection = http.client.HTTPConnection(_reachable(settings.host), port, timeout=TIMEOUT)
    try:
        connection.request("GET", f"/health/{wanted}")
        reply = connection.getresponse()
        body = reply.read()
    except (OSError, http.client.HTTPException) as error:
        raise CommandFailed(f"no answer on port {port}: {type(error).__name__}") from None
    finally:
        connection.close()
    if reply.status != http.client.OK:
        raise CommandFailed(f"not {wanted}: {_detail(body) or reply.status}")
    return wanted


def _reachable(host: str) -> str:
    """Where a server that listens on `host` can be reached from its own machine: not at 0.0.0.0, nor at ::."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host
    if not address.is_unspecified:
        return str(address)
    return "127.0.0.1" if address.version == 4 else "::1"


def _detail(body: bytes) -> str | None:
    """What a problem+json says, None where it is none."""
    try:
        problem = json.loads(body)
    except ValueError:
        return None
    return problem.get("detail") if isinstance(problem, dict) else None
