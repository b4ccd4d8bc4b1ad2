"""How much an object keeps in memory, as far as its size depends on what it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet


def held(thing: object) -> int:
    """Count the elements of the object's containers and the characters of its texts, at any depth."""
    seen: set[int] = set()
    waiting, count = list[object](vars(thing).values()), 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, str | bytes | bytearray):
            count += len(one)
        elif isinstance(one, Mapping):
            count += len(one)
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, Sequence | AbstractSet):
            count += len(one)
            waiting += one
    return count
