"""The client of a schema registry, and the two formats of Kafka values that need a registry.

The writing side asks the registry only at the start, for the ids of the bridge's schemas. The reading side asks the
registry for each schema id that it does not know yet.
"""

from bridge.registry.encoding import encoding_of
from bridge.registry.subjects import Found
from bridge.registry.survey import survey

__all__ = ["Found", "encoding_of", "survey"]
