"""Adds to /openapi.json the models that FastAPI can't derive from the functions of the routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.http.problems.problems import Problem
from bridge.http.routes.health import NotReady
from bridge.operations import OUTBOUND_OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from fastapi import FastAPI
    from pydantic import BaseModel

_TEMPLATE = "#/components/schemas/{model}"


def complete(app: FastAPI, enabled: Collection[str]) -> None:
    """Add the schemas of problems and request bodies, which routes refer to by name. Remove FastAPI's error schemas."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            models: list[type[BaseModel]] = [Problem, NotReady, *_forms(enabled)]
            for model in models:
                schema = model.model_json_schema(by_alias=True, ref_template=_TEMPLATE)
                schemas |= schema.pop("$defs", {})
                schemas[model.__name__] = schema
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            document["components"]["schemas"] = dict(sorted(schemas.items()))
        return generate()

    app.openapi = openapi  # type: ignore[method-assign]


def _forms(enabled: Collection[str]) -> Iterator[type[BaseModel]]:
    for name in enabled:
        operation = OUTBOUND_OPERATIONS[name]
        yield from (form for form in (operation.by_handle, operation.by_number) if form is not None)
