"""Describes the fields of an operation's form, from the models that validate the REST API's requests."""

from __future__ import annotations

import json
import types
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError

from bridge.http.reading.outbound_request import read_request
from bridge.http.routes.outbound_records import RecordHandle
from bridge.operations import OUTBOUND_OPERATIONS, parse_json, request_forms

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pydantic.fields import FieldInfo

    from bridge.operations import OutboundRecordRequest

Kind = Literal["text", "number", "choice", "json"]
HANDLE: Final = "recordHandle"
_RECORD_HANDLE: Final = TypeAdapter(RecordHandle)
_FIRST: Final = ("phoneNumber", "applicationId", "campaignName", "callingList", "devicePath")
_LAST: Final = ("referenceId",)
_LABELS: Final = {
    "applicationId": "Application ID",
    "campaignName": "Campaign",
    "callingList": "Calling list",
    "chainAttribute": "Chain",
    "devicePath": "Device path",
    "phoneNumber": "Phone number",
    "referenceId": "Reference ID",
}
_HELP: Final = {
    "applicationId": "The number of the OCS application, for example 134.",
    "devicePath": "The agent's device, as /devices/{id}.",
    "referenceId": "Identifies the operation. Sending the same form twice forwards it once.",
}


_CONDITIONS: Final = {
    "phoneNumber": "Required if there is no record handle.",
    "callingList": "Required if there is a record handle.",
}


class FormField(NamedTuple):
    """A field of the form."""

    name: str
    """The name in the request's JSON."""
    label: str
    kind: Kind
    choices: Sequence[str]
    required: bool
    help: str


class OperationForm(NamedTuple):
    """The form of an operation."""

    operation: str
    fields: Sequence[FormField]
    with_handle: bool
    """Whether the operation may have a record handle."""
    handle_required: bool


def operation_form(operation: str) -> OperationForm:
    """Return the form of an operation that callers may submit.

    An operation has up to two models: with and without a record handle. A field is required if all of these models
    require it.
    """
    known = OUTBOUND_OPERATIONS[operation]
    models = [model for model in (known.by_handle, known.by_number) if model is not None]
    fields: dict[str, FormField] = {}
    for model in models:
        for name, field in model.model_fields.items():
            alias = field.alias or name
            if name != "operation_name" and alias not in fields:
                required = [one.model_fields[name].is_required() for one in models]
                fields[alias] = _field(alias, field, required=all(required), conditional=len({*required}) > 1)
    ordered = [fields.pop(name) for name in _FIRST if name in fields]
    last = [fields.pop(name) for name in _LAST if name in fields]
    return OperationForm(
        operation, [*ordered, *fields.values(), *last], known.by_handle is not None, known.by_number is None
    )


def read_form(form: OperationForm, sent: Mapping[str, str], enabled: Collection[str]) -> ReadForm:
    """Read and validate the fields that a visitor sent, by the rules of the REST API.

    Raises:
        RequestValidationError, Refused: the REST API would refuse the request too.
    """
    handle = _handle(sent.get(HANDLE, "").strip()) if form.with_handle else None
    body: dict[str, Any] = {"operationName": form.operation}
    for field in form.fields:
        text = sent.get(field.name, "").strip()
        if text:
            body[field.name] = _value(field, text)
    forms = request_forms(enabled, with_handle=handle is not None)
    return ReadForm(handle, read_request(body, forms, enabled, {}))


class ReadForm(NamedTuple):
    """A valid form."""

    record_handle: int | None
    request: OutboundRecordRequest


def _handle(text: str) -> int | None:
    if not text:
        return None
    try:
        return _RECORD_HANDLE.validate_python(text)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        raise RequestValidationError([{**one, "loc": ("path", HANDLE)} for one in faults]) from None


def _value(field: FormField, text: str) -> Any:
    """Return the JSON value of a field.

    If the text can't be converted to the field's kind, return the text itself. The validation then refuses the text.
    """
    if field.kind == "number" and text.isascii() and text.isdecimal() and len(text) < 20:
        return int(text)
    if field.kind == "json":
        try:
            return parse_json(text.encode())
        except json.JSONDecodeError:
            return text
    return text


def _field(name: str, field: FieldInfo, *, required: bool, conditional: bool) -> FormField:
    """Return a field. `conditional` means that the field is required only with a record handle, or only without one."""
    kind, choices = _kind(field.annotation)
    help_ = (_CONDITIONS.get(name) if conditional else _HELP.get(name)) or field.description or ""
    if kind == "json":
        help_ = f"{help_} A JSON object."
    return FormField(name, _LABELS.get(name, _words(name)), kind, choices, required, help_)


def _kind(annotation: Any) -> tuple[Kind, Sequence[str]]:
    """Return the kind of the input element for values of the type."""
    origin = get_origin(annotation)
    if origin is Literal:
        return "choice", get_args(annotation)
    if origin in {Union, types.UnionType}:
        return _kind(next(one for one in get_args(annotation) if one is not type(None)))
    if origin is dict:
        return "json", ()
    if origin is not None and getattr(annotation, "__metadata__", None):
        return _kind(get_args(annotation)[0])
    return ("number", ()) if annotation is int else ("text", ())


def _words(name: str) -> str:
    """Return `timeZone` as `Time zone`."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
    return words[:1].upper() + words[1:]
