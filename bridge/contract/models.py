"""Typed models of the values, for readers: pydantic v2, generated from the JSON Schemas. Needs the extra `models`."""

from __future__ import annotations

import json
from typing import Any, Final

from bridge import __version__
from bridge.contract.json_schema import json_schema
from bridge.events import KINDS

_HEADER: Final = f'''\
"""The values of the events of the CometD to Kafka bridge {__version__}, as pydantic models.

Written by `bridge schemas models`: don't edit it, write it anew. `MODELS` has each by the header `ce_type`. Fields that
a later release adds are left out, so these go on reading.
"""'''
_NOT_FOR_MODELS: Final = frozenset({"$schema", "$id", "title", "additionalProperties", "examples"})


def python_models() -> str:
    """Return the text of a module with a model of each kind.

    Raises:
        ImportError: the extra `models` is not installed.
    """
    from datamodel_code_generator import InputFileType, LiteralType, PythonVersion, generate  # noqa: PLC0415
    from datamodel_code_generator.enums import DataModelType  # noqa: PLC0415
    from datamodel_code_generator.format import Formatter  # noqa: PLC0415

    definitions = {kind.struct.__name__: _for_models(json_schema(kind)) for kind in KINDS}
    document = {
        "title": "Event",
        "description": "Any of the events.",
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
    """Leave out what models need not know; a time is a datetime there, which has no pattern."""
    if not isinstance(schema, dict):
        return schema
    dropped = _NOT_FOR_MODELS | ({"pattern"} if schema.get("format") == "date-time" else set())
    return {word: _for_models(told) for word, told in schema.items() if word not in dropped}
