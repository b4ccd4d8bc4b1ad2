"""The schema registry, and the two formats of values that need one.

To write, the bridge asks the registry only until it has the ids of its schemas. `bridge.registry.avro` then writes the
values and never asks it. To read, it asks for each schema id that it does not know.
"""

from bridge.registry.encoding import encoding_of
from bridge.registry.subjects import Found, Subject, subjects
from bridge.registry.survey import survey

__all__ = ["Found", "Subject", "encoding_of", "subjects", "survey"]
