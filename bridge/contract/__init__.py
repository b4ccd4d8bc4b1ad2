"""Generates the contract with consumers (schemas, AsyncAPI, models, tables) from the structs of `bridge.events`."""

from bridge.contract.asyncapi import DEFAULT_PREFIX, asyncapi
from bridge.contract.avro import avro_schema
from bridge.contract.compatibility import breaking_changes
from bridge.contract.fields import Field, record_of
from bridge.contract.files import contract_files
from bridge.contract.headers import headers_of
from bridge.contract.json_schema import json_schema
from bridge.contract.models import python_models
from bridge.contract.released import broken_promises

__all__ = [
    "DEFAULT_PREFIX",
    "Field",
    "asyncapi",
    "avro_schema",
    "breaking_changes",
    "broken_promises",
    "contract_files",
    "headers_of",
    "json_schema",
    "python_models",
    "record_of",
]
