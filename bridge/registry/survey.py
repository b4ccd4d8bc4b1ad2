"""How the registry stands, for `bridge check`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.registry.encoding import parts
from bridge.registry.subjects import subjects

if TYPE_CHECKING:
    from bridge.registry.subjects import Found
    from bridge.settings import Kafka


async def survey(settings: Kafka) -> dict[str, Found]:
    """Tell how each subject stands with its schema, by its name; changes nothing.

    Raises:
        RegistryUnavailable: the registry can't be reached, or refuses.
        SettingsError: what talks to a registry is not installed.
    """
    registry, _ = parts(settings)
    return {subject.name: await registry.look(subject) for subject in subjects(settings)}
