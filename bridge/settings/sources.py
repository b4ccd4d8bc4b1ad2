"""Where settings come from: the environment and a TOML file, each read into a tree that can name its places.

Every fault is found before the start stops, and no fault quotes a value: a secret may stand where it does not belong.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr

PREFIX = "BRIDGE_"
FILE_SUFFIX = "_file"
Location = tuple[str | int, ...]

_NOT_OURS = frozenset({f"{PREFIX}REQUIRE_REAL"})
# Kubernetes gives every container of a namespace these for a Service whose name starts with "bridge".
_SERVICE_LINK = re.compile(rf"{PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
_SERVICE_LINK_PORT = re.compile(r"(tcp|udp|sctp)://")


class Broken:
    """Stands for a value that could not be read: its fault is already told, so what follows from it is not."""


BROKEN = Broken()


@dataclass(frozen=True, slots=True)
class Source:
    """What one source says, as a tree like the settings themselves; `name` says how a place is called there."""

    name: Callable[[Location], str]
    values: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    secret_files: set[Location] = field(default_factory=set)
    """Secrets that were read from the file which `<name>_file` names."""

    def has(self, location: Location) -> bool:
        """Tell whether the value, or the list that it is an item of, comes from here."""
        return at(self.values, _outside_lists(location)) is not None

    def name_of(self, location: Location) -> str:
        """Name the place, or the `*_file` setting whose file its secret was read from."""
        if location in self.secret_files:
            return self.name((*location[:-1], f"{location[-1]}{FILE_SUFFIX}"))
        return self.name(location)


def at(values: Mapping[str, Any], location: Location) -> Any:
    """Return the value at the place; None where there is none; `BROKEN` where it lies in what could not be read."""
    value: Any = values
    for part in location:
        if isinstance(value, Mapping):
            value = value.get(str(part))
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part] if part < len(value) else None
        else:
            return value if value is BROKEN else None
    return value


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one tree over another; a list replaces a list as a whole, and what is broken stays so."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(below, value)
        elif below is not BROKEN:
            merged[key] = value
    return merged


def variable(location: Location) -> str:
    """Name a setting's environment variable (`BRIDGE_KAFKA__FORMAT`), and the place inside its JSON (`[1].name`)."""
    outside = _outside_lists(location)
    name = PREFIX + "__".join(str(part).upper() for part in outside)
    return name + dotted(location[len(outside) :], after_list=True)


def dotted(location: Location, *, after_list: bool = False) -> str:
    """Name a place as TOML and JSON do: `accounts[1].password`."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path if after_list else path.removeprefix(".")


def read_environment(model: type[BaseModel], environment: Mapping[str, str]) -> Source:
    """Read `BRIDGE_*`. Sections and lists may be given as JSON. An empty variable counts as not set."""
    source = Source(variable)
    known = _variables(model)
    found = [name for name, value in environment.items() if name.startswith(PREFIX) and _is_ours(name, value)]
    # A section's own JSON comes first, so that the variables of its single settings win.
    for name in sorted(found, key=lambda name: (name.count("__"), name)):
        if name not in known:
            source.faults.append(f"{name}: unknown setting{_did_you_mean(name, known)}")
        elif environment[name]:
            location, expected = known[name]
            _put(source.values, location, _decode(source, name, environment[name], expected))
    _check(source, model, source.values, ())
    return source


def read_file(model: type[BaseModel], path: Path) -> Source:
    """Read the TOML file."""
    source = Source(lambda location: f"{path}: {dotted(location)}" if location else str(path))
    try:
        source.values.update(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        source.faults.append(f"{path}: can't be read: {error.strerror}")
    except UnicodeDecodeError:
        source.faults.append(f"{path}: is not UTF-8")
    except (ValueError, RecursionError) as error:
        # The parser's text may quote the file; only the place is taken from it.
        place = re.search(r"\(at [^()]*\)\Z", str(error))
        source.faults.append(f"{path}: is not TOML {place[0] if place else ''}".rstrip())
    if source.faults:
        source.values.update(dict.fromkeys(model.model_fields, BROKEN))
    _check(source, model, source.values, ())
    return source


def _outside_lists(location: Location) -> Location:
    inside = next((place for place, part in enumerate(location) if isinstance(part, int)), len(location))
    return location[:inside]


def _is_ours(name: str, value: str) -> bool:
    if name in _NOT_OURS or _SERVICE_LINK.fullmatch(name):
        return False
    return not (name.endswith("_PORT") and _SERVICE_LINK_PORT.match(value))


def _variables(model: type[BaseModel], under: Location = ()) -> dict[str, tuple[Location, type | None]]:
    """Each variable with its setting's place, and the type that its JSON must have (None: plain text)."""
    variables: dict[str, tuple[Location, type | None]] = {}
    for name, described in model.model_fields.items():
        location = (*under, name)
        section = _section(described.annotation)
        is_list = get_origin(described.annotation) in (tuple, frozenset)
        variables[variable(location)] = (location, dict if section else list if is_list else None)
        if section:
            variables.update(_variables(section, location))
        if _is_secret(described.annotation):
            file = (*under, f"{name}{FILE_SUFFIX}")
            variables[variable(file)] = (file, None)
    return variables


