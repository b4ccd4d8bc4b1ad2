"""The base class of all settings models, which reports all faults together, in texts that never quote a value."""

from __future__ import annotations

from enum import StrEnum
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from bridge.settings import rules, sources
from bridge.settings.faults import as_error, finding_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import ModelWrapValidatorHandler


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
            found = [finding_of(cls, from_files, line) for line in error.errors()]
            found += cls.across(values) if isinstance(values, dict) else ()
        else:
            found = [*cls.across(checked.model_dump())]
            if not found:
                return checked
        raise ValidationError.from_exception_data(cls.__name__, [as_error(one) for one in found], hide_input=True)


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
