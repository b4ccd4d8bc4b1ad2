"""`bridge run`: runs the bridge until a signal stops it."""

from __future__ import annotations

import asyncio
import sys
import traceback
from typing import TYPE_CHECKING

import structlog

from bridge import __version__
from bridge.app import Bridge
from bridge.commands.process import (
    freeze_objects,
    give_back_memory,
    keep_freed_memory,
    run_to_end,
    stop_on_signals,
)
from bridge.errors import BridgeError, CommandFailed, SettingsError
from bridge.observability import Masked, configure, printable, tracing
from bridge.settings import changed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.settings import Settings

log = structlog.get_logger(__name__)


def run_bridge(settings: Settings, *, disconnect_on_exit: bool, linger: float) -> None:
    """Run the bridge until SIGTERM or SIGINT, or until other bridges have taken over all its accounts.

    A stop by a signal takes less than 10 s. After a takeover the bridge first stays idle for `linger` seconds, unready.

    Raises:
        SettingsError: a setting turned out to be wrong at the start, such as an HTTP address that is in use.
        CommandFailed: a fault of the bridge has ended it. The text names the fault and its place in the code.
    """
    configure(settings.log.format, settings.log.level)
    _log_start(settings)
    if settings.tracing.enabled:
        tracing.start(settings.tracing.endpoint, sample_ratio=settings.tracing.sample_ratio, version=__version__)
    try:
        run_to_end(_run(settings, disconnect_on_exit=disconnect_on_exit, linger=linger))
    except (Exception, BaseExceptionGroup, asyncio.CancelledError) as error:  # noqa: BLE001 -- outermost handler
        raise _cause(error) from None
    finally:
        tracing.stop()


def _log_start(settings: Settings) -> None:
    """Log the settings that differ from their defaults. The format json writes one line, the format console a table."""
    found = changed(settings)
    if settings.log.format == "json":
        log.info("starting", version=__version__, settings=Masked(found))
        return
    log.info("starting", version=__version__)
    if settings.log.level in {"debug", "info"}:
        width = max(map(len, found))
        for name, value in found.items():
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            sys.stderr.write(f"  {name:{width}}  {printable(text)}\n")


async def _run(settings: Settings, *, disconnect_on_exit: bool, linger: float) -> None:
    stop = stop_on_signals()
    bridge = Bridge(settings)
    freeze_objects()
    keep_freed_memory()
    await bridge.run(stop, disconnect_on_exit=disconnect_on_exit, linger=linger, ready=give_back_memory)


def _cause(error: BaseException) -> BridgeError:
    """Return the SettingsError inside `error`, or else an error that names the fault and its place in the code.

    The text never contains a library's message. The log gets all faults, with their place in the code.
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
        f"the bridge ended with {name} in {place.name} ({place.filename.rpartition('/')[2]}:{place.lineno}). This is a "
        "fault of the bridge; please report the line `failed` of the log. After a restart, it continues its work."
    )


def _faults(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _faults(one)
    else:
        yield error
