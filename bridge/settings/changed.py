"""Lists the settings that differ from their defaults, for the log."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, SecretStr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.settings.models import Settings

MASK: Final = "***"
ACCOUNTS: Final = "accounts"


def changed(settings: Settings) -> dict[str, Any]:
    """Return each setting that differs from its default, by its dotted name.

    A secret is shown as `***`, and an account as its name.
    """
    found = dict(_changed(settings))
    if settings.web_services.username is not None:
        del found[ACCOUNTS]  # it repeats the account in web_services
    return found


def _changed(section: BaseModel, under: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _changed(value, f"{under}{name}.")
        elif field.is_required() or value != field.get_default(call_default_factory=True):
            yield f"{under}{name}", _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, BaseModel):
        return value.name if hasattr(value, "name") else MASK
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | frozenset):
        items = [_plain(item) for item in value]
        return items if isinstance(value, tuple) else sorted(items)
    return value
