"""/openapi.json: what it says, and that the committed one says the same."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.http import create_app
from bridge.http.openapi_file import as_text, document
from bridge.http.problems.problems import Problem
from bridge.http.problems.types import EXAMPLES
from bridge.http.routes.replies import OperationReply, OperationReport, OperationsPage
from tests.unit.api import RECORDS, rest_side
from tests.unit.operations_in_memory import InMemoryOperations

ROOT = Path(__file__).parents[2]
TEMPLATE = f"{RECORDS}/{{recordHandle}}"
PROBLEMS = ["400", "401", "403", "404", "408", "409", "413", "415", "421", "422", "429", "502", "503", "504"]


def test_committed_document_is_this_ones() -> None:
    """docs/openapi.json is what the bridge serves with everything on; `make openapi` writes it anew."""
    committed = (ROOT / "docs" / "openapi.json").read_text(encoding="utf-8")
    assert committed == as_text(), "docs/openapi.json has drifted: run `make openapi` and commit it"


async def test_the_page_needs_no_other_server() -> None:
    """/docs names nothing outside, and all that it names is there: whoever opens it may have no internet."""
    async with rest_side() as api:
        page = (await api.get("/docs")).body.decode()
        named = re.findall(r"""(?:src|href|url)(?:=|: )["']([^"']+)""", page)
        assert "/openapi.json" in named
        assert len(named) == 4
        for path in named:
            assert (await api.get(path)).status == 200, path
        assert "//" not in page


def test_submitting_is_documented() -> None:
    """Both paths have their answers, each error as problem+json, with the headers and the page's own example."""
    paths = document()["paths"]
    for path, parameters in ((TEMPLATE, {"recordHandle"}), (RECORDS, set())):
        operation = paths[path]["post"]
        answers = operation["responses"]
        assert sorted(answers) == ["200", "202", *PROBLEMS]
        assert {tuple(answers[status]["content"]) for status in PROBLEMS} == {("application/problem+json",)}
        assert "Retry-After" in answers["429"]["headers"]
        assert "WWW-Authenticate" in answers["401"]["headers"]
        assert "Location" in answers["202"]["headers"]
        named = {parameter["name"] for parameter in operation["parameters"]}
        assert named == parameters | {"X-Account", "Prefer", "Idempotency-Key"}
        assert operation["security"] == [{"bearer": ["operations:write"]}]


def problem_examples() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each example of a problem, and the status under which it stands."""
    for path in document()["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                content = answer.get("content", {}).get("application/problem+json", {})
                if content.get("schema") == {"$ref": "#/components/schemas/Problem"}:
                    assert content["examples"], (operation["operationId"], status)
                    for name, example in content["examples"].items():
                        assert name == example["value"]["code"]
                        yield status, example["value"]


def test_each_problem_has_its_examples() -> None:
    """Each problem answer shows each of its codes by an example that is a problem, under its own status."""
    codes = document()["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    examples = list(problem_examples())
    for status, example in examples:
        told = Problem.model_validate(example)
        assert str(told.status) == status
        assert told.code in codes
        assert told.type == f"urn:cometd-kafka-bridge:problem:{told.code}"
        assert Problem.model_validate(example).model_dump(by_alias=True, exclude_none=True) == example
    shown = {example["code"] for _, example in examples}
    of_no_route = {"malformed-request", "not-found", "method-not-allowed", "internal", "http"}
    assert set(codes) - shown == of_no_route


def test_docs_name_every_problem() -> None:
    """docs/http-api.md has each code of the catalogue under its statuses, and no other."""
    text = (ROOT / "docs" / "http-api.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\d, ]+) \| ([a-z, -]+) \|", text, re.MULTILINE)
    told = {code.strip(): set(statuses.split(", ")) for statuses, codes in rows for code in codes.split(",")}
    for example in EXAMPLES:
        assert str(example["status"]) in told[example["code"]], example["code"]
    assert set(told) == {example["code"] for example in EXAMPLES}


def test_each_reply_has_its_examples() -> None:
    """Each answer that tells of operations shows what it looks like, and the example is one."""
    schemas = document()["components"]["schemas"]
    for model in (OperationReport, OperationsPage):
        [example] = schemas[model.__name__]["examples"]
        assert model.model_validate(example).model_dump(by_alias=True, exclude_none=True) == example
    for path in (TEMPLATE, RECORDS):
        for status in ("200", "202"):
            examples = document()["paths"][path]["post"]["responses"][status]["content"]["application/json"]["examples"]
            for name, example in examples.items():
                told = OperationReply.model_validate(example["value"])
                assert told.status in {name, None}


def test_body_is_told_apart_by_its_operation() -> None:
    """The body is one of the operations' forms by its operationName, each with its own example."""
    schemas = document()["components"]["schemas"]
    for path, forms in (
        (TEMPLATE, {"DoNotCallRecord", "UpdateRecord", "CompleteRecord", "RejectRecord", "RescheduleRecord"}),
        (RECORDS, {"DoNotCallRecord", "AddRecord"}),
    ):
        body = document()["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        mapping = body["discriminator"]["mapping"]
        assert forms <= set(mapping)
        assert {one["$ref"] for one in body["oneOf"]} == set(mapping.values())
        for name, reference in mapping.items():
            [example] = schemas[reference.rpartition("/")[2]]["examples"]
            assert example["operationName"] == name


def test_every_example_can_be_tried_again() -> None:
    """No example request has a referenceId: the bridge makes one, and would refuse one that belongs to another."""
    schemas = document()["components"]["schemas"].values()
    examples = [one for schema in schemas for one in schema.get("examples", ()) if "operationName" in one]
    assert len(examples) == 8
    assert not [one for one in examples if "referenceId" in one]


async def test_the_first_page_has_links_that_lead_somewhere() -> None:
    """/ is a page with links to what this bridge serves, and /docs/ is the page that /docs is."""
    async with rest_side() as api:
        page = (await api.get("/")).body.decode()
        links = re.findall(r'href="([^"]+)"', page)
        assert {"/docs", "/operations", "/sessions", "/health/ready", "/metrics"} <= set(links)
        for path in links:
            assert (await api.get(path)).status == 200, path
        assert (await api.get("/docs/")).body == (await api.get("/docs")).body
    async with rest_side(management=False) as api:
        assert "/metrics" not in (await api.get("/")).body.decode()


def test_every_reference_leads_somewhere() -> None:
    """Each $ref of the document is there, and no schema is there that nothing refers to."""
    whole = document()
    found = set(references(whole))
    schemas = {f"#/components/schemas/{name}" for name in whole["components"]["schemas"]}
    assert found == schemas


def references(node: Any) -> Any:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            elif key == "mapping":
                yield from value.values()
            else:
                yield from references(value)
    elif isinstance(node, list):
        for one in node:
            yield from references(one)


@pytest.mark.parametrize("path", ["/operations", "/operations/{referenceId}", "/sessions"])
def test_reading_is_secured(path: str) -> None:
    """What tells of operations and sessions needs operations:read; health and metrics need nothing."""
    paths = document()["paths"]
    assert paths[path]["get"]["security"] == [{"bearer": ["operations:read"]}]
    assert all("security" not in paths[one]["get"] for one in ("/health/live", "/health/ready", "/metrics"))


def test_document_is_of_this_bridge() -> None:
    """A bridge's own document has what its settings enable: here no authentication, and DoNotCallRecord alone."""
    own = create_app(InMemoryOperations(), readiness=list, session_views=list, management=False).openapi()
    assert "securitySchemes" not in own["components"]
    assert "401" not in own["paths"][TEMPLATE]["post"]["responses"]
    body = own["paths"][TEMPLATE]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/DoNotCallByHandle"}
    assert "/metrics" not in own["paths"]
