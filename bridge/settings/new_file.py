"""Makes the content of a new file of settings from the models. `bridge init` writes it."""

from __future__ import annotations

import inspect
import json
import textwrap
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from bridge.settings import configuration_page, models
from bridge.settings.sources import FILE_SUFFIX, dotted, is_secret, item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from bridge.settings.sources import Location

WIDTH: Final = 100
FILLED_IN: Final[dict[tuple[str, ...], str]] = {
    ("web_services", "url"): "https://web-services.example.com",
    ("web_services", "username"): "bridge@example.com",
    ("web_services", f"password{FILE_SUFFIX}"): "/run/secrets/web-services",
    ("kafka", "bootstrap_servers"): "kafka-1:9092,kafka-2:9092",
}
"""Examples of the settings that a bridge needs. All other lines of the file are comments."""
_OPENING: Final = """\
# Settings of the bridge. Fill in the lines without #. The other lines show each setting with its default;
# remove the # to change a setting. A variable such as BRIDGE_KAFKA__PARTITIONS wins over this file.
# Each secret may be in a file instead: name it by the key that ends in _file. A relative path starts at the
# directory of this file.
"""


def template() -> str:
    """Return the content: every setting with its meaning. Required settings have an example as value."""
    found = list(configuration_page.sections(models.Settings))
    parts = [_OPENING]
    for location, section in found:  # settings without a section must come first
        parts += ["\n".join(_section(location, section)), ""]
    return "\n".join(parts)


def _section(location: Location, section: type[BaseModel]) -> Iterator[str]:
    is_list = section is models.Account
    text = inspect.getdoc(section) or ""
    hidden = "# " if is_list else ""
    if location:
        yield from _comment(text)
        yield f"{hidden}[[{dotted(location)}]]" if is_list else f"[{dotted(location)}]"
    meanings = configuration_page.documented(section)
    for name, field in section.model_fields.items():
        if item(field.annotation) is not None:
            continue
        yield ""
        yield from _comment(" ".join(part for part in (meanings[name], configuration_page.values_of(field)) if part))
        yield _line((*location, name), field)


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")


def _line(location: Location, field: FieldInfo) -> str:
    name = str(location[-1])
    for key in (name, f"{name}{FILE_SUFFIX}"):
        if (example := FILLED_IN.get((*map(str, location[:-1]), key))) is not None:
            return f"{key} = {_value(example)}"
    if is_secret(field.annotation):
        return f'# {name}{FILE_SUFFIX} = ""'
    return f"# {name} = {_value('' if field.is_required() or field.default is None else field.default)}"


def _value(value: Any) -> str:
    """Return a value as TOML. Values of these types look the same in TOML and in JSON."""
    if isinstance(value, Enum):
        value = value.value
    return json.dumps(sorted(value) if isinstance(value, frozenset) else value, ensure_ascii=False)
