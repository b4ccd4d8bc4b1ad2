"""Checks the schema registry, if the format of the values needs a registry. The check registers nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.commands.checks.finding import failed, ok
from bridge.errors import RegistryUnavailable, SettingsError
from bridge.registry import Found, survey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bridge.commands.checks.finding import Finding
    from bridge.settings import Kafka

REGISTRY: Final = "schema-registry"


async def check_registry(settings: Kafka) -> AsyncIterator[Finding]:
    """Look up the schemas of all kinds of events."""
    if settings.format == "json":
        return
    try:
        found = await survey(settings)
    except SettingsError as error:
        yield failed(REGISTRY, f"{error}.")
    except RegistryUnavailable as error:
        yield failed(REGISTRY, f"The registry can't be used: {error}.")
    else:
        yield _finding(settings, found)


def _finding(settings: Kafka, found: dict[str, Found]) -> Finding:
    def names(how: Found) -> str:
        return ", ".join(name for name, one in found.items() if one is how)

    missing = names(Found.MISSING)
    if incompatible := names(Found.INCOMPATIBLE):
        return failed(REGISTRY, f"These subjects have incompatible schemas: {incompatible}; delete the subjects.")
    if missing and not settings.registry.auto_register:
        return failed(
            REGISTRY, f"Missing schemas: {missing}; register them, or set BRIDGE_KAFKA__REGISTRY__AUTO_REGISTER=true."
        )
    if missing:
        return ok(REGISTRY, f"The bridge will register the missing schemas: {missing}.")
    return ok(REGISTRY, f"All {len(found)} schemas are registered.")
