"""Describes the faults of settings, without a setting's value, which may be a secret.

`rules.py` has the texts of the bridge's own rules, and `files.py` those about files. This module has the texts for
unknown names and for the errors of pydantic.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from bridge.settings import sources
from bridge.settings.files import where

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import BaseModel

    from bridge.settings.rules import Finding

_TYPE: Final = "setting"
"""The type of pydantic's errors whose text comes from this module."""
_TEXTS: Final = {
    "missing": "is required",
    "model_type": "should be a table of settings",
    "too_short": "is empty",
    "string_too_short": "is empty",
}
"""The texts for some of pydantic's types of errors. Other errors keep pydantic's text, without its first word."""
_SUBJECT: Final = re.compile(r"^(Input|String|Value|URL|Path) (?=[a-z])")


def finding_of(model: type[BaseModel], from_files: Sequence[str], error: ErrorDetails) -> Finding:
    """Return the location and the text of one of pydantic's errors. `from_files` names the secrets read from files."""
    location, kind = error["loc"], error["type"]
    if kind == _TYPE:  # the text comes from a nested section
        return location, error["msg"]
    if len(location) == 1 and location[0] in from_files:
        location = (f"{location[0]}{sources.FILE_SUFFIX}",)
    if kind == "extra_forbidden":
        return _unknown_key(model, str(location[0]))
    if isinstance(unreadable := error["input"], sources.Unreadable):
        return location, unreadable.fault
    text = error["msg"].removeprefix("Value error, ")
    if kind == "path_not_file":
        text += where(Path(error["input"]))
    return location, _TEXTS.get(kind) or _SUBJECT.sub("", text)


def as_error(finding: Finding) -> InitErrorDetails:
    """Return the finding as an error of pydantic, for the enclosing section."""
    location, text = finding
    return InitErrorDetails(type=PydanticCustomError(_TYPE, "{text}", {"text": text}), loc=location, input=None)


def _unknown_key(model: type[BaseModel], key: str) -> Finding:
    """Report an unknown key. Quote the key only if it resembles a name, because it may be a misplaced secret."""
    secrets = [name for name, field in model.model_fields.items() if sources.is_secret(field.annotation)]
    known = [*model.model_fields, *(f"{name}{sources.FILE_SUFFIX}" for name in secrets)]
    if near := difflib.get_close_matches(key, known, n=1):
        return (key,), _unknown(near[0])
    return (), f"has an unknown key; known keys are {', '.join(known)}"


def unknown_variable(name: str, known: Iterable[str]) -> str:
    """Return the fault of an environment variable that is no setting.

    The search for a similar name leaves out the common prefix, which would make all names similar.
    """
    ends = [one.removeprefix(sources.PREFIX) for one in (*known, sources.CONFIG)]
    near = difflib.get_close_matches(name.upper().removeprefix(sources.PREFIX), ends, n=1, cutoff=0.7)
    return f"{name}: {_unknown(f'{sources.PREFIX}{near[0]}' if near else None)}"


def _unknown(near: str | None) -> str:
    return "unknown setting" if near is None else f"unknown setting; did you mean {near}?"
