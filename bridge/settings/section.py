"""The base class of all settings models, which reports all faults together, in texts that never quote a value."""

from __future__ import annotations

import difflib
import re
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from bridge.settings import rules, sources
from bridge.settings.files import where

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import ModelWrapValidatorHandler

_FAULT = "setting"
_TEXTS = {
    "missing": "is required",
    "model_type": "should be a table of settings",
    "too_short": "is empty",
    "string_too_short": "is empty",
}


class Section(BaseModel):
    """A group of settings. An unknown name is a fault, because a misspelt setting must not be ignored."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True, allow_inf_nan=False
    )

    @staticmethod
    def across(_: rules.Values, /) -> Iterable[rules.Finding]:
        """Yield the contradictions between settings of this section. Subclasses override this method."""
        return ()

    @model_validator(mode="wrap")
    @classmethod
    def _report_every_fault(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Read secrets from their files, and report the faults of single fields and of `across` together.

        The validator has the mode "wrap". pydantic would run a validator of mode "after" only if all fields are valid.
        """
        values, from_files = sources.read_secrets(cls, given) if isinstance(given, dict) else (given, [])
        if isinstance(values, dict):
            values = {name: _as_written(cls, name, value) for name, value in values.items()}
        try:
            checked = handler(values)
        except ValidationError as error:
            found = [_finding(cls, from_files, line) for line in error.errors()]
            found += cls.across(values) if isinstance(values, dict) else ()
        else:
            found = [*cls.across(checked.model_dump())]
            if not found:
                return checked
        raise ValidationError.from_exception_data(cls.__name__, [_error(one) for one in found], hide_input=True)


def _finding(model: type[Section], from_files: Sequence[str], line: ErrorDetails) -> rules.Finding:
    """Turn one of pydantic's errors into a location and a text. Neither contains a setting's value."""
    location, kind = line["loc"], line["type"]
    if kind == _FAULT:  # a nested section has reported it
        return location, line["msg"]
    if len(location) == 1 and location[0] in from_files:
        location = (f"{location[0]}{sources.FILE_SUFFIX}",)
    if kind == "extra_forbidden":
        return _unknown(model, str(location[0]))
    if isinstance(unreadable := line["input"], sources.Unreadable):
        return location, unreadable.fault
    text = line["msg"].removeprefix("Value error, ")
    if kind == "path_not_file":
        text += where(Path(line["input"]))
    return location, _TEXTS.get(kind) or re.sub(r"^(Input|String|Value|URL|Path) (?=[a-z])", "", text)


def _as_written(model: type[Section], name: str, value: Any) -> Any:
    """Return a word as the setting's choices write it: `INFO` as `info`, `ssl` as `SSL`."""
    field = model.model_fields.get(name)
    if field is None or not isinstance(value, str):
        return value
    return next((one for one in choices(field.annotation) if one.lower() == value.lower()), value)


def choices(annotation: Any) -> tuple[str, ...]:
    """Return the words that are allowed as the setting's value, or () if the setting allows other values."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return tuple(one.value for one in annotation)
    inner = get_args(annotation) if get_origin(annotation) in {Annotated, Union, UnionType} else ()
    return next((found for one in inner if (found := choices(one))), ())


def _unknown(model: type[Section], key: str) -> rules.Finding:
    """Report an unknown key. Quote the key only if it resembles a name, because it may be a misplaced secret."""
    secrets = [name for name, field in model.model_fields.items() if sources.is_secret(field.annotation)]
    known = [*model.model_fields, *(f"{name}{sources.FILE_SUFFIX}" for name in secrets)]
    if near := difflib.get_close_matches(key, known, n=1):
        return (key,), f"unknown setting; did you mean {near[0]}?"
    return (), f"has an unknown key; known keys are {', '.join(known)}"


def _error(finding: rules.Finding) -> InitErrorDetails:
    location, text = finding
    return InitErrorDetails(type=PydanticCustomError(_FAULT, "{text}", {"text": text}), loc=location, input=None)