def _section(annotation: Any) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or SecretStr in get_args(annotation)


def _decode(source: Source, name: str, text: str, expected: type | None) -> Any:
    if expected is None:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        source.faults.append(f"{name}: is not JSON")
        return BROKEN
    if not isinstance(value, expected):
        source.faults.append(f"{name}: is not a JSON {'object' if expected is dict else 'array'}")
        return BROKEN
    return value


def _put(values: dict[str, Any], location: Location, value: Any) -> None:
    for part in location[:-1]:
        below = values.setdefault(str(part), {})
        if below is BROKEN:
            return
        values = below
    values[str(location[-1])] = value


def _check(source: Source, model: type[BaseModel], values: dict[str, Any], location: Location) -> None:
    """Remove unknown settings, and read the secrets that are files, in this section and the sections below it."""
    known = dict.fromkeys(model.model_fields)
    known.update({f"{name}{FILE_SUFFIX}": None for name in known if _is_secret(model.model_fields[name].annotation)})
    for key in [key for key in values if key not in known]:
        del values[key]
        source.faults.append(_unknown_key(source, key, known, location))
    for name, described in model.model_fields.items():
        place = (*location, name)
        if _is_secret(described.annotation) and f"{name}{FILE_SUFFIX}" in values:
            _read_secret(source, values, place)
        section = _section(described.annotation)
        if section and isinstance(values.get(name), dict):
            _check(source, section, values[name], place)
        elif section and values.get(name, BROKEN) is not BROKEN:
            source.faults.append(f"{source.name(place)}: should be a table of settings")
            values[name] = BROKEN
        item = _section(next(iter(get_args(described.annotation)), None))
        if item and isinstance(values.get(name), list):
            for index, one in enumerate(values[name]):
                if isinstance(one, dict):
                    _check(source, item, one, (*place, index))


def _unknown_key(source: Source, key: str, known: Mapping[str, None], location: Location) -> str:
    """Quote the key only if it is like a setting's name: a secret may have been put where the name belongs."""
    if near := difflib.get_close_matches(key, known, n=1):
        return f"{source.name((*location, key))}: unknown setting; did you mean {near[0]}?"
    return f"{source.name(location)}: has an unknown key; there are {', '.join(known)}"


def _did_you_mean(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.75)
    return f"; did you mean {near[0]}?" if near else ""


def _read_secret(source: Source, values: dict[str, Any], location: Location) -> None:
    name = str(location[-1])
    path = values.pop(f"{name}{FILE_SUFFIX}")
    file = source.name((*location[:-1], f"{name}{FILE_SUFFIX}"))
    if name in values:
        source.faults.append(f"{file}: is set beside {name}; keep one")
        values[name] = BROKEN
        return
    source.secret_files.add(location)
    try:
        values[name] = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        source.faults.append(f"{file}: can't be read: {error.strerror}")
        values[name] = BROKEN
    except UnicodeDecodeError:
        source.faults.append(f"{file}: the file is not UTF-8")
        values[name] = BROKEN
    except (TypeError, ValueError):  # not a text, or one with a null character
        source.faults.append(f"{file}: should be a path")
        values[name] = BROKEN
