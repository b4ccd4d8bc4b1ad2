"""GET /operations."""

from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import pytest_asyncio

from bridge.events import Upstream
from bridge.privacy import Concealment
from tests.unit.api import BODY, Api, rest_side
from tests.unit.operations_in_memory import AT


@pytest_asyncio.fixture
async def api() -> AsyncIterator[Api]:
    async with rest_side() as api:
        yield api


async def test_operation_is_told_without_its_request(api: Api) -> None:
    """One operation is told with status, times, upstream's reply and acknowledgement, and without personal data."""
    await api.post(BODY | {"phoneNumber": "5550123"}, X_Account="sales")
    api.operations.acknowledge("r1")
    answer = await api.get("/operations/r1")
    assert answer.status == 200
    assert answer.body == {
        "referenceId": "r1",
        "operation": "DoNotCallRecord",
        "status": "acknowledged",
        "account": "sales",
        "receivedAt": AT,
        "recordHandle": 13,
        "asynchronous": False,
        "attempt": 1,
        "times": {"requested": AT},
        "upstream": {"httpStatus": 200, "statusCode": 0},
        "acknowledgement": {
            "id": "5f1d7a84db00d2fc-17",
            "topic": "gws.acknowledgements.v1",
            "key": "134/Campaign1/13",
            "partition": 3,
            "late": False,
        },
    }


async def test_unknown_operation_is_a_problem(api: Api) -> None:
    """An operation that nobody knows is a 404 problem."""
    answer = await api.get("/operations/nope")
    assert (answer.status, answer.body["code"]) == (404, "unknown-operation")


async def test_pages_follow_each_other(api: Api) -> None:
    """Following `next`, or the Link header, page by page gives each operation once, newest first."""
    for number in range(5):
        await api.post(BODY | {"referenceId": f"r{number}"})
    found, path, pages = [], "/operations?limit=2", 0
    while path:
        answer = await api.get(path)
        found += [one["referenceId"] for one in answer.body["operations"]]
        pages += 1
        link = answer.headers.get("Link", "")
        assert ("next" in answer.body) is bool(link)
        path = link.partition("<")[2].partition(">")[0]
    assert (found, pages) == (["r4", "r3", "r2", "r1", "r0"], 3)


async def test_status_is_a_filter_that_pages_keep(api: Api) -> None:
    """Only operations of the wanted status are told, on the following pages too."""
    for number in range(4):
        await api.post(BODY | {"referenceId": f"r{number}"})
    for number in (0, 1, 3):
        api.operations.change(f"r{number}", "rejected", upstream=Upstream(500, 4, None))
    answer = await api.get("/operations?status=rejected&limit=2")
    assert [one["referenceId"] for one in answer.body["operations"]] == ["r3", "r1"]
    answer = await api.get(answer.headers["Link"].partition("<")[2].partition(">")[0])
    assert [one["referenceId"] for one in answer.body["operations"]] == ["r0"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("account=sales", ["r1"]),
        ("reference=r0", ["r0"]),
        ("phone=555%200123", ["r1"]),
        ("record=134/Campaign1/13", ["r1", "r0"]),
        ("since=2026-01-01T12:00:00Z&until=2026-01-01T14:00:00%2B01:00", ["r1", "r0"]),
        ("since=2026-01-01T14:00:00%2B01:00", []),
        ("until=0001-01-01T00:00:00%2B14:00", []),
        ("account=sales&reference=r0", []),
    ],
)
async def test_filters_choose_together(api: Api, query: str, found: list[str]) -> None:
    """Account, referenceId, phone number, record and times choose the operations, each and all together."""
    await api.post(BODY | {"referenceId": "r0"})
    await api.post(BODY | {"phoneNumber": "5550123"}, X_Account="sales")
    answer = await api.get(f"/operations?{query}")
    assert (answer.status, [one["referenceId"] for one in answer.body["operations"]]) == (200, found)


async def test_pages_keep_every_filter(api: Api) -> None:
    """The link to the next page has all filters of this page."""
    for number in range(3):
        await api.post(BODY | {"referenceId": f"r{number}", "phoneNumber": "+1 5550123"})
    filters = {
        "status": "accepted",
        "account": "first",
        "phone": "+15550123",
        "record": "134/Campaign1/13",
        "since": "2026-01-01T12:00:00+00:00",
        "until": "2026-01-02T00:00:00+00:00",
    }
    answer = await api.get(f"/operations?{urlencode(filters | {'limit': 1})}")
    path = answer.headers["Link"].partition("<")[2].partition(">")[0]
    assert dict(parse_qsl(urlsplit(path).query)) == filters | {"limit": "1", "after": "1"}
    assert [one["referenceId"] for one in (await api.get(path)).body["operations"]] == ["r1"]


async def test_search_for_an_omitted_number_is_refused(api: Api) -> None:
    """With `omit` a search for a phone number is a 422 of its own code, and not an empty page."""
    api.operations.privacy = Concealment(None)
    answer = await api.get("/operations?phone=5550123")
    assert (answer.status, answer.body["code"]) == (422, "number-search-impossible")
    assert "5550123" not in str(answer.body)


@pytest.mark.parametrize(
    "query",
    [
        "status=done",
        "limit=1&limit=2",
        "status=",
        "limit=0",
        "limit=1001",
        "limit=x",
        f"after={'x' * 401}",
        "account=",
        f"phone={'5' * 301}",
        "since=2026-01-01T12:00:00",
        "until=now",
        "since=1767268800",
        "since=2026-01-01",
        "until=2026-13-01T12:00:00Z",
    ],
)
async def test_wrong_query_is_a_problem(api: Api, query: str) -> None:
    """A query out of range is a 422 that names its parameter."""
    answer = await api.get(f"/operations?{query}")
    assert answer.status == 422
    assert [(one["location"], one["name"]) for one in answer.body["errors"]] == [("query", query.partition("=")[0])]


async def test_unknown_parameter_is_not_without_effect(api: Api) -> None:
    """A misspelt filter is a 422, not a page of everything."""
    answer = await api.get("/operations?stauts=rejected")
    assert (answer.status, answer.body["errors"][0]["location"]) == (422, "query")
    assert "stauts" not in str(answer.body)
    assert answer.body["detail"] == "The request is invalid. Invalid: query."  # a GET forwards nothing anyway
