"""Imports FastAPI so that its models of OpenAPI are built when /openapi.json is first read, and not at each start.

Building these 30 models takes 2 MB of memory and 40 ms. FastAPI has no setting for it, so this module sets pydantic's
`defer_build` for all models while it imports FastAPI. Every module of `bridge.http` is imported after this one.
"""

from pydantic import BaseModel, ConfigDict

_DEFAULTS = BaseModel.model_config
BaseModel.model_config = ConfigDict(defer_build=True)
try:
    import fastapi  # noqa: F401
finally:
    BaseModel.model_config = _DEFAULTS
