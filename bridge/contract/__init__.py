"""Generates the contract with consumers (schemas, AsyncAPI, models, tables) from the structs of `bridge.events`."""

from bridge.contract.asyncapi import DEFAULT_PREFIX, asyncapi
from bridge.contract.models import python_models
from bridge.contract.released import broken_promises

__all__ = ["DEFAULT_PREFIX", "asyncapi", "broken_promises", "python_models"]
