"""Generates pydantic models of the values from the JSON Schemas, for consumers. The module needs the extra `models`."""

from __future__ import annotations

import json
from typing import Any, Final

from bridge import __version__
from bridge.contract.json_schema import json_schema
from bridge.events import KINDS

_HEADER: Final = f'''\
"""The values of the events of the CometD to Kafka bridge {__version__}, as pydantic models.

`bridge schemas models` generates this file, so don't edit it. `MODELS` has each model by the header `ce_type`. The
models ignore fields that a later release adds.
"""'''
_NOT_FOR_MODELS: Final = frozenset({"$schema", "$id", "title", "additionalProperties", "examples"})


def python_models() -> str:
    """Return the source of a Python module with a model for each kind.

    Raises:
        ImportError: the extra `models` is not installed.
    """
    from datamodel_code_generator import InputFileType, LiteralType, PythonVersion, generate  # noqa: PLC0415
    from datamodel_code_generator.enums import DataModelType  # noqa: PLC0415
    from datamodel_code_generator.format import Formatter  # noqa: PLC0415

    definitions = {kind.struct.__name__: _for_models(json_schema(kind)) for kind in KINDS}
    document = {
        "title": "Event",
        "description": "An event of any kind.",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in definitions],
        "$defs": definitions,
    }
    module = generate(
        json.dumps(document),
        input_file_type=InputFileType.JsonSchema,
        output_model_type=DataModelType.PydanticV2BaseModel,
        target_python_version=PythonVersion.PY_311,
        formatters=[Formatter.BUILTIN],
        custom_file_header=_HEADER,
        snake_case_field=True,
        allow_population_by_field_name=True,
        enum_field_as_literal=LiteralType.All,
        use_annotated=True,
        use_schema_description=True,
        use_field_description=True,
        use_standard_collections=True,
        use_union_operator=True,
    )
    models = "".join(f'    "{kind.event_type}": {kind.struct.__name__},\n' for kind in KINDS)
    assert isinstance(module, str)
    return f"{module.rstrip()}\n\n\nMODELS: dict[str, type[BaseModel]] = {{\n{models}}}\n"


def _for_models(schema: Any) -> Any:
    """Return the schema without keywords that models don't need. Times become datetimes and need no pattern."""
    if not isinstance(schema, dict):
        return schema
    dropped = _NOT_FOR_MODELS | ({"pattern"} if schema.get("format") == "date-time" else set())
    return {word: _for_models(value) for word, value in schema.items() if word not in dropped}
