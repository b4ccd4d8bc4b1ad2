"""Where settings come from: the environment and a TOML file, each read into a tree like the settings themselves.

Not pydantic-settings: its sources stop at the first fault and don't know `*_FILE` (docs/decisions/0011).
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel, SecretStr

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "BRIDGE_"
FILE_SUFFIX = "_file"
NOT_SETTINGS = frozenset({f"{PREFIX}REQUIRE_REAL"})
"""Variables of the tests."""
Location = tuple[str | int, ...]

# Kubernetes gives every container of a namespace these for a Service whose name starts with "bridge".
_SERVICE_LINK = re.compile(rf"{PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
_SERVICE_LINK_PORT = re.compile(r"(tcp|udp|sctp)://")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands in a tree for a value that can't be read; `fault` says why. Validation refuses it, whatever its field."""

    fault: str


def at(values: Any, location: Location) -> Any:
    """Return the value at the location, or None where there is none."""
    for part in location:
        if isinstance(values, dict):
            values = values.get(part)
        elif isinstance(values, list) and isinstance(part, int) and part < len(values):
            values = values[part]
        else:
            return None
    return values


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one tree over another. A list replaces a whole list, and a secret replaces the file of the same secret."""
    twins = {key.removesuffix(FILE_SUFFIX) if key.endswith(FILE_SUFFIX) else key + FILE_SUFFIX for key in over}
    merged = {key: value for key, value in under.items() if key not in twins}
    for key, value in over.items():
        below = merged.get(key, {})
        if not isinstance(value, dict):
            merged[key] = value
        elif isinstance(below, dict):
            merged[key] = merge(below, value)
        # Else the lower tree has something else where a section belongs. It stays, so that validation reports it.
    return merged


def variable(location: Location) -> str:
    """Name a setting's environment variable (`BRIDGE_KAFKA__FORMAT`), and the place inside its JSON (`[1].name`)."""
    outside = outside_lists(location)
    path = dotted(location[len(outside) :])
    return PREFIX + "__".join(str(part).upper() for part in outside) + path


def dotted(location: Location) -> str:
    """Name a place as TOML and JSON do: `accounts[1].password`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")


def outside_lists(location: Location) -> Location:
    """Return the location, or that of the outermost list that it lies in."""
    inside = next((place for place, part in enumerate(location) if isinstance(part, int)), len(location))
    return location[:inside]


def read_environment(model: type[BaseModel], environment: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Read `BRIDGE_*`: the tree, and a fault for each unknown variable.

    Sections and lists may be given as JSON. An empty variable counts as not set.
    """
    values: dict[str, Any] = {}
    faults = []
    known = variables(model)
    found = [name for name, value in environment.items() if name.startswith(PREFIX) and _is_ours(name, value)]
    # A section's own JSON comes first, so that the variables of its single settings win.
    for name in sorted(found, key=lambda name: (name.count("__"), name)):
        if name not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.75)
            faults.append(f"{name}: unknown setting" + (f"; did you mean {near[0]}?" if near else ""))
        elif environment[name]:
            location, expected = known[name]
            _put(values, location, _decode(environment[name], expected))
    return values, faults


def read_file(path: Path) -> dict[str, Any]:
    """Read the TOML file.

    Raises:
        ValueError: the file can't be read; the text never quotes the file.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        # The parser's text may quote the file; only the place is taken from it.
        place = re.search(r"\(at [^()]*\)\Z", str(error))
        raise ValueError(f"is not TOML {place[0] if place else ''}".rstrip()) from None


def variables(model: type[BaseModel], under: Location = ()) -> dict[str, tuple[Location, type | None]]:
    """Name each variable, with its setting's location and the type that its JSON must have (None: plain text)."""
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
    """Return the model, where the setting is a section."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def is_secret(annotation: Any) -> bool:
    """Tell whether the setting is a secret, which may lie in a file."""
    return annotation is SecretStr or SecretStr in get_args(annotation)


def read_secrets(model: type[BaseModel], values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Put each secret that lies in a file into its section's values; return them, and the names of these secrets."""
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
    except (ValueError, RecursionError):
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
        return Unreadable(f"is set beside {name}; keep one")
    try:
        return Path(values[f"{name}{FILE_SUFFIX}"]).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        return Unreadable(f"can't be read: {error.strerror}")
    except UnicodeDecodeError:
        return Unreadable("the file is not UTF-8")
    except (TypeError, ValueError):  # not a text, or one with a null character
        return Unreadable("should be a path")
