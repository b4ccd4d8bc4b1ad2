"""`bridge health`: asks a running bridge for its health. Container runtimes use this command."""

from __future__ import annotations

import http.client
import ipaddress
import json
from typing import TYPE_CHECKING, Final

from bridge.commands.remote.address import cause_of
from bridge.errors import CommandFailed

if TYPE_CHECKING:
    from bridge.settings import Http

TIMEOUT: Final = 5
"""Seconds that the bridge may take to answer."""


def ask_health(settings: Http, *, ready: bool) -> str:
    """Ask the bridge with these settings for /health/live or /health/ready. Return "live" or "ready".

    Raises:
        CommandFailed: the bridge did not answer, or is not live or ready. The message contains the reason.
    """
    name = "PORT" if settings.management_port is None else "MANAGEMENT_PORT"
    port = settings.port if settings.management_port is None else settings.management_port
    if port == 0:
        raise CommandFailed("the port is 0 (any free port), so its number is unknown; set a port")
    wanted = "ready" if ready else "live"
    host = _reachable(settings.host)
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        connection.request("GET", f"/health/{wanted}")
        reply = connection.getresponse()
        body = reply.read()
    except (OSError, http.client.HTTPException) as error:
        raise CommandFailed(
            f"no bridge answers on {host} port {port} ({cause_of(error)}); "
            f"does it run, and is BRIDGE_HTTP__{name} right?"
        ) from None
    finally:
        connection.close()
    if reply.status != http.client.OK:
        raise CommandFailed(f"not {wanted}: {_detail(body) or reply.status}")
    return wanted


def _reachable(host: str) -> str:
    """Return the address to reach a server on this machine that listens on `host`: loopback for 0.0.0.0 and `::`."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host
    if not address.is_unspecified:
        return str(address)
    return "127.0.0.1" if address.version == 4 else "::1"


def _detail(body: bytes) -> str | None:
    try:
        problem = json.loads(body)
    except ValueError:
        return None
    return problem.get("detail") if isinstance(problem, dict) else None
