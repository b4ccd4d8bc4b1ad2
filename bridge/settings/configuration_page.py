"""Writes docs/configuration.md from the settings models and the docstrings of their fields (`make configuration`)."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args, get_origin

from annotated_types import Ge, Gt, Le

from bridge import settings
from bridge.settings.section import choices
from bridge.settings.sources import FILE_SUFFIX, dotted, is_secret, item, variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from bridge.settings.sources import Location

INTRODUCTION: Final = """\
# Configuration

<!-- Written by `make configuration` from bridge/settings/models.py. A test fails if this page is out of date. -->

Settings come from environment variables and from a TOML file (`bridge --config bridge.toml run`, or the variable
`BRIDGE_CONFIG` with the path). If both set the same setting, the variable wins. Only the URL of Web Services, the
account and the Kafka brokers are required:

    export BRIDGE_WEB_SERVICES__URL=https://web-services.example.com
    export BRIDGE_WEB_SERVICES__USERNAME=bridge@example.com
    export BRIDGE_WEB_SERVICES__PASSWORD_FILE=/run/secrets/web-services
    export BRIDGE_KAFKA__BOOTSTRAP_SERVERS=kafka-1:9092,kafka-2:9092

The same settings as a file:

    [web_services]
    url = "https://web-services.example.com"
    username = "bridge@example.com"
    password_file = "/run/secrets/web-services"

    [kafka]
    bootstrap_servers = "kafka-1:9092,kafka-2:9092"

- **Names**: `BRIDGE_`, the section, two underscores, the key. An unknown name is an error, so you notice a misspelt
  setting. An empty variable counts as not set.
- **Lists and sections**: a variable may contain a whole list or section as JSON.
- **Paths**: a relative path in the file starts at the file's own directory, in a variable at the working directory.
- **Words**: you may write values such as `info` and `SSL` in upper or lower case.
- **Secrets**: a secret may be in a file. Name the file by the variable that ends in `_FILE`, or by the key that ends in
  `_file`. A line break at the end of the file is ignored. Prefer files, because other programs can read an environment
  more easily than a mounted secret. The bridge never writes a secret to the log or to an error.
- **Errors**: if a setting is wrong, the bridge does not start. It exits with code 2 and prints one line for each error.
  The line names the variable, or the file and the key, but never the value. Of a path it shows only the part that
  exists.
- **Changes**: the bridge reads its settings only at the start. Only the accounts file and the file of static tokens are
  read again when they change.
"""


def as_text() -> str:
    """Return the content of docs/configuration.md."""
    return "\n".join([INTRODUCTION, *_sections(settings.Settings)])


def documented(model: type[BaseModel]) -> Mapping[str, str]:
    """Return the docstring of each field of the model as one line. Without a docstring, the text is ""."""
    [definition] = ast.parse(inspect.getsource(model)).body
    assert isinstance(definition, ast.ClassDef)
    found = dict.fromkeys(model.model_fields, "")
    for line, following in zip(definition.body, definition.body[1:], strict=False):
        if (
            isinstance(line, ast.AnnAssign)
            and isinstance(line.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            found[line.target.id] = " ".join(str(following.value.value).split())
    return found


def sections(model: type[BaseModel], under: Location = ()) -> Iterator[tuple[Location, type[BaseModel]]]:
    """Yield the model and all sections in it, in the order of the source. Items of a list count as a section."""
    yield under, model
    for name, field in model.model_fields.items():
        inner = item(field.annotation)
        if inner is not None:
            yield from sections(inner, (*under, name))


def _sections(model: type[BaseModel]) -> Iterator[str]:
    found = list(sections(model))
    for location, section in [*found[1:], found[0]]:  # settings without a section come last
        is_list = bool(location) and _is_list(model.model_fields[str(location[0])].annotation)
        yield f"## {dotted(location) or 'Without a section'}\n"
        yield _heading(location, section, is_list=is_list)
        yield from _rows(location, section, is_list=is_list)
        yield ""


def _heading(location: Location, section: type[BaseModel], *, is_list: bool) -> str:
    if not location:
        return "In the file, write these keys before the first `[section]`.\n"
    text = inspect.getdoc(section)
    if is_list:
        return (
            f"{text} In the file, write `[[{dotted(location)}]]` for each account. In the environment, write a JSON "
            f"array of all accounts to `{variable(location)}`. REST callers choose an account by the header "
            "`X-Account`. The default is the first account.\n"
        )
    return f"{text} In the file: `[{dotted(location)}]`.\n"


def _rows(location: Location, section: type[BaseModel], *, is_list: bool) -> Iterator[str]:
    yield f"| {'key' if is_list else 'variable, and key'} | default | meaning |"
    yield "|---|---|---|"
    meanings = documented(section)
    for name, field in section.model_fields.items():
        if item(field.annotation) is not None:
            continue
        names = [name, f"{name}{FILE_SUFFIX}"] if is_secret(field.annotation) else [name]
        variables = [] if is_list else [f"`{variable((*location, one))}`" for one in names]
        setting = "<br>".join([*variables, " or ".join(f"`{one}`" for one in names)])
        meaning = " ".join(part for part in (meanings[name], values_of(field)) if part)
        yield f"| {setting} | {_default(field)} | {meaning} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    default = field.default
    if default is None:
        return "none"
    if isinstance(default, bool | tuple | frozenset):
        return f"`{json.dumps(list(default) if not isinstance(default, bool) else default)}`"
    return f"`{default.value if isinstance(default, Enum) else default}`"


def values_of(field: FieldInfo) -> str:
    """Return a sentence about the values that the field accepts, or "" if its type accepts any."""
    text = _values(field.annotation, field.metadata)
    return f"{text}." if text else ""


def _values(annotation: Any, bounds: Iterable[Any] = ()) -> str:
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        inner = [bound for one in arguments[1:] for bound in getattr(one, "metadata", [one])]
        return _values(arguments[0], inner)
    if get_origin(annotation) in {tuple, frozenset}:
        return " of ".join(part for part in ("A list", _values(arguments[0])) if part)
    if type(None) in arguments:
        return _values(next(one for one in arguments if one is not type(None)), bounds)
    return _range(bounds) if annotation in {int, float} else _choices(annotation)


def _range(bounds: Iterable[Any]) -> str:
    ends = {type(bound): bound for bound in bounds}
    if Gt in ends:
        return f"More than {ends[Gt].gt}"
    if Ge in ends and Le in ends:
        return f"From {ends[Ge].ge} to {ends[Le].le}"
    return f"At least {ends[Ge].ge}" if Ge in ends else ""


def _choices(annotation: Any) -> str:
    *others, last = [f"`{choice}`" for choice in choices(annotation)] or [""]
    return f"{', '.join(others)} or {last}" if others else f"Only {last}" if last else ""


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple


if __name__ == "__main__":
    sys.stdout.write(as_text())
