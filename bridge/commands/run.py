"""`bridge run`: the bridge itself, until a signal."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING

import structlog

from bridge import __version__
from bridge.app import Bridge
from bridge.commands.process import collect_rarely, run_to_end, stop_on_signals
from bridge.errors import BridgeError, CommandFailed, SettingsError
from bridge.observability import configure, tracing
from bridge.settings import masked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.settings import Settings

log = structlog.get_logger(__name__)


def run_bridge(settings: Settings, *, disconnect_on_exit: bool, linger: float) -> None:
    """Run until SIGTERM or SIGINT (a planned stop, under 10 s), or until other bridges have taken every account over.

    In the second case it stays for `linger` seconds more, idle and not ready.

    Raises:
        SettingsError: a setting that only the start can judge is wrong (the HTTP address, tracing without its library).
        CommandFailed: a fault of the bridge itself ended it; the text names the fault and its place in the code.
    """
    configure(settings.log.format, settings.log.level)
    log.info("starting", version=__version__, settings=masked(settings))
    if settings.tracing.enabled:
        tracing.start(settings.tracing.endpoint, sample_ratio=settings.tracing.sample_ratio, version=__version__)
    try:
        run_to_end(_run(settings, disconnect_on_exit=disconnect_on_exit, linger=linger))
    except (Exception, BaseExceptionGroup, asyncio.CancelledError) as error:  # noqa: BLE001 -- the last resort
        raise _cause(error) from None
    finally:
        tracing.stop()


async def _run(settings: Settings, *, disconnect_on_exit: bool, linger: float) -> None:
    stop = stop_on_signals()
    bridge = Bridge(settings)
    collect_rarely()
    await bridge.run(stop, disconnect_on_exit=disconnect_on_exit, linger=linger)


def _cause(error: BaseException) -> BridgeError:
    """Return what a person can act on: a wrong setting, else the fault and its place, without a library's own text.

    The log gets the same, with the way through the code; several faults at once are all named there.
    """
    faults = list(_faults(error))
    for fault in faults:
        if isinstance(fault, SettingsError):
            return fault
    fault = next((one for one in faults if not isinstance(one, asyncio.CancelledError)), faults[0])
    log.critical("failed", exc_info=fault, others=[one for one in faults if one is not fault])
    *_, place = traceback.extract_tb(fault.__traceback__)
    name = f"{fault.code}: {fault}" if isinstance(fault, BridgeError) else type(fault).__name__
    return CommandFailed(
        f"the bridge ended with {name} in {place.name} ({place.filename.rpartition('/')[2]}:{place.lineno}). That is a "
        "fault of the bridge: please report the log's line `failed`. A new start goes on where this one ended."
    )


def _faults(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors inside groups, however deep they lie."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _faults(one)
    else:
        yield error
