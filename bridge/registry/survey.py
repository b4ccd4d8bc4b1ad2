"""Looks up all of the bridge's schemas in the registry, for `bridge check`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.registry.encoding import parts
from bridge.registry.subjects import subjects

if TYPE_CHECKING:
    from bridge.registry.subjects import Found
    from bridge.settings import Kafka


async def survey(settings: Kafka) -> dict[str, Found]:
    """Return the state of the bridge's schema for each subject, by the subject's name. Changes nothing.

    Raises:
        RegistryUnavailable: the registry can't be reached or refuses the request.
        SettingsError: the extra `registry` is not installed.
    """
    registry, _ = parts(settings)
    return {subject.name: await registry.look(subject) for subject in subjects(settings)}
