"""Validates a caller's request: a body of the REST side, or the `request` of a record on the request topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import ValidationError

from bridge.webservices import OUTBOUND_OPERATIONS, OutboundRecordRequest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Forms: TypeAlias = "Mapping[str, type[OutboundRecordRequest]]"
"""The model of each operation's request, by `operationName`."""


class InvalidRequest(ValueError):
    """The request is invalid, or its operation is not enabled."""

    def __init__(self, faults: Sequence[Mapping[str, Any]]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, one['loc'])) or 'request'}: {one['msg']}" for one in faults))
        self.faults = faults
        """One mapping for each fault, with pydantic's names: `type`, `loc` and `msg`. They contain no values."""


def validated(body: Any, forms: Forms, enabled: Collection[str]) -> OutboundRecordRequest:
    """Return the request in a body.

    `forms` has the models of the enabled operations that fit the way in which the caller names the record: by a handle
    or without one. `enabled` has the names of all enabled operations.

    Raises:
        InvalidRequest: the body is not a valid request, or its operation is not enabled.
    """
    try:
        return _form(body, forms, enabled).model_validate(body)
    except ValidationError as error:
        raise InvalidRequest(error.errors(include_url=False, include_input=False, include_context=False)) from None


def _form(body: Any, forms: Forms, enabled: Collection[str]) -> type[OutboundRecordRequest]:
    if not isinstance(body, dict):
        fault = {"type": "dict_type", "loc": (), "msg": "Input should be an object"}
        raise InvalidRequest([fault])
    name = body.get("operationName")
    if name is None and "operationName" not in body:
        return OutboundRecordRequest  # its validation reports all missing fields
    form = forms.get(name) if isinstance(name, str) else None
    if form is None:
        fault = {"type": "operation_name", "loc": ("operationName",), "msg": _wrong_name(name, forms, enabled)}
        raise InvalidRequest([fault])
    return form


def _wrong_name(name: Any, forms: Forms, enabled: Collection[str]) -> str:
    operation = OUTBOUND_OPERATIONS.get(name) if isinstance(name, str) else None
    if operation is None:
        return f"Input should be one of: {', '.join(forms)}"
    if name not in enabled:
        return f"{name} is not enabled in this bridge's settings. Enabled: {', '.join(enabled)}"
    if operation.by_handle is None:
        return f"{name} takes no record handle in the path"
    return f"{name} needs a record handle in the path"
