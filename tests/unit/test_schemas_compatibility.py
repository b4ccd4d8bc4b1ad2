"""What a schema may not do to its readers, once it is released."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import fastavro
import jsonschema_rs
import msgspec
import pytest
from msgspec import Meta

from bridge.contract import broken_promises
from bridge.contract.avro import avro_schema
from bridge.contract.compatibility import breaking_changes
from bridge.contract.json_schema import json_schema
from bridge.events import KINDS, Operation, avro_schema_files, operation, schema_files

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
JSON = json.loads(schema_files()[operation.SCHEMA])
AVRO = json.loads(avro_schema_files()[operation.SCHEMA])


def changed(schema: Any, change: Callable[[Any], object]) -> list[str]:
    after = json.loads(json.dumps(schema))
    change(after)
    return breaking_changes(json.dumps(schema), json.dumps(after))


def rename(schema: Any) -> None:
    schema["properties"]["ref"] = schema["properties"].pop("referenceId")
    schema["required"][0] = "ref"


def field(schema: Any, name: str) -> Any:
    """A field of an Avro record."""
    return next(each for each in schema["fields"] if each["name"] == name)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda it: it["properties"].pop("attempt"), ["`attempt` was removed"]),
        (lambda it: it["properties"].pop("upstream"), ["`upstream` was removed"]),
        (
            lambda it: it["properties"]["upstream"]["properties"].pop("statusCode"),
            ["`upstream.statusCode` was removed"],
        ),
        (rename, ["`referenceId` was renamed to `ref`", "`ref` is new and has no default"]),
        (
            lambda it: it["properties"]["attempt"].update(type="string"),
            ["`attempt` changed its type from integer to string"],
        ),
        (
            lambda it: it["properties"]["requestedBy"].update(type="string"),
            ["`requestedBy` changed its type from string or null to string"],
        ),
        (lambda it: it["properties"].update(more={"type": "string"}), ["`more` is new and has no default"]),
        (
            lambda it: (it["properties"].update(more={"default": ""}), it["required"].append("more")),
            ["`more` is new and has no default"],
        ),
        (lambda it: it["required"].remove("late"), ["`late` is no longer required"]),
        (lambda it: it["properties"]["status"]["enum"].remove("rejected"), ["`status` no longer takes rejected"]),
        (
            lambda it: it["properties"]["status"]["enum"].append("lost"),
            ["`status` takes lost, which is new to consumers"],
        ),
        (
            lambda it: it["properties"]["operation"].update(enum=["DoNotCallRecord"]),
            ["`operation` changed its enum from none to DoNotCallRecord"],
        ),
        (
            lambda it: it["properties"]["attempt"].update(minimum=2),
            ["`attempt` narrowed its minimum from 1 to 2"],
        ),
        (
            lambda it: it["properties"]["attempt"].update(maximum=9),
            ["`attempt` narrowed its maximum from none to 9"],
        ),
        (lambda it: it["properties"]["attempt"].pop("minimum"), ["`attempt` widened its minimum from 1 to none"]),
        (
            lambda it: it["properties"]["referenceId"].update(pattern="^[0-9]+$"),
            ["`referenceId` changed its pattern from none to ^[0-9]+$"],
        ),
        (
            lambda it: it.update({"$id": "urn:x"}),
            [f"the schema changed its $id from {operation.SCHEMA} to urn:x"],
        ),
        (
            lambda it: it.update(additionalProperties=True),
            ["the schema changed its additionalProperties from False to True"],
        ),
    ],
)
def test_a_change_of_a_json_schema_that_breaks_readers_is_told(
    change: Callable[[Any], object], told: list[str]
) -> None:
    """Each such change is told with its field and its reason, and nothing else is."""
    found = changed(JSON, change)
    assert len(found) == len(told)
    assert all(one.startswith(start) for one, start in zip(found, told, strict=True))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda it: it["fields"].remove(field(it, "attempt")), ["`attempt` was removed"]),
        (
            lambda it: field(it, "referenceId").update(name="ref"),
            ["`referenceId` was renamed to `ref`", "`ref` is new and has no default"],
        ),
        (lambda it: field(it, "attempt").update(type="int"), ["`attempt` changed its type from long to int"]),
        (
            lambda it: field(it, "attempt").update(type=["null", "long"], default=None),
            ["`attempt` changed its default", "`attempt` changed its type from long to null or long"],
        ),
        (lambda it: it["fields"].append({"name": "more", "type": "string"}), ["`more` is new and has no default"]),
        (
            lambda it: field(field(it, "upstream")["type"][1], "statusCode").update(type=["null", "int"]),
            ["`upstream.statusCode` changed its type from null or long to null or int"],
        ),
        (lambda it: field(it, "upstream").pop("default"), ["`upstream` changed its default"]),
        (lambda it: it.update(namespace="gws"), ["the schema changed its namespace from gws.v1 to gws"]),
        (lambda it: it.update(name="Call"), ["the schema changed its name from Operation to Call"]),
    ],
)
def test_a_change_of_an_avro_schema_that_breaks_readers_is_told(
    change: Callable[[Any], object], told: list[str]
) -> None:
    """Each such change is told with its field and its reason, and nothing else is."""
    found = changed(AVRO, change)
    assert len(found) == len(told)
    assert all(one.startswith(start) for one, start in zip(found, told, strict=True))


@pytest.mark.parametrize(
    ("schema", "change"),
    [
        (JSON, lambda it: it["properties"].update(more={"type": "string", "default": ""})),
        (JSON, lambda it: it["properties"]["upstream"]["properties"].update(more={"type": "null", "default": None})),
        (JSON, lambda it: it["properties"]["attempt"].update(description="How often.", examples=[2])),
        (JSON, lambda it: it["properties"]["status"]["enum"].reverse()),
        (AVRO, lambda it: it["fields"].insert(0, {"name": "more", "type": ["null", "string"], "default": None})),
        (AVRO, lambda it: field(it, "attempt").update(doc="How often.")),
    ],
)
def test_additions_with_defaults_and_words_are_free(schema: Any, change: Callable[[Any], object]) -> None:
    """A field more that has a default, another order, other descriptions and examples: all of that may change."""
    assert changed(schema, change) == []


class Grown(Operation, kw_only=True, frozen=True, rename="camel"):
    """An operation with fields that a later release added."""

    queue: Annotated[str | None, Meta(description="Where it waited.", extra_json_schema={"default": None})] = None
    priority: Annotated[Literal["low", "high"], Meta(description="How.", extra_json_schema={"default": "low"})] = "low"
    region: Annotated[str | None, Meta(description="Where.", extra_json_schema={"default": "eu"})] = "eu"


def test_a_version_grows_by_fields_with_defaults() -> None:
    """Such fields keep the promise in both forms; a reader with the newer schema fills them into older records."""
    [old] = [kind for kind in KINDS if kind.struct is Operation]
    new = msgspec.structs.replace(old, struct=Grown)
    assert breaking_changes(json.dumps(JSON), json.dumps(json_schema(new))) == []
    grown = avro_schema(new) | {"name": "Operation"}
    assert breaking_changes(json.dumps(AVRO), json.dumps(grown)) == []
    [example] = JSON["examples"]
    jsonschema_rs.validator_for(json_schema(new)).validate(example)
    datum = example | {"request": json.dumps(example["request"])}
    written = io.BytesIO()
    fastavro.schemaless_writer(written, fastavro.parse_schema(AVRO), datum)
    written.seek(0)
    read = fastavro.schemaless_reader(written, fastavro.parse_schema(AVRO), fastavro.parse_schema(grown))
    assert read == datum | {"queue": None, "priority": "low", "region": "eu"}


def test_every_schema_has_a_release_to_keep_to() -> None:
    """No schema that the bridge publishes is free to change, and all keep to their releases."""
    released = {path.relative_to(ROOT / "schemas/released") for path in (ROOT / "schemas/released").glob("*/*")}
    assert released == {path.relative_to(ROOT / "schemas") for path in (ROOT / "schemas").glob("*/v*")}
    assert list(broken_promises(ROOT / "schemas")) == []


def test_a_schema_that_disappears_is_told(tmp_path: Path) -> None:
    """What was released stays: without the event that has it, the release is a broken promise."""
    (tmp_path / "released/farewell").mkdir(parents=True)
    (tmp_path / "released/farewell/v1.json").write_text("{}")
    assert list(broken_promises(tmp_path)) == ["farewell/v1.json is released, but no event uses it any more"]


@pytest.mark.parametrize(
    ("file", "before", "after", "sentence"),
    [
        (
            "bridge/events/kinds/acknowledgement.py",
            "    campaign_name: Annotated[",
            "    campaign: Annotated[",
            "acknowledgement/v1.avsc: `campaignName` was renamed to `campaign`",
        ),
        (
            "bridge/events/kinds/session.py",
            "    account: Account\n",
            "    account: Account\n    node: str\n",
            "session/v1.json: `node` is new and has no default, so older records can't be read",
        ),
        (
            "bridge/events/kinds/session.py",
            "    account: Account\n",
            "    account: list[str]\n",
            "the contract does not support the type of `account`",
        ),
        (
            "schemas/session/v1.json",
            '        "resumed"\n',
            '        "resumed",\n        "paused"\n',
            "session/v1.json: `change` takes paused, which is new to consumers",
        ),
    ],
)
def test_a_breaking_change_fails_the_check(tmp_path: Path, file: str, before: str, after: str, sentence: str) -> None:
    """A change in a struct, or in a schema's file, ends `bridge schemas check` with 1 and its sentence."""
    for part in ("bridge", "schemas"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    text = (tmp_path / file).read_text(encoding="utf-8")
    assert before in text
    (tmp_path / file).write_text(text.replace(before, after), encoding="utf-8")
    command = [sys.executable, "-m", "bridge", "schemas", "check"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert sentence in done.stderr.splitlines()
