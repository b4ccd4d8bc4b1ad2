"""Reads the fields of a struct and their annotations. All generated files use the result."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec
from msgspec.inspect import (
    BoolType,
    FloatType,
    IntType,
    LiteralType,
    Metadata,
    NoneType,
    RawType,
    StrType,
    StructType,
    UnionType,
    type_info,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

Form: TypeAlias = Literal["string", "integer", "number", "boolean", "json", "record"]

_FORMS: Final[dict[type[msgspec.inspect.Type], Form]] = {
    StrType: "string",
    LiteralType: "string",
    IntType: "integer",
    FloatType: "number",
    BoolType: "boolean",
    RawType: "json",
    StructType: "record",
}
_LIMITS: Final = {
    "ge": "minimum",
    "le": "maximum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
}
"""The msgspec constraints that the contract uses, with their names in JSON Schema."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a published value."""

    name: str
    description: str
    form: Form
    """The field's type. `json` is any JSON value, copied unchanged from Web Services or the caller."""
    nullable: bool
    keywords: dict[str, Any]
    """Other keywords of JSON Schema: bounds, pattern, format, examples."""
    symbols: tuple[str, ...]
    """The only values that a string may have. If empty, any value is allowed."""
    record: Record | None
    """The nested record, if `form` is `record`."""
    default: Any
    """The value for records that are older than the field. UNSET if the first release had the field."""

    @property
    def added(self) -> bool:
        """Whether the field was added after the version's first release, so that older records lack the field."""
        return self.default is not msgspec.UNSET


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A struct: its name, its description, and its fields in the order of the published value."""

    name: str
    description: str
    fields: tuple[Field, ...]


def record_of(struct: type[msgspec.Struct]) -> Record:
    """Return the fields of a struct.

    Raises:
        TypeError: the contract does not support the type of a field.
    """
    type_ = type_info(struct)
    assert isinstance(type_, StructType)
    return _record(type_)


def _record(type_: StructType) -> Record:
    description = " ".join((inspect.getdoc(type_.cls) or "").split())
    return Record(
        name=type_.cls.__name__, description=description, fields=tuple(_field(field) for field in type_.fields)
    )


def _field(field: msgspec.inspect.Field) -> Field:
    keywords: dict[str, Any] = {}
    types = list(_types(field.type, keywords))
    nullable = any(isinstance(each, NoneType) for each in types)
    others = [each for each in types if not isinstance(each, NoneType)]
    form = _FORMS.get(type(others[0]))
    if form is None or len(others) > 1:
        raise TypeError(f"the contract does not support the type of `{field.encode_name}`")
    type_ = others[0]
    keywords |= {word: limit for name, word in _LIMITS.items() if (limit := getattr(type_, name, None)) is not None}
    symbols = type_.values if isinstance(type_, LiteralType) else keywords.pop("enum", ())
    return Field(
        name=field.encode_name,
        description=keywords.pop("description", ""),
        form=form,
        nullable=nullable or "null" in keywords.get("type", ()),
        symbols=tuple(str(symbol) for symbol in symbols if symbol is not None),
        record=_record(type_) if isinstance(type_, StructType) else None,
        default=keywords.pop("default", msgspec.UNSET),
        keywords=keywords,
    )


def _types(type_: msgspec.inspect.Type, keywords: dict[str, Any]) -> Iterator[msgspec.inspect.Type]:
    """Yield the type, or each type of a union. Add the annotations to `keywords`. Outer annotations win."""
    if isinstance(type_, Metadata):
        yield from _types(type_.type, keywords)
        keywords |= type_.extra_json_schema or {}
    elif isinstance(type_, UnionType):
        for each in type_.types:
            yield from _types(each, keywords)
    else:
        yield type_
