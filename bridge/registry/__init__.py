"""The schema registry, and the two formats of values that need one.

It is asked once, at the start: what is done for each event is `bridge.registry.avro`, and knows nothing of it.
"""

from bridge.registry.encoding import encoding_of
from bridge.registry.subjects import Found, Subject, subjects
from bridge.registry.survey import survey

__all__ = ["Found", "Subject", "encoding_of", "subjects", "survey"]
