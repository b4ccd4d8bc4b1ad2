"""What all groups of settings have in common: every fault is reported at once, in words that quote no value."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from bridge.settings import rules, sources

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
    """A group of settings. Unknown names are faults: a misspelt setting must not be silently without effect."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True, allow_inf_nan=False
    )

    @staticmethod
    def across(_: rules.Values, /) -> Iterable[rules.Finding]:
        """Say what is wrong between the settings of this section; no section above this one has a rule of its own."""
        return ()

    @model_validator(mode="wrap")
    @classmethod
    def _report_every_fault(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Read the secrets that lie in files, and report all faults at once: pydantic's own, and those across fields.

        A validator after the fields would hear of nothing while one field is wrong.
        """
        values, from_files = sources.read_secrets(cls, given) if isinstance(given, dict) else (given, [])
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
    """Turn one of pydantic's errors into what follows the name of a setting. Neither part holds a value."""
    location, kind = line["loc"], line["type"]
    if kind == _FAULT:  # of a section below
        return location, line["msg"]
    if len(location) == 1 and location[0] in from_files:
        location = (f"{location[0]}{sources.FILE_SUFFIX}",)
    if kind == "extra_forbidden":
        return _unknown(model, str(location[0]))
    if isinstance(unreadable := line["input"], sources.Unreadable):
        return location, unreadable.fault
    text = line["msg"].removeprefix("Value error, ")
    return location, _TEXTS.get(kind) or re.sub(r"^(Input|String|Value|URL|Path) (?=[a-z])", "", text)


def _unknown(model: type[Section], key: str) -> rules.Finding:
    """Quote the key only if it is like a setting's name: a secret may have been put where the name belongs."""
    secrets = [name for name, field in model.model_fields.items() if sources.is_secret(field.annotation)]
    known = [*model.model_fields, *(f"{name}{sources.FILE_SUFFIX}" for name in secrets)]
    if near := difflib.get_close_matches(key, known, n=1):
        return (key,), f"unknown setting; did you mean {near[0]}?"
    return (), f"has an unknown key; there are {', '.join(known)}"


def _error(finding: rules.Finding) -> InitErrorDetails:
    location, text = finding
    return InitErrorDetails(type=PydanticCustomError(_FAULT, "{text}", {"text": text}), loc=location, input=None)
