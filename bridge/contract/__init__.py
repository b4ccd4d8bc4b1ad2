"""The contract with consumers, written out from the structs of `bridge.events`: JSON Schema and Avro."""

from bridge.contract.avro import avro_schema
from bridge.contract.files import schema_texts
from bridge.contract.json_schema import json_schema

__all__ = ["avro_schema", "json_schema", "schema_texts"]
