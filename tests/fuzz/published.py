"""What must hold of everything that the bridge publishes, whatever it was made of."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, Never

import jsonschema_rs

from bridge.events import KINDS, schema_files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.events import Record

TOPICS = {kind.event_type: kind.topic for kind in KINDS}


@cache
def _validator(schema: str) -> Any:
    return jsonschema_rs.validator_for(json.loads(schema_files()[schema]), validate_formats=True)


def _refuse(constant: str) -> Never:
    raise AssertionError(f"{constant} is not JSON")


def check(records: Iterable[Record]) -> None:
    """Fail unless each record is text where it must be, strict JSON, on its topic, and valid by its own schema."""
    for record in records:
        record.key.decode()
        headers = {name: value.decode() for name, value in record.headers}
        value = json.loads(record.value.decode(), parse_constant=_refuse, parse_int=_number)
        assert record.topic == TOPICS[headers["ce_type"]]
        _validator(headers["ce_dataschema"]).validate(value)


def _number(digits: str) -> int:
    """Python refuses long integers as text, JSON does not: the sign and the size are all that a schema looks at."""
    return int(digits) if len(digits) < 300 else (-1 if digits.startswith("-") else 1) * 10**299
