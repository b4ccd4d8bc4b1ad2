"""Reads the environment and a TOML file, each into a tree of dictionaries with the structure of the settings.

pydantic-settings is not used, because it stops at the first fault and has no `*_FILE` (docs/decisions/0011).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel, SecretStr

from bridge.errors import UNDECODABLE
from bridge.settings import files

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "BRIDGE_"
FILE_SUFFIX = "_file"
CONFIG = f"{PREFIX}CONFIG"
"""Variable with the path of the TOML file, which the command line reads."""
NOT_SETTINGS = frozenset({CONFIG, f"{PREFIX}REQUIRE_REAL"})
"""Variables with the prefix `BRIDGE_` that are no settings. The second variable belongs to the tests."""
Location = tuple[str | int, ...]

# Kubernetes sets these variables in every container of a namespace with a Service whose name starts with "bridge".
_SERVICE_LINK = re.compile(rf"{PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
_SERVICE_LINK_PORT = re.compile(r"(tcp|udp|sctp)://")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Placeholder for a value that can't be read.

    Validation refuses this type for every field, and the error's text is `fault`.
    """

    fault: str


def at(values: Any, location: Location) -> Any:
    """Return the value at the location, or None if there is no value."""
    for part in location:
        if isinstance(values, dict):
            values = values.get(part)
        elif isinstance(values, list) and isinstance(part, int) and part < len(values):
            values = values[part]
        else:
            return None
    return values


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two trees.

    If both trees have a value or a list, the result has the value or list of `over`. A secret and the file of this
    secret replace each other.
    """
    twins = {key.removesuffix(FILE_SUFFIX) if key.endswith(FILE_SUFFIX) else key + FILE_SUFFIX for key in over}
    merged = {key: value for key, value in under.items() if key not in twins}
    for key, value in over.items():
        below = merged.get(key, {})
        if not isinstance(value, dict):
            merged[key] = value
        elif isinstance(below, dict):
            merged[key] = merge(below, value)
        # Otherwise `under` has a single value in place of a section. Keep this value, so that validation reports it.
    return merged


def variable(location: Location) -> str:
    """Return the name of a setting's environment variable, and for a list the place in its JSON, such as `[1].name`."""
    outside = outside_lists(location)
    path = dotted(location[len(outside) :])
    return PREFIX + "__".join(str(part).upper() for part in outside) + path


def dotted(location: Location) -> str:
    """Return a location as text, such as `accounts[1].password`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")


def outside_lists(location: Location) -> Location:
    """Return the part of a location before its first list index. A location without an index is returned unchanged."""
    inside = next((place for place, part in enumerate(location) if isinstance(part, int)), len(location))
    return location[:inside]


def read_environment(model: type[BaseModel], environment: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Read the variables `BRIDGE_*`. Return the tree, and the names of the variables that are no settings.

    A variable may contain a section or a list as JSON. An empty variable counts as not set.
    """
    values: dict[str, Any] = {}
    unknown = []
    known = variables(model)
    found = [name for name, value in environment.items() if name.startswith(PREFIX) and _is_ours(name, value)]
    # The JSON of a whole section comes first, so that variables of its single settings win.
    for name in sorted(found, key=lambda name: (name.count("__"), name)):
        if name not in known:
            unknown.append(name)
        elif environment[name]:
            location, expected = known[name]
            _put(values, location, _decode(environment[name], expected))
    return values, unknown


def beside(model: type[BaseModel], values: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """Return the values of a settings file. Each relative path becomes a path in the file's directory."""
    result = dict(values)
    for name, field in model.model_fields.items():
        inner = item(field.annotation)
        if inner is not None:
            result |= {name: _inside(inner, values[name], directory)} if name in values else {}
        key = f"{name}{FILE_SUFFIX}" if is_secret(field.annotation) else name
        if isinstance(path := result.get(key), str) and (key != name or _is_path(field.annotation)):
            result[key] = str(directory / path)
    return result


def _inside(model: type[BaseModel], value: Any, directory: Path) -> Any:
    if isinstance(value, list):
        return [_inside(model, one, directory) for one in value]
    return beside(model, value, directory) if isinstance(value, dict) else value


def variables(model: type[BaseModel], under: Location = ()) -> dict[str, tuple[Location, type | None]]:
    """Return the location of each variable's setting, and the type that its JSON must have (None: plain text)."""
    found: dict[str, tuple[Location, type | None]] = {}
    for name, field in model.model_fields.items():
        location = (*under, name)
        inner = section(field.annotation)
        is_list = get_origin(field.annotation) in (tuple, frozenset)
        found[variable(location)] = (location, dict if inner else list if is_list else None)
        if inner:
            found.update(variables(inner, location))
        if is_secret(field.annotation):
            file = (*under, f"{name}{FILE_SUFFIX}")
            found[variable(file)] = (file, None)
    return found


def section(annotation: Any) -> type[BaseModel] | None:
    """Return the model if the setting is a section, else None."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def item(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a section, or of the items of a list of sections. None for other settings."""
    return next((found for one in (annotation, *get_args(annotation)) if (found := section(one))), None)


def _is_path(annotation: Any) -> bool:
    return annotation is Path or any(map(_is_path, get_args(annotation)))


def is_secret(annotation: Any) -> bool:
    """Return whether the setting is a secret. Only secrets may be in files."""
    return annotation is SecretStr or SecretStr in get_args(annotation)


def read_secrets(model: type[BaseModel], values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Read the secret files of a section. Return the values with the secrets, and the names of these secrets."""
    names = [name for name, field in model.model_fields.items() if is_secret(field.annotation)]
    given = [name for name in names if f"{name}{FILE_SUFFIX}" in values]
    read = {name: _read_secret(name, values) for name in given}
    paths = {f"{name}{FILE_SUFFIX}" for name in given}
    return {name: value for name, value in values.items() if name not in paths} | read, given


def _is_ours(name: str, value: str) -> bool:
    if name in NOT_SETTINGS or _SERVICE_LINK.fullmatch(name):
        return False
    return not (name.endswith("_PORT") and _SERVICE_LINK_PORT.match(value))


def _decode(text: str, expected: type | None) -> Any:
    if expected is None:
        return text
    try:
        value = json.loads(text)
    except UNDECODABLE:
        return Unreadable("is not JSON")
    if isinstance(value, expected):
        return value
    return Unreadable(f"is not a JSON {'object' if expected is dict else 'array'}")


def _put(values: dict[str, Any], location: Location, value: Any) -> None:
    section: Any = values
    for part in location[:-1]:
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            return  # the section's own JSON is wrong, and validation reports that
    section[location[-1]] = value


def _read_secret(name: str, values: Mapping[str, Any]) -> str | Unreadable:
    if name in values:
        return Unreadable(f"is set together with {name}; remove one of them")
    try:
        return files.read_secret(Path(values[f"{name}{FILE_SUFFIX}"]))
    except TypeError:  # the value is not a text
        return Unreadable("should be a path")
    except ValueError as error:
        null = "\0" in values[f"{name}{FILE_SUFFIX}"]
        return Unreadable("should be a path" if null else str(error))
