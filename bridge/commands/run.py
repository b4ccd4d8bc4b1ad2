"""`bridge run`: the bridge itself, until a signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from bridge import __version__
from bridge.app import Bridge
from bridge.commands.process import collect_rarely, run_to_end, stop_on_signals
from bridge.errors import BridgeError, CommandFailed, SettingsError
from bridge.observability import configure, tracing
from bridge.settings import masked

if TYPE_CHECKING:
    from bridge.settings import Settings

log = structlog.get_logger(__name__)


def run_bridge(settings: Settings, *, disconnect_on_exit: bool, linger: float) -> None:
    """Run until SIGTERM or SIGINT (a planned stop, under 10 s), or until other bridges have taken every account over.

    In the second case it stays for `linger` seconds more, idle and not ready.

    Raises:
        SettingsError: a setting that only the start can judge is wrong (the HTTP address, tracing without its library).
        CommandFailed: anything else ended it; the log says where.
    """
    configure(settings.log.format, settings.log.level)
    log.info("starting", version=__version__, settings=masked(settings))
    if settings.tracing.enabled:
        tracing.start(settings.tracing.endpoint, sample_ratio=settings.tracing.sample_ratio, version=__version__)
    try:
        run_to_end(_run(settings, disconnect_on_exit=disconnect_on_exit, linger=linger))
    except Exception as error:  # noqa: BLE001 -- the last resort: a library's own text must not reach standard error
        raise _cause(error) from None
    finally:
        tracing.stop()


async def _run(settings: Settings, *, disconnect_on_exit: bool, linger: float) -> None:
    stop = stop_on_signals()
    bridge = Bridge(settings)
    collect_rarely()
    await bridge.run(stop, disconnect_on_exit=disconnect_on_exit, linger=linger)


def _cause(error: BaseException) -> BridgeError:
    """Find what a person can act on; else the log gets the place in the code, and nobody gets a foreign text."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        [error] = error.exceptions
    if isinstance(error, SettingsError):
        return error
    log.critical("failed", exc_info=error)
    return CommandFailed(f"the bridge ended with {type(error).__name__}; its log says where")
