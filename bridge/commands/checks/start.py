"""Checks whether `bridge run` would start with these settings: it builds the same parts, and binds the same addresses.

Nothing is connected or started.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from bridge import __version__
from bridge.app import Bridge
from bridge.commands.checks.finding import failed, ok, warning
from bridge.errors import AddressUnusable, SettingsError
from bridge.http import MANAGEMENT_PORT, PORT, listen
from bridge.observability import tracing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from bridge.commands.checks.finding import Finding
    from bridge.settings import Http, Settings

START, ADDRESS = "start", "http address"
ANY: Final = 0


async def check_start(settings: Settings) -> AsyncIterator[Finding]:
    """Build the parts of the bridge, then listen on its addresses for a moment."""
    faults = [*_faults(settings)]
    for fault in faults:
        yield failed(START, f"{fault}.")
    if not faults:
        yield ok(START, "The bridge can be built from these settings.")
    async for finding in _addresses(settings.http):
        yield finding


def _faults(settings: Settings) -> Iterator[str]:
    """Yield what stops the start. Tracing is tried by itself, so that its fault does not hide another one."""
    try:
        if settings.tracing.enabled:
            tracing.start(settings.tracing.endpoint, sample_ratio=settings.tracing.sample_ratio, version=__version__)
    except SettingsError as error:
        yield from error.faults
    try:
        Bridge(settings)
    except SettingsError as error:
        yield from error.faults
    finally:
        tracing.stop()


async def _addresses(http: Http) -> AsyncIterator[Finding]:
    ports = [(http.port, PORT), *([] if http.management_port is None else [(http.management_port, MANAGEMENT_PORT)])]
    free = []
    for port, setting in ports:
        try:
            sockets = await listen(http.host, port, setting)
        except AddressUnusable as error:
            if error.errno == errno.EADDRINUSE:
                yield warning(ADDRESS, f"{error}; choose another port, unless a bridge with these settings runs here.")
            else:
                yield failed(ADDRESS, f"{error}.")
            continue
        for one in sockets:
            one.close()
        free.append("any free port" if port == ANY else f"port {port}")
    if len(free) == len(ports):
        yield ok(ADDRESS, f"The bridge can listen on {http.host}, {' and '.join(free)}.")
